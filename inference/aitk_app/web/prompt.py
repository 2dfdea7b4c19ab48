"""From a conversation to the tokens that the model gets."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import jinja2
import jinja2.ext
import jinja2.meta

from aitk_app.incidents import log_says

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MARKER = "What is 7 times 6?"
_PROBE = {
    "type": "function",
    "function": {"name": "look_up_9f3", "description": "", "parameters": {"type": "object", "properties": {}}},
}
_ANSWERED = "It is 42 degrees."
_CALL_ID_LENGTH = 9  # which Mistral's templates insist on
_HOW_TO_CALL = (
    "You can call these functions; each line is one, with the JSON schema of its arguments:\n{}\n"
    'To call one, answer with nothing but a JSON object of this form: {{"name": "…", "arguments": {{…}}}}\n'
    "To call several, answer with a JSON list of such objects. Call none where you can answer without."
)


class PromptError(Exception):
    """A conversation cannot be turned into a prompt; the message says why."""


@dataclass(frozen=True)
class ToolCall:
    """A call that an answer made; `arguments` is the text where it was no JSON object."""

    name: str
    arguments: dict[str, Any] | str
    id: str


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None  # of the call that a tool's turn answers
    name: str | None = None
    reasoning: str | None = None


@dataclass(frozen=True)
class PromptOptions:
    """What a request wants of its prompt besides the turns."""

    tools: tuple[dict[str, Any], ...] = ()
    continues: bool = False  # the last turn is the beginning of the answer
    variables: Mapping[str, Any] = field(default_factory=dict)  # of the chat template
    opens: bool = True  # the prompt ends where the model's answer begins, and not with the last turn


@dataclass(frozen=True)
class Prompt:
    """A conversation's tokens."""

    tokens: list[int]
    text: str
    opening: str  # what the template itself wrote of the answer, such as `<think>`
    continues: bool = False


class PromptTemplate:
    """The tokenizer's chat template, or one turn's text with `{}` for the user's message."""

    def __init__(self, tokenizer: Any, template: str) -> None:  # noqa: ANN401 - of transformers
        self._tokenizer = tokenizer
        self._template = template
        self._in_parts = False  # whether the chat template takes a message's content as a list of parts only
        self._takes_system = True
        self.knows_tools = False
        if template != "auto" and "{}" not in template:
            raise PromptError(f"prompt_template has no {{}} for the user's message: {template!r}")
        self.source = str(tokenizer.chat_template or "") if template == "auto" else ""
        self.variables = _variables(self.source) - _ALWAYS_THERE

    @property
    def missing(self) -> str | None:
        """Why there can be no chat, and what to do; None where there can."""
        if self._template != "auto" or self._tokenizer.chat_template:
            return None
        return (
            "The tokenizer has no chat template: only completions are served. Say in settings.toml (prompt_template) "
            'how one turn looked in fine-tuning, such as "<|user|>\\n{}<|end|>\\n<|assistant|>".'
        )

    def check(self) -> None:
        """Send a question through; raises `PromptError` when it does not come out again, or nothing does."""
        if self.missing:
            return
        question = [Message("user", _MARKER)]
        if self._template == "auto":
            if _MARKER not in self._rendered(question):
                self._in_parts = True
                if _MARKER not in self._rendered(question):
                    raise PromptError("The model's chat template drops what the user says. Set prompt_template.")
            self._takes_system = self._shows([Message("system", _ANSWERED), *question], (), _ANSWERED)
            self.knows_tools = self._can_speak_of_tools()
        try:
            written = self._tokenizer.decode(self.prompt(question).tokens)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            what = "The model's tokenizer cannot be used"
            raise PromptError(f"{what}. {log_says(error, what)}") from error
        if not str(written).strip():
            raise PromptError("The model's tokenizer makes nothing of a question. Are its files whole?")

    def prompt(self, messages: Sequence[Message], options: PromptOptions | None = None) -> Prompt:
        """The conversation, ending where the model's answer begins. Raises `PromptError`."""
        asked = options or PromptOptions()
        if self.missing:
            raise PromptError(self.missing)
        if asked.continues and messages[-1].role != "assistant":
            raise PromptError("continue_final_message needs a last message of the role assistant.")
        turns = list(messages)
        if not self.knows_tools:
            turns = self._in_words(turns, asked.tools)
            asked = replace(asked, tools=())
        self._check_variables(asked.variables)
        if self._template != "auto":
            text = self._plain(turns)
            return Prompt(list(self._tokenizer(text).input_ids), text, "", asked.continues)
        text = self._rendered(turns, asked, opened=asked.opens)
        opening = ""
        if asked.opens and not asked.continues:
            before = self._rendered(turns, asked, opened=False)
            opening = text.removeprefix(before) if text.startswith(before) else ""
        # The template writes the beginning-of-text token itself.
        return Prompt(list(self._tokenizer(text, add_special_tokens=False).input_ids), text, opening, asked.continues)

    def _check_variables(self, given: Mapping[str, Any]) -> None:
        for name, value in given.items():
            if name not in self.variables and value:
                known = ", ".join(sorted(self.variables)) or "none"
                raise PromptError(f"chat_template_kwargs: the chat template has no variable {name!r}. It has: {known}.")

    def _can_speak_of_tools(self) -> bool:
        """Whether the template shows the tools, a call, and what was answered to it."""
        name = str(_PROBE["function"]["name"])  # type: ignore[index] # it is a dict
        call = ToolCall(name, {"place": "Rome"}, "call00001")
        asked = [Message("user", _MARKER)]
        answered = [*asked, Message("assistant", "", (call,)), Message("tool", _ANSWERED, call_id=call.id, name=name)]
        return self._shows(asked, (_PROBE,), name) and self._shows(answered, (_PROBE,), "Rome", _ANSWERED)

    def _shows(self, messages: Sequence[Message], tools: tuple[dict[str, Any], ...], *wanted: str) -> bool:
        try:
            text = self._rendered(messages, PromptOptions(tools))
        except PromptError:
            return False
        return all(each in text for each in wanted)

    def _rendered(
        self, messages: Sequence[Message], options: PromptOptions | None = None, *, opened: bool = True
    ) -> str:
        options = options or PromptOptions()
        try:
            return self._applied(messages, options, opened=opened)
        except jinja2.TemplateError as error:
            if not any(each.calls or each.call_id for each in messages) or str(_CALL_ID_LENGTH) not in str(error):
                raise self._refused(error) from error
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise self._refused(error) from error
        try:
            return self._applied([_short_ids(each) for each in messages], options, opened=opened)
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> PromptError:
        # raise_exception of a template raises just this, with what its author says of the conversation.
        if type(error) is jinja2.TemplateError:
            return PromptError(f"The model's chat template refuses this conversation: {error}")
        what = "The model's chat template fails on this conversation"
        return PromptError(f"{what}. {log_says(error, what)}")

    def _applied(self, messages: Sequence[Message], options: PromptOptions, *, opened: bool) -> str:
        names = {call.id: call.name for each in messages for call in each.calls}
        variables = {name: value for name, value in options.variables.items() if name in self.variables}
        return str(
            self._tokenizer.apply_chat_template(
                [self._turn(each, names) for each in messages],
                **variables,
                tools=list(options.tools) or None,
                tokenize=False,
                add_generation_prompt=opened and not options.continues,
                continue_final_message=options.continues,
            )
        )

    def _turn(self, message: Message, names: Mapping[str, str]) -> dict[str, Any]:
        content: Any = [{"type": "text", "text": message.content}] if self._in_parts else message.content
        turn: dict[str, Any] = {"role": message.role, "content": content}
        if message.calls:
            turn["tool_calls"] = [
                {"type": "function", "id": each.id, "function": {"name": each.name, "arguments": each.arguments}}
                for each in message.calls
            ]
        if message.role == "tool":
            turn["tool_call_id"] = message.call_id or ""
            turn["name"] = message.name or names.get(message.call_id or "", "")
        elif message.name:
            turn["name"] = message.name
        if message.reasoning:
            turn["reasoning_content"] = message.reasoning
        return turn

    def _in_words(self, messages: list[Message], tools: Sequence[Mapping[str, Any]]) -> list[Message]:
        """Tools, calls and their answers as plain turns, for a template that knows nothing of them."""
        told: list[Message] = []
        if tools:
            lines = "\n".join(json.dumps(each["function"], ensure_ascii=False) for each in tools)
            told.append(Message("system" if self._takes_system else "user", _HOW_TO_CALL.format(lines)))
        names = {call.id: call.name for each in messages for call in each.calls}
        for each in messages:
            if each.calls:
                calls = [{"name": call.name, "arguments": call.arguments} for call in each.calls]
                text = json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)
                told.append(Message("assistant", "\n".join(filter(None, (each.content, text)))))
            elif each.role == "tool":
                name = each.name or names.get(each.call_id or "", "function")
                told.append(Message("user", f"The function {name} answered: {each.content}"))
            else:
                told.append(each)
        return _joined(told) if len(told) != len(messages) or told != messages else told

    def _plain(self, messages: Sequence[Message]) -> str:
        """Every user turn in the template, followed by its answer; a system message joins the next one."""
        text, system = "", ""
        for each in messages:
            if each.role in {"system", "developer"}:
                system += each.content + "\n"
            elif each.role == "assistant":
                text += each.content
            else:
                text += self._template.replace("{}", system + each.content, 1)
                system = ""
        return text


# What transformers itself gives to every template, and what it defines for its own use.
_ALWAYS_THERE = frozenset(
    {"messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "raise_exception"}
    | {"bos_token", "eos_token", "pad_token", "unk_token", "strftime_now", "namespace", "range", "dict", "tojson"}
)


def _variables(source: str) -> frozenset[str]:
    """What a chat template can be told."""
    environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"], autoescape=False)  # noqa: S701 - only parsed
    try:
        # transformers' own tag; without it the rest of the template parses all the same
        text = source.replace("{% generation %}", "").replace("{% endgeneration %}", "")
        return frozenset(jinja2.meta.find_undeclared_variables(environment.parse(text)))
    except jinja2.TemplateError:
        return frozenset()


def _joined(messages: Sequence[Message]) -> list[Message]:
    """Turns of the same side that follow one another made one: many templates want sides to alternate."""
    found: list[Message] = []
    for each in messages:
        if found and found[-1].role == each.role and each.role in {"user", "system", "assistant"}:
            found[-1] = replace(found[-1], content=f"{found[-1].content}\n{each.content}")
        else:
            found.append(each)
    return found


def _short_ids(message: Message) -> Message:
    """The message with ids of calls as Mistral's templates want them: nine letters and digits."""
    calls = tuple(replace(each, id=_short(each.id)) for each in message.calls)
    return replace(message, calls=calls, call_id=_short(message.call_id) if message.call_id else None)


def _short(identifier: str) -> str:
    if len(identifier) == _CALL_ID_LENGTH and identifier.isalnum():
        return identifier
    return hashlib.sha256(identifier.encode()).hexdigest()[:_CALL_ID_LENGTH]

"""A model whose logits are written by hand, so that programs which need an answer of sense get one.

It takes the place of weights: all the rest (prompt, scheduler, sampling, grammars, reading of calls, HTTP) is the
app's. What it wants to say is read from its prompt. It calls a tool that the question names, with arguments that follow
the tool's schema; it tells what a tool has answered; it says again what it was asked. Where a grammar forbids what it
wants, it writes the shortest that is allowed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import torch
from tests.support.inference.byte_model import SPECIAL, byte_tokenizer
from transformers import GenerationConfig, GenerationMixin, LlamaConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from aitk_app.engine.model import Models
from aitk_app.settings import Settings

CONTEXT = 1 << 17
END = "<|end|>"
_DECODER = json.JSONDecoder()
_WORDS = "cat dog"
# What it would rather write where it may not write what it wants: whatever brings an answer to its end.
_LIKED = ['"', "}", "]", ",", ":", *"0123456789", *"abcdefghijklmnopqrstuvwxyz"]
_SURE = 1000.0


@dataclass
class Conversation:
    """What a prompt says."""

    tools: list[dict[str, Any]]
    turns: list[tuple[str, str]]  # role and text
    answer: str  # so far

    @property
    def question(self) -> str:
        """What the person said last."""
        return next((text for role, text in reversed(self.turns) if role == "user"), "")


def conversation(prompt: str) -> Conversation:
    """The prompt, taken apart as `byte_model.TEMPLATE` has put it together."""
    head, *parts = prompt.split("<|start|>")
    tools, rest = [], head.strip()
    while rest.startswith("{"):
        tool, end = _DECODER.raw_decode(rest)
        tools.append(tool["function"])
        rest = rest[end:].lstrip()
    turns = [(role, text) for role, _, text in (part.partition("\n") for part in parts)]
    _, answer = turns.pop() if turns and END not in turns[-1][1] else ("", "")
    return Conversation(tools, [(role, text.partition(END)[0]) for role, text in turns], answer)


def wishes(prompt: str) -> list[str]:
    """What it would say, the best first; only those count that begin as the answer has begun."""
    asked = conversation(prompt)
    calls = [f"<tool_call>\n{_call(each, asked.question)}\n</tool_call>" for each in asked.tools]
    answered = [text for role, text in asked.turns if role == "tool"]
    if asked.turns and asked.turns[-1][0] == "tool":
        return [f"It is {answered[-1][:200]}.", *calls]
    wanted = [call for each, call in zip(asked.tools, calls, strict=True) if _is_meant(each["name"], asked.question)]
    exact = [call for each, call in zip(asked.tools, calls, strict=True) if each["name"] in asked.question]
    first = "\n".join(exact) if exact else (wanted or [_said(asked)])[0]
    return [first, *calls]


def _is_meant(name: str, question: str) -> bool:
    words = [word for word in re.split(r"[_\W]+", name.lower()) if len(word) > 3]
    lowered = question.lower()
    return "tool" in re.findall(r"\w+", lowered) or any(word in lowered for word in words)


def _said(asked: Conversation) -> str:
    whole = "\n".join(text for _, text in asked.turns)
    if schema := _schema_in(whole):
        return json.dumps(_value(schema, schema, asked.question, iter(re.findall(r"\d+", asked.question))))
    if marked := re.findall(r"\[\[ ## (\w+) ## \]\]", asked.question.rpartition("Respond with")[2]):  # DSPy's marks
        return "\n\n".join(f"[[ ## {name} ## ]]\n1" for name in marked)
    keys = re.findall(r"""['"](\w+)['"]""", asked.question)
    if "json" in asked.question.lower() and keys:
        return json.dumps(dict.fromkeys(keys, _WORDS))
    number = sum(role == "user" for role, _ in asked.turns)
    return f"Turn {number}: {' '.join(asked.question.split())[:120]}"


def _schema_in(text: str) -> dict[str, Any] | None:
    """A JSON schema that somebody has written into the conversation."""
    for place in re.finditer(r"\{", text) if '"properties"' in text else ():
        try:
            found, _ = _DECODER.raw_decode(text, place.start())
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("properties"), dict):
            return found
    return None


def _call(tool: dict[str, Any], question: str) -> str:
    schema = tool.get("parameters") or {}
    numbers = iter(re.findall(r"-?\d+", question))
    arguments = _value(schema if schema.get("properties") else {"type": "object"}, schema, question, numbers)
    return json.dumps({"name": tool["name"], "arguments": arguments}, ensure_ascii=False)


def _value(  # noqa: PLR0911 - one for each kind
    schema: Any, root: dict[str, Any], question: str, numbers: Any, depth: int = 0
) -> Any:
    """A value that follows the schema, with the question's own words and numbers in it."""
    if not isinstance(schema, dict) or depth > 6:
        return None
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _value(target, root, question, numbers, depth + 1)
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return _value(schema[name][0], root, question, numbers, depth + 1)
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" or (kind is None and "properties" in schema):
        needed = schema.get("required", list(schema.get("properties", {})))
        inner = {name: each for name, each in schema.get("properties", {}).items() if name in needed}
        return {name: _value(each, root, question, numbers, depth + 1) for name, each in inner.items()}
    if kind == "array":
        return [_value(schema.get("items", {"type": "string"}), root, question, numbers, depth + 1)]
    if kind in {"integer", "number"}:
        return int(next(numbers, schema.get("minimum", 1)))
    return {"boolean": True, "null": None}.get(kind or "", _word(question))


def _word(question: str) -> str:
    """A name or place in the question."""
    for pattern in (r"'([^']+)'", r'"([^"]+)"', r"\bin ([A-Z][\w-]*(?: [A-Z][\w-]*)*)", r"[A-Z][\w-]+(?=[^A-Z]*$)"):
        if found := re.search(pattern, question):
            return found[1] if found.re.groups else found[0]
    return "word"


@dataclass
class _Script:
    """Logits for the token after a text, by the tokenizer's ids."""

    tokenizer: Any
    places: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.places = self.tokenizer.get_vocab()
        self._liked = {self._first(each): -10.0 * rank for rank, each in enumerate(_LIKED)}

    def _first(self, text: str) -> int:
        return int(self.tokenizer(text, add_special_tokens=False).input_ids[0])

    def after(self, tokens: list[int]) -> torch.Tensor:
        prompt = self.tokenizer.decode(tokens, skip_special_tokens=False)
        scores = torch.full((len(self.tokenizer),), -_SURE)
        answer = conversation(prompt).answer
        for token, liking in self._liked.items():
            scores[token] = liking
        inside = answer.count('"') % 2 == 1
        opened = len(answer) - answer.rfind('"') - 1 if inside else 0
        if inside and opened < len(_WORDS):
            scores[self._first(_WORDS[opened])] = 10
        for place in (self.places[each] for each in SPECIAL[2:]):
            scores[place] = 20
        # Several at once: a token of bytes may have cut a character.
        begun = answer.rstrip("�")
        for rank, wish in enumerate(wish for wish in wishes(prompt) if wish.startswith(begun)):
            written = self.tokenizer(begun, add_special_tokens=False).input_ids
            whole = [*self.tokenizer(wish, add_special_tokens=False).input_ids, self.places[END]]
            done = len(tokens) - self._answer_start(tokens)
            if whole[: len(written)] == written and done < len(whole):
                scores[whole[done]] = _SURE - 20 * rank
        return scores

    def _answer_start(self, tokens: list[int]) -> int:
        begin, line = self.places["<|start|>"], self._first("\n")
        start = len(tokens) - tokens[::-1].index(begin) if begin in tokens else 0
        return tokens.index(line, start) + 1 if line in tokens[start:] else start


class ScriptedModel(PreTrainedModel, GenerationMixin):
    """As transformers have models: tokens in, logits out. It keeps no past, and reads all again for each token."""

    config_class = LlamaConfig

    def __init__(self, config: LlamaConfig, tokenizer: Any) -> None:
        super().__init__(config)
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self._script = _Script(tokenizer)

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, attention_mask: Any = None, **_: Any
    ) -> dict[str, Any]:
        return {"input_ids": input_ids}

    def forward(self, input_ids: torch.Tensor, **_: Any) -> CausalLMOutput:
        """Of the last token only."""
        rows = [self._script.after(row.tolist()) for row in input_ids]
        return CausalLMOutput(logits=torch.stack(rows)[:, None])


def scripted_models(**settings: Any) -> Models:
    """The model, loaded as the app loads one."""
    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=CONTEXT, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = ScriptedModel(config, tokenizer).eval()
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)
    return Models(model, tokenizer, Settings(**settings))

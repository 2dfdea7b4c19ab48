"""A conversation on the chat page, with one answer to each question or two side by side."""

from __future__ import annotations

import asyncio
import html
import random
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from aitk_app.engine.sampling import Sampling
from aitk_app.web.answering import Completions, Message, RequestError, ServedModel
from aitk_app.web.prompt import PromptOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aitk_app.engine.generation import Generation

_REDRAWN_SECONDS = 0.05


@dataclass(frozen=True)
class Choice:
    """What is set on the page, in the order of its inputs."""

    model: str
    other: str
    compare: bool
    system: str | None
    temperature: float
    top_p: float
    top_k: float
    repetition_penalty: float
    max_tokens: float
    seed: str | float | None

    def signs(self, completions: Completions) -> list[Answer]:
        """A sign for each answer that is to come. Raises `RequestError`."""
        models = [completions.model(each) for each in ([self.model, self.other] if self.compare else [self.model])]
        return [Answer(by=label_of(completions, each), path=each.id, thinking=True) for each in models]

    def sampling(self) -> Sampling:
        """The same for both sides, the seed included. Raises `RequestError` for a seed that is no number."""
        seed = str(self.seed if self.seed is not None else "").strip()
        if seed and not seed.removeprefix("-").isdecimal():
            raise RequestError(
                400, f"The seed {seed!r} is not a whole number. Leave it empty for another answer each time."
            )
        return Sampling(
            max_tokens=int(self.max_tokens),
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=int(self.top_k),
            repetition_penalty=self.repetition_penalty,
            seed=int(seed) % (1 << 63) if seed else random.getrandbits(31),
        )


@dataclass(frozen=True)
class Answer:
    """What one model said, and how fast; `by` is its short name, `path` its id."""

    text: str = ""
    by: str = ""
    path: str = ""
    tokens: int = 0
    seconds: float = 0.0
    cut: bool = False  # at the longest answer that was asked for
    thinking: bool = False  # nothing has come yet

    def shown(self, *, told: bool = False) -> list[dict[str, str]]:
        """As Gradio's chat shows it: who said it is a message of its own, so that Copy takes the answer alone.

        `told`: another model said it, and this one is told it as its own.
        """
        if self.thinking:
            return [{"role": "assistant", "content": _THINKING.format(html.escape(self.by))}]
        speed = (
            f" · {self.tokens} tokens · {self.tokens / max(self.seconds, 0.001):.1f} tokens/s" if self.tokens else ""
        )
        cut = " · cut off at the longest answer: Continue goes on" if self.cut else ""
        other = " · this model is told it as its own" if told else ""
        said = f"{html.escape(self.by)}{speed}{cut}{other}"
        line = f'<span class="answered-by" title="{html.escape(self.path)}">{said}</span>'
        return [{"role": "assistant", "content": text} for text in (self.text, line)]


_THINKING = '<span class="thinking" role="status" aria-label="{} is thinking"><i></i><i></i><i></i></span>'


def label_of(completions: Completions, model: ServedModel) -> str:
    """A model's short name, and what it is."""
    short = next((alias for alias, name in completions.aliases.items() if name == model.id), model.id)
    return f"{short} · {'fine-tuned' if model.parent or model.fine_tuned else 'base model'}"


def as_typed(text: str) -> str:
    """A person's text for Gradio's chat, which would read it as Markdown, HTML and formulas."""
    escaped = html.escape(text).replace("$", "&#36;").replace("\\", "&#92;")
    return f'<pre class="typed">{escaped}</pre>'


@dataclass(frozen=True)
class Turn:
    """A question and what was answered to it."""

    question: str
    answers: tuple[Answer, ...] = ()
    refusal: str = ""  # why there is no answer


@dataclass(frozen=True)
class Conversation:
    """All turns; the second answer of a turn is there when models were compared."""

    turns: tuple[Turn, ...] = ()

    @classmethod
    def read(cls, told: Any) -> Conversation:  # noqa: ANN401 - JSON, which an older page may have kept
        """From what `told` made; what cannot be read is left out."""
        turns = []
        names = {each.name for each in fields(Answer)}
        for turn in told if isinstance(told, list) else ():
            if not isinstance(turn, dict) or not isinstance(turn.get("question"), str):
                continue
            answers = [each for each in turn.get("answers") or () if isinstance(each, dict)]
            read = tuple(Answer(**{name: value for name, value in each.items() if name in names}) for each in answers)
            turns.append(Turn(turn["question"], read))
        return cls(tuple(turns))

    def told(self) -> list[dict[str, Any]]:
        """As JSON, to be kept in the page: what was answered."""
        return [
            {"question": each.question, "answers": [asdict(replace(one, thinking=False)) for one in each.answers]}
            for each in self.turns
            if not each.refusal and not all(answer.thinking for answer in each.answers)
        ]

    @property
    def is_cut(self) -> bool:
        """Whether the last answer could go on."""
        return bool(self.turns) and any(each.cut for each in self.turns[-1].answers)

    @property
    def has_begun(self) -> bool:
        """Whether something was said to the last question."""
        return bool(self.turns) and any(not each.thinking for each in self.turns[-1].answers)

    def refused(self, why: str) -> Conversation:
        """The last question was not answered; what was said of an answer stays."""
        last = self.turns[-1]
        said = tuple(each for each in last.answers if each.text and not each.thinking)
        return Conversation((*self.turns[:-1], Turn(last.question, said, why)))

    def thinking(self, completions: Completions, choice: Choice) -> Conversation:
        """With a sign for each answer that is to come. Raises `RequestError`."""
        return self._with(choice.signs(completions))

    def asked(self, question: str) -> Conversation:
        """With another question."""
        return Conversation((*self.turns, Turn(question)))

    def without_answer(self) -> Conversation:
        """The last question is open again."""
        return Conversation((*self.turns[:-1], replace(self.turns[-1], answers=()))) if self.turns else self

    def without_question(self) -> tuple[Conversation, str]:
        """Before the last question, and that question."""
        return Conversation(self.turns[:-1]), self.turns[-1].question if self.turns else ""

    def shown(self) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        """Both sides, as Gradio's chat shows them; the second side has every question too."""
        return self._side(0), self._side(1)

    def _side(self, side: int) -> list[dict[str, str]]:
        lines = []
        for turn in self.turns:
            lines.append({"role": "user", "content": as_typed(turn.question)})
            if turn.answers:
                answer = turn.answers[min(side, len(turn.answers) - 1)]
                lines.extend(answer.shown(told=side >= len(turn.answers)))
            if turn.refusal:
                line = f'<span class="refusal" role="alert">{html.escape(turn.refusal)}</span>'
                lines.append({"role": "assistant", "content": line})
        return lines

    async def answered(
        self, completions: Completions, choice: Choice, *, goes_on: bool = False
    ) -> AsyncIterator[Conversation]:
        """The conversation with its last question's answers, as they grow. Raises what `completions` does.

        `goes_on`: the answers that were cut, and no others, are continued. Whoever stops iterating ends the requests.
        """
        answers = list(self.turns[-1].answers) if goes_on else choice.signs(completions)
        running: dict[int, Generation] = {}
        reading: list[asyncio.Future[None]] = []
        try:
            for side, each in enumerate(answers):
                if goes_on and not each.cut:
                    continue
                messages = self._prompt(side, choice.system, to_the_end=goes_on)
                options = PromptOptions(continues=goes_on)
                model = completions.model(each.path)
                running[side] = await completions.begin(model, messages, choice.sampling(), options)
            changed = asyncio.Event()
            reading = [
                asyncio.ensure_future(_read(generation, answers, side, changed)) for side, generation in running.items()
            ]
            for task in reading:
                task.add_done_callback(lambda _: changed.set())
            while not all(task.done() for task in reading):
                await changed.wait()
                changed.clear()
                yield self._with(answers)
                # A page need not be drawn anew for every token.
                await asyncio.wait(reading, timeout=_REDRAWN_SECONDS)
            for task in reading:
                task.result()
            yield self._with(answers)
        finally:
            for generation in running.values():
                generation.cancel()
            for task in reading:
                task.cancel()

    def _with(self, answers: list[Answer]) -> Conversation:
        return Conversation((*self.turns[:-1], replace(self.turns[-1], answers=tuple(answers))))

    def _prompt(self, side: int, system: str | None, *, to_the_end: bool = False) -> list[Message]:
        """What the model on `side` is told; an earlier turn that it did not answer has the other one's answer.

        `to_the_end`: with the last turn's answer, else with its question.
        """
        messages = [Message("system", system)] if system and system.strip() else []
        for number, turn in enumerate(self.turns, 1):
            messages.append(Message("user", turn.question))
            if turn.answers and (to_the_end or number < len(self.turns)):
                messages.append(Message("assistant", turn.answers[min(side, len(turn.answers) - 1)].text))
        return messages


async def _read(generation: Generation, answers: list[Answer], side: int, changed: asyncio.Event) -> None:
    """Let the answer on `side` grow; what was said before stays before it."""
    start, begun = answers[side], time.monotonic()
    async for piece in generation.pieces():
        answers[side] = replace(
            answers[side],
            text=answers[side].text + piece.text,
            tokens=start.tokens + piece.answer_tokens,
            seconds=start.seconds + time.monotonic() - begun,
            cut=piece.finish_reason == "length",
            thinking=False,
        )
        changed.set()

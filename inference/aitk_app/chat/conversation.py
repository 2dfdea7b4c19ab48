"""A conversation on the chat page, with one answer to each question or two side by side."""

from __future__ import annotations

import asyncio
import html
import random
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from aitk_app.engine.sampling import Sampling
from aitk_app.web.answering import Completions, Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
    seed: float | None

    def sampling(self) -> Sampling:
        """The same for both sides, the seed included."""
        return Sampling(
            max_tokens=int(self.max_tokens),
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=int(self.top_k),
            repetition_penalty=self.repetition_penalty,
            seed=random.getrandbits(31) if self.seed is None else int(self.seed),
        )


@dataclass(frozen=True)
class Answer:
    """What one model said, and how fast."""

    text: str = ""
    by: str = ""
    tokens: int = 0
    seconds: float = 0.0

    def shown(self) -> list[dict[str, str]]:
        """As Gradio's chat shows it: who said it is a message of its own, so that Copy takes the answer alone."""
        speed = (
            f" · {self.tokens} tokens · {self.tokens / max(self.seconds, 0.001):.1f} tokens/s" if self.tokens else ""
        )
        line = f'<span class="answered-by">{html.escape(self.by)}{speed}</span>'
        return [{"role": "assistant", "content": text} for text in (self.text, line)]


@dataclass(frozen=True)
class Turn:
    """A question and what was answered to it."""

    question: str
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """All turns; the second answer of a turn is there when models were compared."""

    turns: tuple[Turn, ...] = ()

    @classmethod
    def read(cls, told: Any) -> Conversation:  # noqa: ANN401 - JSON
        """From what `told` made."""
        return cls(
            tuple(Turn(each["question"], tuple(Answer(**answer) for answer in each["answers"])) for each in told or ())
        )

    def told(self) -> list[dict[str, Any]]:
        """As JSON, to be kept in the page."""
        return [asdict(each) for each in self.turns]

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
            lines.append({"role": "user", "content": turn.question})
            for answer in turn.answers[side : side + 1]:
                lines.extend(answer.shown())
        return lines

    async def answered(self, completions: Completions, choice: Choice) -> AsyncIterator[Conversation]:
        """The conversation with its last question's answers, as they grow. Raises what `completions` does.

        Whoever stops iterating ends the requests.
        """
        sampling = choice.sampling()
        models = [completions.model(choice.model), *([completions.model(choice.other)] if choice.compare else [])]
        running, reading = [], []
        try:
            for side, model in enumerate(models):
                running.append(await completions.begin(model, self._prompt(side, choice.system), sampling))
            begun = time.monotonic()
            answers = [Answer(by=each.label) for each in models]
            changed = asyncio.Event()

            async def read(side: int) -> None:
                async for piece in running[side].pieces():
                    answers[side] = replace(
                        answers[side],
                        text=answers[side].text + piece.text,
                        tokens=piece.answer_tokens,
                        seconds=time.monotonic() - begun,
                    )
                    changed.set()

            reading = [asyncio.ensure_future(read(side)) for side in range(len(models))]
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
            for generation in running:
                generation.cancel()
            for task in reading:
                task.cancel()

    def _with(self, answers: list[Answer]) -> Conversation:
        return Conversation((*self.turns[:-1], replace(self.turns[-1], answers=tuple(answers))))

    def _prompt(self, side: int, system: str | None) -> list[Message]:
        """What the model on `side` is told; an earlier turn that it did not answer has the other one's answer."""
        messages = [Message("system", system)] if system and system.strip() else []
        for turn in self.turns:
            messages.append(Message("user", turn.question))
            if turn.answers:
                messages.append(Message("assistant", turn.answers[min(side, len(turn.answers) - 1)].text))
        return messages

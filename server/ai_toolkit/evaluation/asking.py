"""Asks one model all cases, many at a time, so that the endpoint answers them in batches."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.errors import EndpointRefused
from ai_toolkit.evaluation.cases import Case
from ai_toolkit.evaluation.judging import Outcome, judge

AT_A_TIME: Final = 8
"""Few enough that others are answered meanwhile: an endpoint takes 32 at once by default."""
SEED: Final = 20261126
_BUSY: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY})
_BUSY_LIMIT: Final = timedelta(minutes=5)
_SILENT: Final = 0
_SILENT_LIMIT: Final = timedelta(minutes=1)
"""A computer that is busy, or a connection that was cut, may leave one question without an answer."""
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True)
class ScoredToken:
    """A token of the reference text, and how probable the model found it (natural logarithm)."""

    text: str
    logprob: float


@dataclass(frozen=True)
class Answer:
    """What a model said to a case, and how that was judged; `cut` when it reached the case's `max_tokens`.

    `scored` are the reference text's tokens; empty where the case has none, or the app cannot tell.
    """

    case: Case
    said: str
    outcome: Outcome
    missed: tuple[str, ...]
    cut: bool
    tokens: int
    seconds: float
    scored: tuple[ScoredToken, ...] = ()

    @property
    def log_likelihood(self) -> float | None:
        """Of the reference text, a token on average; None where there is none."""
        return sum(each.logprob for each in self.scored) / len(self.scored) if self.scored else None


@dataclass(frozen=True)
class Answers:
    """A model's answers to all cases, in the cases' order; `seconds` is how long all of them took."""

    model: str
    answers: tuple[Answer, ...]
    seconds: float

    @property
    def judged(self) -> int:
        return sum(each.outcome is not Outcome.MEASURED for each in self.answers)

    @property
    def passed(self) -> int:
        return sum(each.outcome is Outcome.PASSED for each in self.answers)

    @property
    def log_likelihood(self) -> float | None:
        """Of all reference texts, a token on average."""
        scored = [token.logprob for each in self.answers for token in each.scored]
        return sum(scored) / len(scored) if scored else None

    @property
    def tokens_per_second(self) -> float:
        return sum(each.tokens for each in self.answers) / self.seconds if self.seconds else 0.0

    def changed(self, other: "Answers") -> int:
        """How many answers are not the other model's."""
        return sum(one.said != theirs.said for one, theirs in zip(self.answers, other.answers, strict=True))


async def ask_all(
    endpoint: Endpoint,
    model: str,
    cases: Sequence[Case],
    answered: Callable[[Answer], None],
    *,
    name: str | None = None,
) -> Answers:
    """The model's answers; `answered` hears each as it comes. `name` is what people call it, where that is another.

    An endpoint that is busy with others' requests is asked again. Raises EndpointRefused.
    """
    places = asyncio.Semaphore(AT_A_TIME)
    began = time.monotonic()

    async def one(case: Case) -> Answer:
        async with places:
            answer = await ask_case(endpoint, model, case)
        answered(answer)
        return answer

    tasks = [asyncio.ensure_future(one(case)) for case in cases]
    try:
        found = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Answers(name or model, tuple(found), time.monotonic() - began)


async def ask_case(endpoint: Endpoint, model: str, case: Case) -> Answer:
    """One answer at temperature 0, judged. Raises EndpointRefused."""
    began = time.monotonic()
    body = await patiently(lambda: endpoint.answer(request_of(case, model)))
    try:
        choice = body["choices"][0]
        said = str(choice["message"].get("content") or "")
        cut = choice.get("finish_reason") == "length"
        tokens = int((body.get("usage") or {}).get("completion_tokens") or 0)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise EndpointRefused(endpoint.url, 200, "no completion in the answer") from error
    seconds = time.monotonic() - began
    outcome, missed = judge(case, said)
    scored = await _score(endpoint, model, case) if case.expected.reference is not None else ()
    return Answer(case, said, outcome, missed, cut, tokens, seconds, scored)


def request_of(case: Case, model: str) -> dict[str, Any]:
    """The chat request that asks the case."""
    return {
        **_named(model),
        "messages": list(case.messages),
        "max_tokens": case.max_tokens,
        "temperature": 0,
        "seed": SEED,
    }


async def prompt_tokens(endpoint: Endpoint, model: str, case: Case) -> Mapping[str, Any] | None:
    """The case's prompt as `/tokenize` tells it, with each token's text; None of an app without such a page."""
    request = {**_named(model), "messages": list(case.messages), "return_token_strs": True}
    found: Mapping[str, Any] | None = await patiently(lambda: endpoint.tokens(request))
    return found


async def _score(endpoint: Endpoint, model: str, case: Case) -> tuple[ScoredToken, ...]:
    """The reference text's tokens, scored as the answer to the conversation; empty where the app cannot tell."""
    prompt = await prompt_tokens(endpoint, model, case)
    turns = [*case.messages, {"role": "assistant", "content": case.expected.reference}]
    request = {**_named(model), "messages": turns, "add_generation_prompt": False, "continue_final_message": True}
    whole = await patiently(lambda: endpoint.tokens(request))
    if prompt is None or whole is None:
        return ()
    tokens = list(whole["tokens"])
    begin = _common(list(prompt["tokens"]), tokens)
    scored = (await patiently(lambda: endpoint.logprobs(model or None, tokens)))[begin:]
    return tuple(ScoredToken(text, value) for text, value in scored if value is not None)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _named(model: str) -> dict[str, str]:
    """An empty name is that of no model: the endpoint's default answers."""
    return {"model": model} if model else {}


async def patiently(ask: Callable[[], Any]) -> Any:  # noqa: ANN401  (what `ask` gives)
    """What `ask` gives, asked again while the endpoint is busy, or gives no answer at all. Raises EndpointRefused."""
    begun = time.monotonic()
    while True:
        try:
            return await ask()
        except EndpointRefused as error:
            limit = _SILENT_LIMIT if error.status == _SILENT else _BUSY_LIMIT
            if error.status not in {_SILENT, *_BUSY} or time.monotonic() - begun > limit.total_seconds():
                raise
        await asyncio.sleep(_PAUSE_SECONDS * (1 + random.random()))  # noqa: S311  (no secret: so that not all come at once)

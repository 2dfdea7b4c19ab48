"""What an evaluation found: as JSON for programs, as a table for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ai_toolkit.evaluation.asking import Answer, Answers
from ai_toolkit.evaluation.judging import Outcome

_LEGEND: Final = "Changed: answers that are not those of {}. Log-likelihood: of the reference texts, a token each."


@dataclass(frozen=True)
class Evaluation:
    """The answers of some models to the same cases; `against` is the one that others are compared with.

    `begun` is when it was asked (ISO 8601, UTC).
    """

    endpoint: str
    begun: str
    models: tuple[Answers, ...]
    against: str

    @property
    def reference(self) -> Answers:
        return next(each for each in self.models if each.model == self.against)

    def fell(self, model: Answers) -> list[tuple[Answer, Answer]]:
        """The cases that the reference passes and the model does not: its answer, then the model's."""
        pairs = zip(self.reference.answers, model.answers, strict=True)
        return [
            (one, other) for one, other in pairs if one.outcome is Outcome.PASSED and other.outcome is Outcome.FAILED
        ]

    def summary(self) -> list[dict[str, Any]]:
        """A row for each model."""
        return [
            {
                "model": each.model,
                "passed": each.passed,
                "judged": each.judged,
                "changed": None if each is self.reference else each.changed(self.reference),
                "logLikelihood": _rounded(each.log_likelihood),
                "tokensPerSecond": round(each.tokens_per_second, 1),
            }
            for each in self.models
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything, for the file that is kept."""
        cases = [each.case for each in self.models[0].answers]
        return {
            "endpoint": self.endpoint,
            "begun": self.begun,
            "against": self.against,
            "models": self.summary(),
            "cases": [
                {
                    "id": case.id,
                    "name": case.name,
                    "messages": list(case.messages),
                    "answers": {each.model: _answer_json(each.answers[place]) for each in self.models},
                }
                for place, case in enumerate(cases)
            ],
        }


def table(found: Evaluation) -> str:
    """The summary in columns."""
    rows = [("model", "passed", "changed", "log-likelihood", "tokens/s")]
    rows += [
        (
            str(row["model"]),
            f"{row['passed']} of {row['judged']}" if row["judged"] else "-",
            "-" if row["changed"] is None else f"{row['changed']} of {len(found.models[0].answers)}",
            "-" if row["logLikelihood"] is None else f"{row['logLikelihood']:.3f}",
            f"{row['tokensPerSecond']:.1f}",
        )
        for row in found.summary()
    ]
    return f"{in_columns(rows, numbers=True)}\n{_LEGEND.format(found.against)}"


def in_columns(rows: Sequence[tuple[str, ...]], *, numbers: bool) -> str:
    """Rows as text. With `numbers` every column but the first stands at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if numbers and column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _answer_json(answer: Answer) -> dict[str, Any]:
    return {
        "said": answer.said,
        "outcome": answer.outcome.value,
        "missed": list(answer.missed),
        "cut": answer.cut,
        "tokens": answer.tokens,
        "seconds": round(answer.seconds, 3),
        "logLikelihood": _rounded(answer.log_likelihood),
        "reference": [[token.text, _rounded(token.logprob)] for token in answer.scored],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

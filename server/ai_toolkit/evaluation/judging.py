"""Whether an answer is what its case expects, and why not."""

import json
import re
from collections.abc import Iterator
from enum import StrEnum

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable

from ai_toolkit.evaluation.cases import Case, Expected, shortened


class Outcome(StrEnum):
    """What became of a case; MEASURED is one that only has a reference text."""

    PASSED = "passed"
    FAILED = "failed"
    MEASURED = "measured"


def judge(case: Case, said: str) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome, and a sentence for each thing that is not as expected."""
    if not case.expected.judges:
        return Outcome.MEASURED, ()
    missed = tuple(_missed(case.expected, said))
    return (Outcome.FAILED if missed else Outcome.PASSED), missed


def _missed(expected: Expected, said: str) -> Iterator[str]:
    if expected.exact is not None and said.strip() != expected.exact.strip():
        yield f"It is not exactly “{shortened(expected.exact)}”."
    for text in expected.contains:
        if text not in said:
            yield f"It does not contain “{shortened(text)}”."
    if expected.regex is not None and re.search(expected.regex, said) is None:
        yield f"The regular expression {shortened(expected.regex)} finds nothing in it."
    if expected.json_schema is not None:
        yield from _unlike_schema(expected, said)


def _no_number(name: str) -> None:
    """NaN and Infinity, which Python reads, and JSON has not."""
    raise ValueError(f"{name} is no number")


def _unlike_schema(expected: Expected, said: str) -> Iterator[str]:
    try:
        document = json.loads(said, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        yield f"It is not JSON: {error}."
        return
    # Nothing is fetched: a schema that refers to another one's address cannot be used.
    validator = jsonschema.Draft202012Validator(expected.json_schema, registry=Registry())
    try:
        found = jsonschema.exceptions.best_match(validator.iter_errors(document))
    except (Unresolvable, RecursionError, re.error) as error:
        yield f"Its schema cannot be used: {shortened(str(error)) or type(error).__name__}."
        return
    if found is not None:
        at = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found.absolute_path)
        yield f"Its JSON does not fit the schema{f' at {at}' if at else ''}: {shortened(found.message)}."

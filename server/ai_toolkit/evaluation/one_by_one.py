"""Use-case: some cases, asked of what answers by default, and told one by one as they are answered."""

import asyncio
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ai_toolkit.endpoint.client import Endpoint
from ai_toolkit.evaluation.asking import Answer, ask_all, ask_case, prompt_tokens, request_of
from ai_toolkit.evaluation.cases import Case, Line, case_files, lines_of
from ai_toolkit.evaluation.errors import CasesBroken
from ai_toolkit.evaluation.models import ServedModels, served_models
from ai_toolkit.evaluation.run import awake, check_lengths
from ai_toolkit.ui import Ui
from ai_toolkit.workspace.text_file import read_text
from ai_toolkit.workspace.workspace import Workspace


@dataclass(frozen=True)
class Listener:
    """Hears that a case is asked, by its id; then its answer, and more about that for whoever reads on."""

    began: Callable[[str], None]
    answered: Callable[[Answer, str], None]


def lines_by_file(folder: Path) -> list[tuple[Path, str, list[Line]]]:
    """The files of cases with their names and lines, broken ones too. Raises FileMalformed."""
    names = [(path, path.relative_to(folder).as_posix()) for path in case_files(folder)]
    return [(path, name, list(lines_of(read_text(path), name))) for path, name in names]


async def run_cases(
    workspace: Workspace, ui: Ui, wanted: Collection[str], listener: Listener, *, debug: bool = False
) -> None:
    """Returns when the cases, by their ids, are answered; with `debug` one by one, with all that leads to an answer.

    Raises CasesBroken for one that is none, and as `awake` does.
    """
    cases = await asyncio.to_thread(_chosen, workspace.folder, wanted)
    async with awake(workspace, ui, "1 case" if len(cases) == 1 else f"{len(cases)} cases") as (_own, endpoint):
        served = await served_models(endpoint)
        await check_lengths(endpoint, served.live, cases)
        if debug:
            for case in cases:
                listener.began(case.id)
                listener.answered(*await _looked_into(endpoint, served, case))
            return
        for case in cases:
            listener.began(case.id)
        await ask_all(endpoint, served.live, cases, lambda answer: listener.answered(answer, "\n".join(_about(answer))))


def _chosen(folder: Path, wanted: Collection[str]) -> list[Case]:
    found: list[Case] = []
    for _path, name, lines in lines_by_file(folder):
        for line in lines:
            if f"{name}:{line.number}" not in wanted:
                continue
            if line.case is None:
                raise CasesBroken(f"{name}, line {line.number}: {line.problems[0].message}")
            found.append(line.case)
    if missing := set(wanted) - {case.id for case in found}:
        raise CasesBroken(f"{min(missing)} is no case any more: the file was changed.")
    return found


async def _looked_into(endpoint: Endpoint, served: ServedModels, case: Case) -> tuple[Answer, str]:
    """The answer, and all that led to it."""
    answer = await ask_case(endpoint, served.live, case)
    parts = ["The request:", json.dumps(request_of(case, served.live), indent=2, ensure_ascii=False)]
    prompt = await prompt_tokens(endpoint, served.live, case)
    if prompt is not None:
        text = "".join(str(each) for each in prompt.get("token_strs") or ())
        parts += ["", f"The prompt as the model gets it, {prompt.get('count')} tokens:", text]
    parts += ["", f"{served.live or 'The default model'} says:", answer.said, *_about(answer)]
    if served.base and served.base != served.live:
        base = await ask_case(endpoint, served.base, case)
        parts += ["", f"{served.base} says:", base.said, *_about(base)]
    return answer, "\n".join(parts)


def _about(answer: Answer) -> Iterator[str]:
    yield f"({answer.tokens} tokens in {answer.seconds:.1f} s{', cut there' if answer.cut else ''})"
    yield from answer.missed
    if answer.log_likelihood is not None:
        yield f"Log-likelihood of the reference text: {answer.log_likelihood:.3f} a token."
        yield " ".join(f"{each.text.strip() or '␣'}[{each.logprob:.2f}]" for each in answer.scored)


def expected_text(case: Case) -> str:
    """What is expected, as a text that can stand beside what was said."""
    expected = case.expected
    parts = [
        *([expected.exact] if expected.exact is not None else []),
        *expected.contains,
        *([f"/{expected.regex}/"] if expected.regex is not None else []),
        *([json.dumps(expected.json_schema, indent=2)] if expected.json_schema is not None else []),
    ]
    return "\n".join(parts) or (expected.reference or "")

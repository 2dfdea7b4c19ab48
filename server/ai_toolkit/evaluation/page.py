"""An evaluation as one self-contained HTML page: answers side by side, what differs first; without script."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from ai_toolkit.evaluation.asking import Answer, ScoredToken
from ai_toolkit.evaluation.judging import Outcome
from ai_toolkit.evaluation.result import Evaluation

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --good: #1a7f37; --bad: #c0362c; --quiet: #6a737d; }
@media (prefers-color-scheme: dark) { :root { --good: #4ac26b; --bad: #ff7b72; --quiet: #9aa4ae; } }
body.vscode-dark, body.vscode-high-contrast { --good: #4ac26b; --bad: #ff7b72; --quiet: #9aa4ae; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1200px; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .quiet { color: var(--quiet); }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .35rem .9rem .35rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { border-bottom: 1px solid var(--line); font-weight: 600; }
td { border-bottom: 1px solid var(--soft); font-variant-numeric: tabular-nums; }
details { border: 1px solid var(--line); border-radius: 8px; margin: .6rem 0; }
summary { cursor: pointer; padding: .6rem .9rem; }
summary .id { color: var(--quiet); font-size: .85rem; margin-left: .5rem; }
.marks { float: right; display: flex; gap: .4rem; }
.mark { border: 1px solid currentColor; border-radius: 1rem; font-size: .8rem; padding: 0 .6rem; }
.passed { color: var(--good); } .failed { color: var(--bad); } .measured { color: var(--quiet); }
.body { border-top: 1px solid var(--line); padding: .7rem .9rem; }
.turn { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; }
.turn b { color: var(--quiet); font-weight: 500; }
.answers { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); margin-top: .7rem; }
.answer { background: var(--soft); border-radius: 6px; padding: .6rem .8rem; min-width: 0; }
.answer h3 { font-size: .85rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
.said { white-space: pre-wrap; overflow-wrap: anywhere; } .why { color: var(--bad); font-size: .9rem; }
.tokens { font: 13px/1.7 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin-top: .4rem; }
.tokens span { border-radius: 2px; }
"""
_LEAST_LOGPROB: Final = -8.0
"""A token of this log-probability, or a less probable one, is marked as strongly as can be."""


def page_of(found: Evaluation) -> str:
    """The page."""
    rows = list(zip(*(each.answers for each in found.models), strict=True))
    differing = [row for row in rows if _differs(row)]
    same = [row for row in rows if not _differs(row)]
    shown = found.begun.replace("T", " ").removesuffix("+00:00")
    counted = "1 case" if len(rows) == 1 else f"{len(rows)} cases"
    parts = [
        f"<h1>Evaluation of {escape(found.endpoint)}</h1>",
        f'<p class="quiet">{counted}, {shown} UTC, at temperature 0. Compared with {escape(found.against)}.</p>',
        _summary(found),
        *_section(f"Answers that differ ({len(differing)})", differing, found, opened=True),
        *_section(f"The same answers ({len(same)})", same, found, opened=False),
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Evaluation, {shown}</title><style>{_STYLE}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _summary(found: Evaluation) -> str:
    heads = ("Model", "Passed", "Changed answers", "Log-likelihood", "Tokens/s")
    rows = ["".join(f"<th>{head}</th>" for head in heads)]
    for row in found.summary():
        cells = (
            escape(str(row["model"])),
            f"{row['passed']} of {row['judged']}" if row["judged"] else "-",
            "-" if row["changed"] is None else str(row["changed"]),
            "-" if row["logLikelihood"] is None else f"{row['logLikelihood']:.3f}",
            f"{row['tokensPerSecond']:.1f}",
        )
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _differs(row: Sequence[Answer]) -> bool:
    return len({each.said for each in row}) > 1 or len({each.outcome for each in row}) > 1


def _section(title: str, rows: Sequence[Sequence[Answer]], found: Evaluation, *, opened: bool) -> Iterator[str]:
    if not rows:
        return
    yield f"<h2>{title}</h2>"
    fallen_first = sorted(rows, key=lambda row: len({each.outcome for each in row}) == 1)
    for row in fallen_first:
        yield _case(row, found, opened=opened)


def _case(row: Sequence[Answer], found: Evaluation, *, opened: bool) -> str:
    case = row[0].case
    marks = "".join(
        f'<span class="mark {each.outcome.value}" title="{escape(model.model)}">{each.outcome.value}</span>'
        for model, each in zip(found.models, row, strict=True)
    )
    turns = "".join(
        f'<div class="turn"><b>{escape(str(turn.get("role")))}:</b> {escape(_said(turn))}</div>'
        for turn in case.messages
    )
    answers = "".join(_answer(model.model, each) for model, each in zip(found.models, row, strict=True))
    summary = f'<span class="marks">{marks}</span>{escape(case.name)}<span class="id">{escape(case.id)}</span>'
    body = f'<div class="body">{turns}<div class="answers">{answers}</div></div>'
    return f"<details{' open' if opened else ''}><summary>{summary}</summary>{body}</details>"


def _answer(model: str, answer: Answer) -> str:
    why = "".join(f'<div class="why">{escape(sentence)}</div>' for sentence in answer.missed)
    cut = f' <span class="quiet">… cut at {answer.case.max_tokens} tokens</span>' if answer.cut else ""
    scored = _tokens(answer.scored, answer.log_likelihood) if answer.log_likelihood is not None else ""
    outcome = (
        ""
        if answer.outcome is Outcome.MEASURED
        else f' <span class="{answer.outcome.value}">{answer.outcome.value}</span>'
    )
    return (
        f'<div class="answer"><h3>{escape(model)}{outcome}</h3>'
        f'<div class="said">{escape(answer.said)}{cut}</div>{why}{scored}</div>'
    )


def _tokens(tokens: Sequence[ScoredToken], mean: float) -> str:
    """The reference text, each token marked the more the less probable it is."""
    marked = "".join(
        f'<span title="{each.logprob:.2f}" style="background:rgba(208,80,64,{_strength(each.logprob):.2f})">'
        f"{escape(each.text)}</span>"
        for each in tokens
    )
    return f'<div class="tokens"><span class="quiet">reference, {mean:.3f} a token: </span>{marked}</div>'


def _strength(logprob: float) -> float:
    share = min(max(logprob / _LEAST_LOGPROB, 0.0), 1.0)
    return 0.6 * math.sqrt(share)


def _said(turn: Mapping[str, Any]) -> str:
    """A turn's text; where it calls tools, the calls as they are."""
    calls = turn.get("tool_calls")
    return "\n".join(part for part in (_text(turn.get("content")), json.dumps(calls) if calls else "") if part)


def _text(content: object) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") if isinstance(part, dict) else str(part) for part in content)
    return str(content or "")

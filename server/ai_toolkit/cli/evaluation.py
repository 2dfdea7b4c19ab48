"""`aitk eval`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ai_toolkit.cli.dialogs import TerminalUi
from ai_toolkit.cli.options import common, yes_option
from ai_toolkit.cli.outcome import WRONG_COMMAND_LINE, run
from ai_toolkit.cli.road import example
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.evaluation.keeping import Kept
    from ai_toolkit.evaluation.result import Evaluation


class _Minimum(click.ParamType[tuple[float, bool]]):
    """A number of cases, or a share of them with a percent sign: the number, and whether it is a share."""

    name = "number"

    def convert(
        self,
        value: Any,  # noqa: ANN401  (click's)
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[float, bool]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?(?=%)|\d+)\s*(%?)", str(value).strip(), re.ASCII)
        if found is None or (found[2] and float(found[1]) > 100):  # noqa: PLR2004  (per cent)
            self.fail(f"{value} is neither a number of cases, such as 4, nor a share of them, such as 80%.", param, ctx)
        return float(found[1]), bool(found[2])


def _names(_context: click.Context, _option: click.Parameter, given: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (given or "").split(",") if name.strip())


@click.command("eval", epilog=example("aitk eval", "aitk eval --models live,previous --min 80%"))
@click.option(
    "--models",
    metavar="NAMES",
    callback=_names,
    help="Which to ask, with commas: base, live (what answers by default), previous (what was live before the last "
    "deploy), or a name that /v1/models lists. Default: all that is served.",
)
@click.option("--against", metavar="NAME", help="Which one the others are compared with. Default: base.")
@click.option("--min", "minimum", type=_Minimum(), metavar="N|N%", help="Exit code 1 where fewer cases pass.")
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Ask a fine-tuning data set's entries in place of the workspace's cases.",
)
@click.option("--first", type=click.IntRange(min=1), default=20, show_default=True, help="So many entries of --data.")
@yes_option
@common
def evaluate(  # noqa: PLR0913  (click passes each option)
    *,
    models: tuple[str, ...],
    against: str | None,
    minimum: tuple[float, bool] | None,
    data: Path | None,
    first: int,
    yes: bool,
    workspace: Workspace,
    as_json: bool,
) -> None:
    """Ask the models the cases in evaluation/*.jsonl, and judge their answers.

    Exit code 0 when they were asked, 1 when fewer pass than --min, 2 when they could not be asked.
    """

    async def work(ui: TerminalUi) -> _Asked:
        from ai_toolkit.evaluation.run import Wanted  # noqa: PLC0415  (keeps --help quick)
        from ai_toolkit.evaluation.run import evaluate as use_case  # noqa: PLC0415

        number, is_percent = minimum or (None, False)
        found, kept = await use_case(workspace, ui, Wanted(models, against, number, is_percent, data, first))
        return _Asked(found, kept)

    run(work, as_json=as_json, agreed=yes, failed=WRONG_COMMAND_LINE, show=_show)


@dataclass(frozen=True)
class _Asked:
    found: "Evaluation"
    kept: "Kept"

    def as_json(self) -> dict[str, Any]:
        return as_result(self.found, self.kept)


def _show(asked: _Asked, ui: TerminalUi) -> None:
    from ai_toolkit.evaluation.result import table  # noqa: PLC0415  (loaded by then)

    ui.result(table(asked.found))
    ui.result(f"The answers side by side: {asked.kept.page}")


def as_result(found: "Evaluation", kept: "Kept") -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "cases": len(found.models[0].answers),
        "against": found.against,
        "models": found.summary(),
        "page": str(kept.page),
        "document": str(kept.document),
    }

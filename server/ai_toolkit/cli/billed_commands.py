"""`aitk prices`, `stop`, `start` and `down`: what is billed, and what ends that."""

import re
from typing import TYPE_CHECKING, Any

import click

from ai_toolkit.cli.dialogs import TerminalUi
from ai_toolkit.cli.options import common, yes_option
from ai_toolkit.cli.outcome import run
from ai_toolkit.cli.road import example
from ai_toolkit.cli.show_results import show_switched, show_taken_down
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Workspace

if TYPE_CHECKING:
    from ai_toolkit.endpoint.stop_start import Switched
    from ai_toolkit.take_down.run import TakenDown

# ruff: noqa: PLC0415  (a use-case is imported when its command runs: that keeps --help quick)


def _currency(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    if given is not None and re.fullmatch(r"[A-Za-z]{3}", given) is None:
        raise click.BadParameter(f"{given} is no currency's code of three letters, such as EUR.")
    return given


@click.command(epilog=example("aitk prices", "aitk prices --refresh --currency EUR"))
@click.option("--refresh", is_flag=True, help="Fetch the list anew from Azure's public retail prices API.")
@click.option(
    "--currency",
    metavar="CODE",
    callback=_currency,
    help="With --refresh: the currency, such as EUR. Default: that of the list that is there.",
)
@common
def prices(*, refresh: bool, currency: str | None, workspace: Workspace, as_json: bool) -> None:
    """Show the list of prices that costs are told by; it is a file, and where it has no price none is guessed."""
    del workspace
    if currency and not refresh:
        raise click.UsageError("--currency is for --refresh: the list that is there has one currency.")

    async def work(ui: TerminalUi) -> dict[str, Any]:
        from ai_toolkit.prices.price_list import amount_in_words, own_path, price_list
        from ai_toolkit.prices.refresh import refresh as fetch
        from ai_toolkit.provision.gpu_need import REPLICA_SIZES

        if refresh:
            ui.report("asking for the prices", 10)
        found = await fetch(currency=currency) if refresh else price_list()
        priced = [
            (profile, region, hourly.amount)
            for profile, size in REPLICA_SIZES.items()
            for region in found.regions(profile)
            if (hourly := found.hourly(profile, region, *size)) is not None
        ]
        ui.result(f"Prices of {found.date}, from: {found.source}" if priced else "The list of prices is empty.")
        for profile, region, amount in priced:
            ui.result(f"    {profile} in {region}: about {amount_in_words(amount, found.currency)} an hour")
        ui.announce(f"aitk prices --refresh fetches a list for every region into {own_path()}.")
        return {
            "date": found.date,
            "source": found.source,
            "currency": found.currency,
            "prices": [{"profile": profile, "region": region, "hourly": amount} for profile, region, amount in priced],
        }

    run(work, as_json=as_json)


@click.command(epilog=example("aitk stop"))
@yes_option
@common
def stop(*, yes: bool, workspace: Workspace, as_json: bool) -> None:
    """Stop the app: its replicas end, and no request starts one until `aitk start`."""

    async def work(ui: TerminalUi) -> "Switched":
        from ai_toolkit.endpoint.stop_start import stop as use_case

        return await use_case(workspace, ui)

    run(work, as_json=as_json, agreed=yes, show=show_switched)


@click.command(epilog=example("aitk start"))
@common
def start(*, workspace: Workspace, as_json: bool) -> None:
    """Start an app that was stopped; requests wake it again."""

    async def work(ui: TerminalUi) -> "Switched":
        from ai_toolkit.endpoint.stop_start import start as use_case

        return await use_case(workspace, ui)

    run(work, as_json=as_json, show=show_switched)


@click.command(epilog=example("aitk down --dry-run", "aitk down"))
@click.option("--local", is_flag=True, help="On this computer, where infra/inference.config.json names nothing.")
@click.option("--subscription", metavar="ID", help="The Azure subscription, where the config file names none.")
@click.option("--resource-group", metavar="NAME", help="The resource group, where the config file names none.")
@click.option("--models", metavar="SHARE", help="Remove the file share with all models too: type its name.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed and what stays, and stop.")
@yes_option
@common
def down(  # noqa: PLR0913  (click passes each option)
    *,
    local: bool,
    subscription: str | None,
    resource_group: str | None,
    models: str | None,
    dry_run: bool,
    yes: bool,
    workspace: Workspace,
    as_json: bool,
) -> None:
    """Remove what Provision made and nobody else uses; the share with the models stays unless it is named."""
    if local and subscription not in {None, LOCAL_SUBSCRIPTION}:
        raise click.UsageError("--local and --subscription exclude each other.")

    async def work(ui: TerminalUi) -> "TakenDown":
        from ai_toolkit.take_down.run import Answers, what_if
        from ai_toolkit.take_down.run import take_down as use_case

        answers = Answers(LOCAL_SUBSCRIPTION if local else subscription, resource_group, models)
        return await (what_if if dry_run else use_case)(workspace, ui, answers)

    run(work, as_json=as_json, agreed=yes, show=show_taken_down)

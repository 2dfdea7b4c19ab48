"""`aitk`: the use-cases without an editor."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ai_toolkit import __version__
from ai_toolkit.cli import chat_command, local_cloud_command, look_commands
from ai_toolkit.cli.billed_commands import down, prices, start, stop
from ai_toolkit.cli.dialogs import TerminalUi
from ai_toolkit.cli.evaluation import evaluate
from ai_toolkit.cli.options import common, credential_option, debug_option, is_given, workspace_option, yes_option
from ai_toolkit.cli.outcome import run
from ai_toolkit.cli.result_schemas import SCHEMAS
from ai_toolkit.cli.result_schemas import schema as schema_of
from ai_toolkit.cli.road import RoadGroup, example
from ai_toolkit.cli.show_results import show_created, show_deployed, show_planned, show_provisioned
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Workspace

if TYPE_CHECKING:
    from ai_toolkit.deploy.deployed import Deployed
    from ai_toolkit.provision.preview import Preview
    from ai_toolkit.provision.run import Provisioned
    from ai_toolkit.workspace.create import Created


@click.group(
    cls=RoadGroup,
    epilog=example("aitk demo", "aitk init my-model && aitk provision --local"),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="aitk")
def main() -> None:
    """Take a fine-tuned language model to an inference endpoint, on Azure or on this computer."""


for _command in (
    evaluate,
    look_commands.status,
    look_commands.models,
    look_commands.logs,
    look_commands.key,
    look_commands.link,
    chat_command.chat,
    local_cloud_command.local_cloud,
    local_cloud_command.demo,
):
    main.add_command(_command)


@main.command(epilog=example("aitk init", "aitk init my-model --sample"))
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--sample", is_flag=True, help="Add a small chat model and an adapter that was fine-tuned on it.")
@click.option("--two-adapters", is_flag=True, help="The same with a second adapter, in another style.")
@common
def init(directory: Path | None, workspace: Workspace, *, sample: bool, two_adapters: bool, as_json: bool) -> None:
    """Add the infra and inference folders to a workspace."""
    target = workspace.folder / directory if directory else workspace.folder

    async def work(ui: TerminalUi) -> "Created":
        from ai_toolkit.workspace.create import create_project  # noqa: PLC0415  (keeps --help quick)

        return await create_project(target, ui, sample=sample or two_adapters, two_adapters=two_adapters)

    run(work, as_json=as_json, show=show_created)


@main.command(
    epilog=example(
        "aitk provision --local",
        "aitk provision --subscription my-subscription --resource-group my-group --location westus3",
        "aitk provision --what-if",
    )
)
@click.option("--local", is_flag=True, help="Provision on this computer: no Azure subscription, no GPU.")
@click.option("--subscription", metavar="ID", help="The Azure subscription, by its id or its name.")
@click.option("--resource-group", metavar="NAME", help="The resource group; created when it does not exist.")
@click.option("--location", metavar="NAME", help="Where a new resource group is created.")
@click.option("--what-if", is_flag=True, help="Show what would be created and changed, and stop.")
@click.option("--put-back", is_flag=True, help="Put back what somebody changed of what was provisioned.")
@click.option(
    "--remove-additions", is_flag=True, help="Take away what somebody added to the app; it is kept otherwise."
)
@click.option("--gpu", "proposed_gpu", is_flag=True, help="Take the GPU that is proposed: the cheapest that fits.")
@yes_option
@common
def provision(  # noqa: PLR0913  (click passes each option)
    *,
    local: bool,
    subscription: str | None,
    resource_group: str | None,
    location: str | None,
    what_if: bool,
    put_back: bool,
    remove_additions: bool,
    proposed_gpu: bool,
    yes: bool,
    workspace: Workspace,
    as_json: bool,
) -> None:
    """Create the Azure resources of the endpoint, or those of the local cloud."""
    if local and subscription not in {None, LOCAL_SUBSCRIPTION}:
        raise click.UsageError("--local and --subscription exclude each other.")

    async def work(ui: TerminalUi) -> "Preview | Provisioned":
        from ai_toolkit.provision.choose_target import Answers  # noqa: PLC0415  (keeps --help quick)
        from ai_toolkit.provision.run import provision as use_case  # noqa: PLC0415
        from ai_toolkit.provision.run import what_if as preview  # noqa: PLC0415

        answers = Answers(
            LOCAL_SUBSCRIPTION if local else subscription,
            resource_group,
            location,
            agreed=yes,
            put_back=put_back,
            remove_additions=remove_additions,
            proposed_gpu=proposed_gpu,
        )
        if what_if:
            return await preview(workspace, ui, answers)
        return await use_case(workspace, ui, answers)

    run(work, as_json=as_json, agreed=yes, show=partial(show_provisioned, local=local))


@main.command(epilog=example("aitk deploy", "aitk deploy --dry-run", "aitk deploy --previous"))
@yes_option
@click.option("--dry-run", is_flag=True, help="Show what would be sent and done, and stop.")
@click.option("--previous", is_flag=True, help="Restore the code of the previous deploy, which the share keeps.")
@click.option("--force", is_flag=True, help="Send also what is known to be wrong.")
@click.option("--restart", is_flag=True, help="Restart the replica also when nothing changed.")
@click.option("--wake", is_flag=True, help="Start a replica when none runs, and prove that it loads.")
@click.option(
    "--conflicts",
    type=click.Choice(["keep", "replace"]),
    help="What to do with files on the share that no deploy put there.",
)
@click.option("--base-models", type=click.Choice(["upload", "download"]), help="Base models above 1 GiB.")
@click.option("--key", type=click.Choice(["add", "none"]), help="Whether an app without a key gets one.")
@click.option(
    "--start/--no-start", default=None, help="Start an app that somebody stopped or deactivated, or leave it."
)
@click.option("--put-back/--no-put-back", default=None, help="Put back what somebody changed of the app, or leave it.")
@click.option(
    "--gate/--no-gate",
    default=False,
    envvar="AITK_DEPLOY_GATE",
    show_envvar=True,
    help="Evaluate first: where fewer cases pass than now, what serves now serves on, and the exit code is 1.",
)
@common
def deploy(  # noqa: PLR0913  (click passes each option)
    *,
    yes: bool,
    dry_run: bool,
    previous: bool,
    force: bool,
    restart: bool,
    wake: bool,
    conflicts: str | None,
    base_models: str | None,
    key: str | None,
    start: bool | None,
    put_back: bool | None,
    gate: bool,
    workspace: Workspace,
    as_json: bool,
) -> None:
    """Synchronise the newest files with the endpoint and take the cheapest action that is enough."""
    if dry_run and previous:
        raise click.UsageError("--dry-run and --previous exclude each other.")
    if gate and (dry_run or previous) and is_given("gate"):
        raise click.UsageError("--gate judges a deploy: it excludes --dry-run and --previous.")

    async def work(ui: TerminalUi) -> "Deployed":
        from ai_toolkit.deploy.action import Options  # noqa: PLC0415  (keeps --help quick)
        from ai_toolkit.deploy.questions import agree_to_download  # noqa: PLC0415
        from ai_toolkit.deploy.run import deploy as use_case  # noqa: PLC0415
        from ai_toolkit.deploy.run import preview  # noqa: PLC0415

        if not dry_run:
            await agree_to_download(workspace, ui)
        options = Options(previous, restart, wake, conflicts, base_models, key, start, put_back, force=force)
        if gate and not (dry_run or previous):
            from ai_toolkit.evaluation.gate import deploy_gated  # noqa: PLC0415

            return await deploy_gated(workspace, ui, options)
        return await (preview if dry_run else use_case)(workspace, ui, options)

    run(work, as_json=as_json, agreed=yes, show=show_planned if dry_run else show_deployed)


@main.command(epilog=example("aitk mcp --workspace my-model"))
@workspace_option
@credential_option
@debug_option
def mcp(*, workspace: Workspace) -> None:
    """Run the MCP server on stdin and stdout, for an agent: tools that look, and one that asks the model."""
    from ai_toolkit.cli.mcp_server import serve as use_case  # noqa: PLC0415  (keeps the other commands quick)

    asyncio.run(use_case(workspace))


@main.command(epilog=example("aitk schema", "aitk schema deploy"))
@click.argument("command", type=click.Choice(list(SCHEMAS)), required=False)
def schema(command: str | None) -> None:
    """Print the JSON schema of what a COMMAND prints with --json; of all of them without one."""
    found = schema_of(command) if command else {name: schema_of(name) for name in SCHEMAS}
    click.echo(json.dumps(found, indent=2))


@main.command(epilog=example("aitk serve"))
@click.option("--stdio", is_flag=True, hidden=True, help="As editors add it; there is no other transport.")
def serve(*, stdio: bool) -> None:
    """Run the language server on stdin and stdout, for an editor."""
    del stdio
    from ai_toolkit.editor.main import run  # noqa: PLC0415  (keeps the other commands quick)

    run()


for _command in (prices, stop, start, down):
    main.add_command(_command)


if __name__ == "__main__":
    main()

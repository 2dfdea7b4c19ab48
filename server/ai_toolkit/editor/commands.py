"""The editor's commands: each asks a use-case for the work, and offers what comes next."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from ai_toolkit.command_titles import PREFIX, Title
from ai_toolkit.editor import billed_commands, look_commands, protocol
from ai_toolkit.editor.chat_messages import OpenChatParams
from ai_toolkit.editor.dialogs import path_of
from ai_toolkit.editor.evaluation import evaluate
from ai_toolkit.errors import EndpointError, FolderNotTrusted, NoFolderOpen, ToolMissing, WorkspaceError
from ai_toolkit.ui import Choice, Pick
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.deploy.action import Options
    from ai_toolkit.deploy.deployed import Deployed
    from ai_toolkit.editor.dialogs import EditorUi
    from ai_toolkit.editor.server import Server
    from ai_toolkit.endpoint.add_secret import SecretAdded
    from ai_toolkit.endpoint.open import Opened
    from ai_toolkit.provision.run import Provisioned

# Use-cases are imported when a command first needs them: they load the Azure SDKs, and initialize is answered before.
# ruff: noqa: PLC0415

_INSTEAD: Final = f"{PREFIX}{Title.GO_TO_ENDPOINT} opens the model's own chat page."
_AI_FEATURES: Final = "The setting chat.disableAIFeatures switches it off; restart the server after a change."
_Token = types.ProgressToken | None
_Command = Callable[["Server", Workspace, protocol.Answers, _Token], Awaitable[Any]]


async def _provision(server: "Server", workspace: Workspace, given: protocol.Answers, token: _Token) -> "Provisioned":
    async def work(ui: "EditorUi") -> "Provisioned":
        from ai_toolkit.provision.choose_target import Answers
        from ai_toolkit.provision.run import provision as use_case

        return await use_case(workspace, ui, Answers(given.subscription, given.resource_group, given.location))

    try:
        result = await server.run_command(workspace.uri, token, Title.PROVISION, work)
    finally:
        server.status.look(workspace)
    message = f"Provisioned for inference: {result.endpoint}"
    server.in_background(server.offer_commands(workspace, message, {Title.DEPLOY: "deployInference"}))
    return result


async def _deploy(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> "Deployed":
    from ai_toolkit.deploy.action import Options

    return await _send(server, workspace, token, Title.DEPLOY, Options())


async def _deploy_all_the_same(
    server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token
) -> "Deployed":
    from ai_toolkit.deploy.action import Options

    return await _send(server, workspace, token, Title.DEPLOY_ALL_THE_SAME, Options(force=True))


async def _bring_back(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> "Deployed":
    from ai_toolkit.deploy.action import Options

    return await _send(server, workspace, token, Title.BRING_BACK, Options(previous=True))


async def _send(server: "Server", workspace: Workspace, token: _Token, title: Title, options: "Options") -> "Deployed":
    async def work(ui: "EditorUi") -> "Deployed":
        from ai_toolkit.deploy.questions import agree_to_download
        from ai_toolkit.deploy.run import deploy as use_case

        await agree_to_download(workspace, ui)
        if not options.previous and await server.gates_deploys():
            from ai_toolkit.evaluation.gate import deploy_gated

            return await deploy_gated(workspace, ui, options)
        return await use_case(workspace, ui, options)

    server.status.working(workspace)
    try:
        result = await server.run_command(workspace.uri, token, title, work)
    finally:
        server.status.done(workspace)
    said = "Nothing to do: the endpoint serves what is here" if result.did_nothing else "The model is deployed"
    buttons = {Title.GO_TO_ENDPOINT: "openEndpoint", **server.chat_button, "Show logs": "showLogs"}
    server.in_background(server.offer_commands(workspace, f"{said}: {result.endpoint}", buttons))
    return result


async def _open_endpoint(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> None:
    async def work(ui: "EditorUi") -> "Opened":
        from ai_toolkit.endpoint.open import open_endpoint as use_case

        opened = await use_case(workspace, ui)
        ui.announce(f"Opening {opened.endpoint}")
        return opened

    opened = await server.run_command(workspace.uri, token, Title.GO_TO_ENDPOINT, work)
    await server.window_show_document_async(types.ShowDocumentParams(uri=opened.page, external=True))
    server.status.look(workspace)


async def _use_in_chat(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> None:
    async def work(_ui: "EditorUi") -> None:
        if not server.has_chat:
            raise ToolMissing(
                "This editor's chat takes no models of extensions: VS Code's does from 1.104 on.", _INSTEAD
            )
        workspace.target()
        models = [one for one in (await server.chat.models()).models if one.workspace_folder == workspace.uri]
        if not models:
            raise EndpointError("Nothing is deployed yet, so there is no model.", f"Run {PREFIX}{Title.DEPLOY}.")
        params = protocol.plain(OpenChatParams(models[0].id))
        try:
            await server.protocol.send_request_async(protocol.EDITOR_REQUESTS["openChat"], params)
        except JsonRpcException as error:
            said = error.message.rstrip(".")
            raise ToolMissing(f"The editor's chat did not open: {said}.", f"{_AI_FEATURES} {_INSTEAD}") from error

    await server.run_command(workspace.uri, token, Title.USE_IN_CHAT, work)


async def _copy_key(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> None:
    async def work(_ui: "EditorUi") -> None:
        from ai_toolkit.endpoint.address import endpoint_key

        await _copy(server, await endpoint_key(workspace), "The inference API key is in the clipboard.")

    await server.run_command(workspace.uri, token, Title.COPY_KEY, work)


async def _copy_example(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> None:
    async def work(ui: "EditorUi") -> None:
        from ai_toolkit.endpoint.api_examples import CALLERS_KEY_VARIABLE, EXAMPLES, example

        endpoint = workspace.target().endpoint
        items = tuple(Choice(language, language) for language in EXAMPLES)
        language = await ui.pick(Pick(Title.COPY_EXAMPLE, "In which language?", items))
        said = f"The {language} example is in the clipboard. It reads the key from {CALLERS_KEY_VARIABLE}."
        await _copy(server, example(language, endpoint), said)

    await server.run_command(workspace.uri, token, Title.COPY_EXAMPLE, work)


async def _add_secret(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> "SecretAdded":
    async def work(ui: "EditorUi") -> "SecretAdded":
        from ai_toolkit.endpoint.add_secret import add_secret as use_case

        return await use_case(workspace, ui)

    result = await server.run_command(workspace.uri, token, Title.ADD_SECRET, work)
    said = f"The app has the secret {result.secret} as the environment variable {result.variable}."
    server.window_show_message(types.ShowMessageParams(types.MessageType.Info, said))
    server.status.look(workspace)
    return result


async def _create_project(
    server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token
) -> dict[str, list[str]]:
    return await _create(server, workspace, token, sample=False)


async def _create_sample(
    server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token
) -> dict[str, list[str]]:
    return await _create(server, workspace, token, sample=True)


async def _create(server: "Server", workspace: Workspace, token: _Token, *, sample: bool) -> dict[str, list[str]]:
    async def work(ui: "EditorUi") -> list[str]:
        from ai_toolkit.workspace.create import create_project as use_case

        if sample:
            from ai_toolkit.deploy.sample_model import get_sample_model

            await get_sample_model(ui)
        return list((await use_case(workspace.folder, ui, sample=sample)).added)

    title = Title.CREATE_SAMPLE if sample else Title.CREATE_PROJECT
    added = await server.run_command(workspace.uri, token, title, work)
    said = f"{len(added)} files were added to infra/ and inference/." if added else "Nothing was missing."
    if sample:
        said = f"{said} The sample model and its adapter are in model-cache/ and models/."
    server.in_background(server.offer_commands(workspace, said, {Title.PROVISION: "provisionInference"}))
    server.status.look(workspace)
    return {"added": added}


async def _start_local_cloud(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> None:
    await _local_cloud(server, workspace, token, start=True)


async def _stop_local_cloud(server: "Server", workspace: Workspace, _given: protocol.Answers, token: _Token) -> None:
    await _local_cloud(server, workspace, token, start=False)


async def _local_cloud(server: "Server", workspace: Workspace, token: _Token, *, start: bool) -> None:
    said = ""

    async def work(ui: "EditorUi") -> None:
        nonlocal said
        from ai_toolkit.local_cloud import control

        home = control.home()
        if start:
            said = f"The local cloud runs: {(await control.start(home)).resource_manager}"
        else:
            said = "The local cloud is stopped." if await control.stop(home) else "The local cloud was not running."
        ui.announce(said)

    await server.run_command(workspace.uri, token, Title.START_LOCAL_CLOUD if start else Title.STOP_LOCAL_CLOUD, work)
    server.window_show_message(types.ShowMessageParams(types.MessageType.Info, said))
    server.status.look(workspace)


async def _choose_action(server: "Server", workspace: Workspace, given: protocol.Answers, token: _Token) -> None:
    """What a click on the status bar's item offers."""

    async def work(ui: "EditorUi") -> Title:
        provisioned = workspace.target_path.exists()
        items = tuple(
            Choice(title, title)
            for title in _ACTIONS
            if provisioned or title in {Title.PROVISION, Title.CREATE_PROJECT, Title.CREATE_SAMPLE}
        )
        return Title(await ui.pick(Pick("AI Toolkit", "What next?", items)))

    chosen = await server.run_command(workspace.uri, None, "AI Toolkit", work)
    await _ACTIONS[chosen](server, workspace, given, token)


_ACTIONS: Final[dict[Title, _Command]] = {
    Title.DEPLOY: _deploy,
    Title.BRING_BACK: _bring_back,
    Title.GO_TO_ENDPOINT: _open_endpoint,
    Title.USE_IN_CHAT: _use_in_chat,
    Title.COPY_KEY: _copy_key,
    Title.COPY_EXAMPLE: _copy_example,
    Title.EVALUATE: evaluate,
    Title.SHOW_STATUS: look_commands.show_status,
    Title.SHOW_LOGS: look_commands.show_logs,
    Title.STOP: billed_commands.stop,
    Title.START: billed_commands.start,
    Title.ADD_SECRET: _add_secret,
    Title.PROVISION: _provision,
    Title.TAKE_DOWN: billed_commands.take_down,
    Title.CREATE_PROJECT: _create_project,
    Title.CREATE_SAMPLE: _create_sample,
}
COMMANDS: Final[dict[str, _Command]] = {
    "provisionInference": _provision,
    "deployInference": _deploy,
    "deployAllTheSame": _deploy_all_the_same,
    "bringBack": _bring_back,
    "openEndpoint": _open_endpoint,
    "copyKey": _copy_key,
    "copyExample": _copy_example,
    "showLogs": look_commands.show_logs,
    "showStatus": look_commands.show_status,
    "refreshEndpoint": look_commands.refresh_endpoint,
    "addSecret": _add_secret,
    "createProject": _create_project,
    "createSample": _create_sample,
    "startLocalCloud": _start_local_cloud,
    "stopLocalCloud": _stop_local_cloud,
    "chooseAction": _choose_action,
    "useInChat": _use_in_chat,
    "evaluateInference": evaluate,
    "stopInference": billed_commands.stop,
    "startInference": billed_commands.start,
    "takeDownInference": billed_commands.take_down,
    "refreshPrices": billed_commands.refresh_prices,
}
HARMLESS: Final = {
    "showStatus",
    "refreshPrices",
    "refreshEndpoint",
    "createProject",
    "startLocalCloud",
    "stopLocalCloud",
}
"""Commands that run nothing from the folder, and so work in one that is not trusted."""


def register(server: "Server") -> None:
    """Announces every command."""
    for name, command in COMMANDS.items():
        _register(server, name, command)


def _register(server: "Server", name: str, command: _Command) -> None:
    @server.command(protocol.COMMANDS[name])
    async def run(params: types.ExecuteCommandParams) -> Any:  # noqa: ANN401  (any JSON)
        given = _argument(params)
        workspace = Workspace(path_of(given.workspace_folder)) if given else await _chosen_folder(server)
        if name not in HARMLESS and not server.status.at_cloud:
            await server.run_command(workspace.uri, None, "AI Toolkit", _refuse)
        answers = (given and given.answers) or protocol.Answers()
        result = await command(server, workspace, answers, params.work_done_token)
        is_value = dataclasses.is_dataclass(result) and not isinstance(result, type)
        return dataclasses.asdict(result) if is_value else result


async def _chosen_folder(server: "Server") -> Workspace:
    """The open folder, asked for when there are several. Raises as `run_command` does."""
    folders = server.folders()

    async def work(ui: "EditorUi") -> None:
        if not folders:
            raise NoFolderOpen
        items = tuple(Choice(one.uri, one.folder.name, str(one.folder)) for one in folders)
        chosen = await ui.pick(Pick("AI Toolkit", "Which folder holds the inference project?", items))
        folders[:] = [one for one in folders if one.uri == chosen]

    if len(folders) != 1:
        await server.run_command(None, None, "AI Toolkit", work)
    return folders[0]


async def _refuse(_ui: "EditorUi") -> None:
    raise FolderNotTrusted


async def _copy(server: "Server", text: str, said: str) -> None:
    params = protocol.plain(protocol.CopyParams(text))
    await server.protocol.send_request_async(protocol.EDITOR_REQUESTS["copy"], params)
    server.window_show_message(types.ShowMessageParams(types.MessageType.Info, said))


def _argument(params: types.ExecuteCommandParams) -> protocol.CommandArgument | None:
    arguments = params.arguments or ()
    if len(arguments) > 1:
        raise JsonRpcInvalidParams("At most one argument is expected: {workspaceFolder, answers?}.")
    try:
        argument = protocol.parse(arguments[0], protocol.CommandArgument) if arguments else None
        if argument is not None:
            path_of(argument.workspace_folder)
    except (ValueError, WorkspaceError) as error:
        raise JsonRpcInvalidParams(f"The argument does not fit: {error}") from None
    return argument

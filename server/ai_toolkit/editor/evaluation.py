"""The editor's test explorer: the cases of the open folders, and what became of those that were run."""

import asyncio
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from ai_toolkit.command_titles import Title
from ai_toolkit.editor import protocol
from ai_toolkit.editor.dialogs import EditorUi, path_of
from ai_toolkit.editor.evaluation_messages import (
    CancelCases,
    CaseFile,
    CaseFiles,
    CaseFilesParams,
    CaseItem,
    CaseResult,
    PageParams,
    RunCasesParams,
)
from ai_toolkit.errors import AiToolkitError, FolderNotTrusted
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.editor.server import Server
    from ai_toolkit.evaluation.asking import Answer

# What asks the endpoint is imported when a case is first run: aiohttp and the Azure SDKs take their time.
# ruff: noqa: PLC0415


async def evaluate(
    server: "Server", workspace: Workspace, _given: protocol.Answers, token: types.ProgressToken | None
) -> None:
    """The command: all cases, all models; a button shows the answers side by side."""
    page = said = ""

    async def work(ui: EditorUi) -> None:
        nonlocal page, said
        from ai_toolkit.evaluation.run import Wanted
        from ai_toolkit.evaluation.run import evaluate as use_case

        found, kept = await use_case(workspace, ui, Wanted())
        page = str(kept.page)
        said = " ".join(f"{each.model} passes {each.passed} of {each.judged} cases." for each in found.models)

    try:
        await server.run_command(workspace.uri, token, Title.EVALUATE, work)
    finally:
        server.status.look(workspace)
    server.in_background(_offer_page(server, said, page))


async def _offer_page(server: "Server", said: str, page: str) -> None:
    if await server.offer(said, ("Show the answers",)) is not None:
        params = protocol.plain(PageParams(Title.EVALUATE, page))
        server.protocol.notify(protocol.EDITOR_NOTIFICATIONS["showPage"], params)


class Evaluations:
    """The runs on their way."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._running: dict[str, asyncio.Task[Any] | None] = {}
        self._left: set[str] = set()

    def files(self, params: CaseFilesParams) -> CaseFiles:
        """The files of cases in a folder; one that cannot be read is a line that says why."""
        from ai_toolkit.evaluation.cases import case_files, lines_of
        from ai_toolkit.workspace.text_file import read_text

        folder = path_of(params.workspace_folder)
        found = []
        for path in case_files(folder):
            name = path.relative_to(folder).as_posix()
            try:
                lines = list(lines_of(read_text(path), name))
            except (AiToolkitError, OSError) as error:
                found.append(CaseFile(path.as_uri(), path.name, (CaseItem(f"{name}:1", path.name, 0, str(error)),)))
                continue
            items = tuple(
                CaseItem(
                    f"{name}:{line.number}",
                    line.case.name if line.case else f"line {line.number}",
                    line.number - 1,
                    " ".join(each.message for each in line.problems),
                )
                for line in lines
            )
            found.append(CaseFile(path.as_uri(), path.name, items))
        return CaseFiles(tuple(found))

    async def run(self, params: RunCasesParams) -> None:
        """Returns when the cases are answered; each is told as it comes. Raises as `run_command` does."""
        workspace = Workspace(path_of(params.workspace_folder))

        async def work(ui: EditorUi) -> None:
            self._running[params.run] = asyncio.current_task()
            if params.run in self._left:
                raise asyncio.CancelledError
            if not self._server.status.at_cloud:
                raise FolderNotTrusted
            from ai_toolkit.evaluation.one_by_one import Listener, run_cases

            listener = Listener(
                began=lambda case: self._tell(CaseResult(params.run, case, "started", "", "", "", 0, "")),
                answered=lambda answer, more: self._tell(_result(params.run, answer, more)),
            )
            await run_cases(workspace, ui, params.cases, listener, debug=params.debug)

        try:
            await self._server.run_command(workspace.uri, None, Title.EVALUATE, work)
        finally:
            self._running.pop(params.run, None)
            self._left.discard(params.run)
            self._server.status.look(workspace)

    def cancel(self, run: str) -> None:
        """Ends a run; also one whose request has only just come."""
        task = self._running.get(run)
        if task is None:
            self._left.add(run)
        else:
            task.cancel()

    def _tell(self, result: CaseResult) -> None:
        self._server.protocol.notify(protocol.EDITOR_NOTIFICATIONS["caseResult"], protocol.plain(result))


def register(server: "Server") -> None:
    """Answers the requests of the editor's test explorer."""
    evaluations = Evaluations(server)

    @server.feature(protocol.SERVER_REQUESTS["caseFiles"])
    async def files(params: Any) -> Any:  # noqa: ANN401  (any JSON)
        return protocol.plain(await asyncio.to_thread(evaluations.files, parsed(params, CaseFilesParams)))

    @server.feature(protocol.SERVER_REQUESTS["runCases"])
    async def run(params: Any) -> None:  # noqa: ANN401
        await evaluations.run(parsed(params, RunCasesParams))

    @server.feature(protocol.SERVER_NOTIFICATIONS["cancelCases"])
    def cancel(params: Any) -> None:  # noqa: ANN401
        evaluations.cancel(parsed(params, CancelCases).run)


def cases_changed(server: "Server") -> None:
    """Tells the editor that its list of cases is old."""
    server.protocol.notify(protocol.EDITOR_NOTIFICATIONS["casesChanged"], {})


def parsed(params: Any, kind: type[protocol.Message]) -> protocol.Message:  # noqa: ANN401  (any JSON)
    """The message. Raises JsonRpcInvalidParams."""
    try:
        return protocol.parse(params, kind)
    except ValueError as error:
        raise JsonRpcInvalidParams(f"The parameters do not fit: {error}") from None


def _result(run: str, answer: "Answer", more: str) -> CaseResult:
    from ai_toolkit.evaluation.one_by_one import expected_text

    return CaseResult(
        run,
        answer.case.id,
        answer.outcome.value,
        " ".join(answer.missed),
        expected_text(answer.case),
        answer.said,
        round(answer.seconds * 1000),
        more,
    )

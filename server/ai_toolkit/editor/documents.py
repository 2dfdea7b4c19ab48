"""What the open files are told in the editor: findings, quick fixes, and what a parameter means."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lsprotocol import types

from ai_toolkit.editor import case_help, gpu_findings, parameter_help
from ai_toolkit.editor.dialogs import path_of
from ai_toolkit.workspace.diagnostics import Finding, Fix, Weight, diagnose
from ai_toolkit.workspace.json_positions import Span
from ai_toolkit.workspace.workspace import Workspace

if TYPE_CHECKING:
    from ai_toolkit.editor.server import Server

_SOURCE: Final = "AI Toolkit"
_SEVERITIES: Final = {
    Weight.ERROR: types.DiagnosticSeverity.Error,
    Weight.WARNING: types.DiagnosticSeverity.Warning,
    Weight.INFORMATION: types.DiagnosticSeverity.Information,
}


class _Findings:
    """What was found in each open document."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._found: dict[str, list[Finding]] = {}

    def of(self, uri: str) -> list[Finding]:
        return self._found.get(uri, [])

    def judge(self, uri: str) -> None:
        path = path_of(uri)
        workspace = next((one for one in self._server.folders() if path.is_relative_to(one.folder)), None)
        if workspace is None:
            return
        text = self._server.workspace.get_text_document(uri).source
        on_share = self._server.status.on_share(workspace)
        is_cases = case_help.is_case_file(workspace, path)
        found = list(case_help.findings(text)) if is_cases else diagnose(workspace, path, text, on_share)
        found += gpu_findings.findings(workspace, path, text)
        self._found[uri] = found
        self._publish(uri, [_diagnostic(one, text) for one in found])

    def judge_again(self, workspace: Workspace) -> None:
        """Another look at the share may know better."""
        for uri in list(self._found):
            if path_of(uri).is_relative_to(workspace.folder):
                self.judge(uri)

    def forget(self, uri: str) -> None:
        self._found.pop(uri, None)
        self._publish(uri, [])

    def _publish(self, uri: str, diagnostics: list[types.Diagnostic]) -> None:
        self._server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, diagnostics))


def register(server: "Server") -> None:
    """Judges a file when it is opened, changed or saved, and explains the parameters of the template."""
    _register_descriptions(server)
    findings = _Findings(server)
    server.status.share_seen = findings.judge_again

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        findings.judge(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        findings.judge(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        findings.judge(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        findings.forget(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions([types.CodeActionKind.QuickFix]))
    def fixes(params: types.CodeActionParams) -> list[types.CodeAction]:
        uri = params.text_document.uri
        text = server.workspace.get_text_document(uri).source
        return [
            _action(uri, finding.fix, _diagnostic(finding, text), text)
            for finding in findings.of(uri)
            if finding.fix is not None and _touch(_range(finding.span, text), params.range)
        ]


def _register_descriptions(server: "Server") -> None:
    def workspace_of(path: Path) -> Workspace | None:
        return next((one for one in server.folders() if path.is_relative_to(one.folder)), None)

    def has_cases(path: Path) -> bool:
        workspace = workspace_of(path)
        return workspace is not None and case_help.is_case_file(workspace, path)

    def descriptions(path: Path) -> Mapping[str, str]:
        workspace = workspace_of(path)
        return {} if workspace is None else parameter_help.descriptions(workspace, path)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        document = server.workspace.get_text_document(params.text_document.uri)
        path, at = path_of(document.uri), document.offset_at_position(params.position)
        is_cases = has_cases(path)
        text = document.source
        found = case_help.describe(text, at) if is_cases else parameter_help.describe(text, at, descriptions(path))
        return types.Hover(found.text, _range(found.span, text)) if found else None

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=['"']))
    def complete(params: types.CompletionParams) -> list[types.CompletionItem]:
        document = server.workspace.get_text_document(params.text_document.uri)
        path, at = path_of(document.uri), document.offset_at_position(params.position)
        if has_cases(path):
            return [
                _completion(each.label, each.about, each.snippet, _range(each.span, document.source))
                for each in case_help.complete(document.source, at)
            ]
        span, names = parameter_help.missing(document.source, at, descriptions(path))
        place = _range(span, document.source)
        return [_completion(name, said, f'"{name}": {{ "value": $0 }}', place) for name, said in names.items()]


def _completion(name: str, said: str, snippet: str, place: types.Range) -> types.CompletionItem:
    return types.CompletionItem(
        name,
        kind=types.CompletionItemKind.Property,
        documentation=said,
        filter_text=f'"{name}"',
        insert_text_format=types.InsertTextFormat.Snippet,
        text_edit=types.TextEdit(place, snippet),
    )


def _diagnostic(finding: Finding, text: str) -> types.Diagnostic:
    severity = _SEVERITIES[finding.weight]
    return types.Diagnostic(_range(finding.span, text), finding.message, severity=severity, source=_SOURCE)


def _action(uri: str, fix: Fix, diagnostic: types.Diagnostic, text: str) -> types.CodeAction:
    edit = types.WorkspaceEdit({uri: [types.TextEdit(_range(fix.span, text), fix.text)]})
    kind = types.CodeActionKind.QuickFix
    return types.CodeAction(fix.title, kind=kind, diagnostics=[diagnostic], edit=edit, is_preferred=True)


def _range(span: Span, text: str) -> types.Range:
    return types.Range(_position(span.start, text), _position(span.end, text))


def _position(index: int, text: str) -> types.Position:
    """Lines end as LSP says (CR LF, LF, CR), columns count UTF-16 units."""
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    line = before.count("\n")
    column = before.rsplit("\n", 1)[-1]
    return types.Position(line, len(column.encode("utf-16-le")) // 2)


def _touch(one: types.Range, other: types.Range) -> bool:
    return one.start <= other.end and other.start <= one.end

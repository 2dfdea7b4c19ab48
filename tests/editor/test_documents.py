"""Diagnostics and quick fixes, as an editor sees them."""

import asyncio
import json
import sys

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from ai_toolkit.local_cloud import control

PARAMETERS = "infra/provision/inference.parameters.json"


@pytest.fixture
async def editor(tmp_path, monkeypatch):
    """A server over stdio with the folder open, and the queue of what it publishes."""
    monkeypatch.setenv("AITK_LOCAL_CLOUD_HOME", str(tmp_path / "cloud"))
    client = LanguageClient("test-editor", "1")
    published: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()
    said: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def publish(params):
        published.put_nowait(params)

    @client.feature("aiToolkit/status")
    def status(params):
        said.put_nowait(params)

    folder = tmp_path / "my folder"
    folder.mkdir()
    await client.start_io(sys.executable, "-m", "ai_toolkit.cli.commands", "serve")
    await client.initialize_async(
        types.InitializeParams(
            capabilities=types.ClientCapabilities(),
            workspace_folders=[types.WorkspaceFolder(folder.as_uri(), "folder")],
            initialization_options={"trusted": False},
        )
    )
    client.initialized(types.InitializedParams())
    yield client, folder, published, said
    await asyncio.wait_for(client.shutdown_async(None), 10)
    client.exit(None)
    await asyncio.wait_for(client.stop(), 10)


async def test_a_typo_is_underlined_and_fixed_while_it_is_edited(editor):
    """Open, see the finding at the right place, take the quick fix; after the change nothing is left."""
    client, folder, published, _ = editor
    path = folder / "infra/inference.config.json"
    text = '{\n  "ACA_APP_NAMES": "æøå 😀"}\n'
    client.text_document_did_open(
        types.DidOpenTextDocumentParams(types.TextDocumentItem(path.as_uri(), "json", 1, text))
    )
    found = await asyncio.wait_for(published.get(), 20)

    [diagnostic] = found.diagnostics
    assert diagnostic.range == types.Range(types.Position(1, 2), types.Position(1, 17))
    assert (diagnostic.source, diagnostic.severity) == ("AI Toolkit", types.DiagnosticSeverity.Error)
    identifier = types.TextDocumentIdentifier(path.as_uri())
    [action] = await client.text_document_code_action_async(
        types.CodeActionParams(identifier, diagnostic.range, types.CodeActionContext([diagnostic]))
    )
    assert action.edit.changes[path.as_uri()][0].new_text == '"ACA_APP_NAME"'
    version = types.VersionedTextDocumentIdentifier(2, path.as_uri())
    whole = types.TextDocumentContentChangeWholeDocument("{}")
    client.text_document_did_change(types.DidChangeTextDocumentParams(version, [whole]))
    assert (await asyncio.wait_for(published.get(), 20)).diagnostics == ()


async def test_the_status_is_told_at_the_start_and_after_a_change_without_waking_anything(editor):
    """Not provisioned, then provisioned; in a folder that is not trusted only files are read."""
    client, folder, _, said = editor
    first = await asyncio.wait_for(said.get(), 20)
    path = folder / "infra/inference.config.json"
    path.parent.mkdir()
    names = ("RESOURCE_GROUP_NAME", "STORAGE_ACCOUNT_NAME", "FILE_SHARE_NAME", "ACA_APP_NAME")
    target = dict.fromkeys(names, "some") | {"SUBSCRIPTION_ID": "0" * 8 + "-0000-0000-0000-" + "0" * 12}
    path.write_text(json.dumps(target | {"ACA_APP_ENDPOINT": "http://127.0.0.1:9"}))
    event = types.FileEvent(path.as_uri(), types.FileChangeType.Created)
    client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))
    second = await asyncio.wait_for(said.get(), 20)

    assert first.text == "$(circle-outline) Inference: not provisioned"
    assert first.workspaceFolder == folder.as_uri()
    assert second.text == "$(circle-large-outline) Inference: provisioned"
    assert not (await control.status(control.home())).running

"""A language server that plays one scene over the shell's protocol, so that the shell is proved alone.

Usage: stand_in_server.py RECORD …. The scene is the text of the file `scene` in the workspace folder; what
the person did is appended to RECORD, one JSON object a line. Standard library only: whatever the server's
framework does to a message, the shell must understand the protocol itself.
"""

import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

RECORD = Path(sys.argv[1])
WIRE_IN, WIRE_OUT = sys.stdin.buffer, sys.stdout.buffer
CANCELLED = -32800
FAILED = -32603

writing = threading.Lock()
ids = count(1)
asked: dict[int, Future[Any]] = {}
cancelled: dict[str, threading.Event] = {}
opened: list[str] = []
"""The folders' URIs."""


class SceneError(Exception):
    """Ends the command with this JSON-RPC error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


def record(what: str, value: object) -> None:
    with RECORD.open("a") as lines:
        lines.write(json.dumps({what: value}) + "\n")


def send(message: Mapping[str, object]) -> None:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    with writing:
        WIRE_OUT.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        WIRE_OUT.flush()


def notify(method: str, params: Mapping[str, object]) -> None:
    send({"method": method, "params": params})


def request(method: str, params: Mapping[str, object]) -> Any:
    number = next(ids)
    answer = asked[number] = Future[Any]()
    send({"id": number, "method": method, "params": params})
    return answer.result()


def ask(method: str, question: Mapping[str, object]) -> Any:
    answer = request(f"aiToolkit/{method}", question)
    record(str(question["title"]), answer)
    return answer


def item(name: str, label: str, description: str = "", *, disabled: bool = False) -> dict[str, object]:
    return {"id": name, "label": label, "description": description, "disabled": disabled}


QUESTIONS: Sequence[tuple[str, Mapping[str, object]]] = [
    (
        "pick",
        {
            "title": "Subscription",
            "placeholder": "Where shall the model run?",
            "items": [
                item("closed", "Closed subscription", "disabled in Azure", disabled=True),
                item("local", "This computer", "local cloud, no Azure subscription needed"),
            ],
        },
    ),
    ("input", {"title": "Resource group", "prompt": "Its name", "value": "ai-toolkit", "password": False}),
    ("pick", {"title": "Location", "placeholder": "Region", "items": [item("westus3", "West US 3")]}),
]


def questions() -> None:
    """Three steps; Back goes one step back, dismissing ends them."""
    step = 0
    while step < len(QUESTIONS):
        method, question = QUESTIONS[step]
        place = {"step": step + 1, "steps": len(QUESTIONS), "canGoBack": step > 0}
        answer = ask(method, {**question, **place})
        if answer is None:
            raise SceneError(CANCELLED, "Provisioning was cancelled. Nothing was changed.")
        step += -1 if "back" in answer else 1
    notify("window/logMessage", {"type": 3, "message": "Every question is answered"})


def work(token: str) -> None:
    """Progress that ends only when the person cancels it."""
    cancelled[token] = threading.Event()
    progress(token, {"kind": "begin", "title": "Deploying for inference", "cancellable": True, "percentage": 0})
    progress(token, {"kind": "report", "message": "Waiting for the replica", "percentage": 40})
    cancelled[token].wait()
    progress(token, {"kind": "end"})
    record("cancelled", token.startswith("aiToolkit-"))


def progress(token: str, value: Mapping[str, object]) -> None:
    notify("$/progress", {"token": token, "value": value})


def offer(message: str, action: str, uri: str | None = None) -> None:
    chosen = request("window/showMessageRequest", {"type": 3, "message": message, "actions": [{"title": action}]})
    record(message, chosen and chosen["title"])
    if chosen and uri:
        record("shown", request("window/showDocument", {"uri": uri, "external": True})["success"])


def play(scene: str, token: str, folder: str) -> None:
    match scene.split():
        case ["questions"]:
            questions()
            threading.Thread(target=offer, args=("Provisioned.", "Deploy for inference"), daemon=True).start()
        case ["work"]:
            work(token)
            raise SceneError(CANCELLED, "Deploying was cancelled. The replica was not restarted.")
        case ["show", uri]:
            arguments = ("Deployed.", "Go to Inference Endpoint", uri)
            threading.Thread(target=offer, args=arguments, daemon=True).start()
        case _:
            action = {"title": "Create inference project", "command": "aiToolkit.createProject"}
            data = {"code": "file_missing", "advice": "", "actions": [action | {"workspaceFolder": folder}]}
            raise SceneError(FAILED, "The folder infra is missing. Create an inference project first.", data)


def execute(number: int, params: Mapping[str, Any]) -> None:
    # Without an argument the server is to choose: here, the first folder that is open.
    uri = next((one["workspaceFolder"] for one in params["arguments"]), opened[0])
    folder = Path(unquote(urlparse(uri).path))
    record(params["command"], folder.name)
    try:
        play((folder / "scene").read_text(), params["workDoneToken"], uri)
    except SceneError as error:
        send({"id": number, "error": {"code": error.code, "message": str(error), "data": error.data}})
    else:
        send({"id": number, "result": None})


def handle(message: Mapping[str, Any]) -> None:
    match message:
        case {"id": number, "method": "initialize", "params": params}:
            opened[:] = [folder["uri"] for folder in params["workspaceFolders"] or ()]
            send({"id": number, "result": {"capabilities": {}}})
        case {"id": number, "method": "workspace/executeCommand", "params": params}:
            threading.Thread(target=execute, args=(number, params), daemon=True).start()
        case {"id": number, "method": "shutdown"}:
            send({"id": number, "result": None})
        case {"id": number, "method": method}:
            send({"id": number, "error": {"code": -32601, "message": method}})
        case {"method": "initialized"}:  # not before: a server that ends while it starts is another story
            record("process", os.getpid())
            record("proxy", os.environ.get("PIP_PROXY"))
        case {"method": "window/workDoneProgress/cancel", "params": {"token": token}}:
            cancelled[token].set()
        case {"method": "exit"}:
            sys.exit()
        case {"id": number}:
            asked.pop(number).set_result(message.get("result"))
        case _:
            pass


def main() -> None:
    while header := WIRE_IN.readline():
        length_bytes = int(header.split(b":")[1])
        while WIRE_IN.readline().strip():
            pass
        handle(json.loads(WIRE_IN.read(length_bytes)))


main()

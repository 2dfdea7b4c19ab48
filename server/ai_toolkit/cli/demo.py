"""Use-case: the whole road on this computer, from nothing to the fine-tuned model's answer."""

import shlex
import shutil
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ai_toolkit.azure.connect import raise_if_impossible
from ai_toolkit.deploy.action import Options
from ai_toolkit.deploy.run import deploy
from ai_toolkit.endpoint.address import endpoint_key
from ai_toolkit.endpoint.client import Endpoint, signed_link
from ai_toolkit.local_cloud import control
from ai_toolkit.provision.choose_target import Answers
from ai_toolkit.provision.run import provision
from ai_toolkit.ui import Ui
from ai_toolkit.workspace.create import create_project
from ai_toolkit.workspace.workspace import LOCAL_SUBSCRIPTION, Workspace

QUESTION: Final = "What is the capital of Japan?"


@dataclass(frozen=True)
class Shown:
    """What the demo showed."""

    directory: str
    endpoint: str
    question: str
    base: str
    fine_tuned: str


async def demo(ui: Ui, directory: Path | None, *, once: bool, browser: bool) -> Shown:
    """Both answers to the same question. With `once` nothing of it runs afterwards."""
    raise_if_impossible()
    folder = (directory or control.home().parent / "demo").absolute()
    workspace = Workspace(folder)
    try:
        await create_project(folder, ui, sample=True)
        await provision(workspace, ui, Answers(subscription=LOCAL_SUBSCRIPTION, agreed=True))
        deployed = await deploy(workspace, ui, Options(wake=True))
        key = await endpoint_key(workspace)
        async with Endpoint.open(deployed.endpoint, key) as endpoint:
            models = await endpoint.models()
            base = next(str(model["id"]) for model in models if not model.get("parent"))
            tuned = next(str(model["id"]) for model in models if model.get("parent"))
            ui.report("asking both models", 95)
            answers = [await endpoint.chat(QUESTION, model, max_tokens=48) for model in (base, tuned)]
        ui.announce(f"\nQuestion:    {QUESTION}")
        ui.announce(f"Base model:  {answers[0]}")
        ui.announce(f"Fine-tuned:  {answers[1]}\n")
        if not once:
            _say_what_runs(ui, workspace, signed_link(deployed.endpoint, key), browser=browser)
    finally:
        if once:
            await control.stop(control.home())
    return Shown(str(folder), deployed.endpoint, QUESTION, *answers)


def _say_what_runs(ui: Ui, workspace: Workspace, link: str, *, browser: bool) -> None:
    ui.announce(f"Chat with it, signed in for 12 hours (the link is valid for 5 minutes): {link}")
    command = _own_command()
    ui.announce(f"The workspace is {workspace.folder}: open it in VS Code, or ask it here:")
    ui.announce(f"    {command} chat 'Hello!' --workspace {shlex.quote(str(workspace.folder))}")
    ui.announce(f"Stop everything: {command} local-cloud stop")
    if browser:
        webbrowser.open(link)


def _own_command() -> str:
    """What to type for this program from the current folder: `scripts/demo` leaves no `aitk` on the PATH."""
    beside = Path(sys.executable).with_name("aitk")
    if beside.is_relative_to(Path.cwd()):
        return shlex.quote(str(beside.relative_to(Path.cwd())))
    return "aitk" if shutil.which("aitk") else shlex.quote(str(beside))

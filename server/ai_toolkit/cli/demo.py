"""Use-case: the whole road on this computer, from nothing to the fine-tuned model's answer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ai_toolkit.azure.connect import raise_if_impossible
from ai_toolkit.deploy.action import Options
from ai_toolkit.deploy.questions import agree_to_download
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

    directory: Path
    endpoint: str
    question: str
    base: str
    fine_tuned: str
    link: str | None
    """Opens the chat page signed in; None where nothing of it runs any more. No program reads it: `aitk link` does."""

    def as_json(self) -> dict[str, str]:
        said = {"question": self.question, "base": self.base, "fineTuned": self.fine_tuned}
        return {"directory": str(self.directory), "endpoint": self.endpoint, **said}


async def demo(ui: Ui, directory: Path | None, *, once: bool) -> Shown:
    """Both answers to the same question. With `once` nothing of it runs afterwards."""
    raise_if_impossible()
    folder = (directory or control.home().parent / "demo").absolute()
    workspace = Workspace(folder)
    try:
        await create_project(folder, ui, sample=True)
        await provision(workspace, ui, Answers(subscription=LOCAL_SUBSCRIPTION, agreed=True))
        await agree_to_download(workspace, ui)
        deployed = await deploy(workspace, ui, Options(wake=True))
        key = await endpoint_key(workspace)
        async with Endpoint.open(deployed.endpoint, key) as endpoint:
            models = await endpoint.models()
            base = next(str(model["id"]) for model in models if not model.get("parent"))
            tuned = next(str(model["id"]) for model in models if model.get("parent"))
            ui.report("asking both models", 95)
            answers = [await endpoint.chat(QUESTION, model, max_tokens=48) for model in (base, tuned)]
        link = None if once else signed_link(deployed.endpoint, key)
    finally:
        if once:
            await control.stop(control.home())
    return Shown(folder, deployed.endpoint, QUESTION, answers[0], answers[1], link)

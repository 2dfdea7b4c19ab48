"""The commands by the titles that people see: in the editor's palette, above a question, in advice."""

from enum import StrEnum
from typing import Final

PREFIX: Final = "AI Toolkit: "
"""What the editor's palette shows before each title."""


class Title(StrEnum):
    """The titles, which extension/package.nls.json has too (a test compares them)."""

    PROVISION = "Provision Azure Container Apps for inference"
    DEPLOY = "Deploy for inference"
    DEPLOY_ALL_THE_SAME = "Deploy for inference all the same"
    BRING_BACK = "Bring the previous deploy back"
    GO_TO_ENDPOINT = "Go to Inference Endpoint"
    COPY_KEY = "Copy inference API key"
    COPY_EXAMPLE = "Copy inference API example"
    SHOW_LOGS = "Show inference streaming logs"
    SHOW_STATUS = "Show inference status"
    REFRESH_ENDPOINT = "Refresh endpoint"
    ADD_SECRET = "Add Azure Container Apps secret for inference"  # noqa: S105  (a title)
    CREATE_PROJECT = "Create inference project"
    CREATE_SAMPLE = "Create inference project with the sample model"
    START_LOCAL_CLOUD = "Start local cloud"
    USE_IN_CHAT = "Use in chat"
    EVALUATE = "Evaluate inference"
    STOP = "Stop inference"
    START = "Start inference"
    REFRESH_PRICES = "Refresh the list of prices"
    TAKE_DOWN = "Take down inference"
    STOP_LOCAL_CLOUD = "Stop local cloud"

"""What a sentence may tell a person to do, in the words of the face that the person sees: a terminal, or an editor.

A sentence names a `Do`; here, and nowhere else, stands what that is called in each face.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ai_toolkit.command_titles import PREFIX, Title


class Face(Enum):
    """What the person looks at."""

    TERMINAL = "terminal"
    EDITOR = "editor"


FACE: Final[ContextVar[Face]] = ContextVar("FACE", default=Face.TERMINAL)
"""Set once, at the edge that a person looks at."""


@dataclass(frozen=True)
class _Words:
    terminal: str
    editor: str


def _command(terminal: str, title: Title) -> _Words:
    return _Words(terminal, f"{PREFIX}{title}")


class Do(Enum):
    """An action, and its name in each face; `{0}` is what the sentence gives with it."""

    CREATE_PROJECT = _command("aitk init", Title.CREATE_PROJECT)
    PROVISION = _command("aitk provision", Title.PROVISION)
    PROVISION_PUTTING_BACK = _Words("aitk provision --put-back", f"{PREFIX}{Title.PROVISION}, which asks,")
    DEPLOY = _command("aitk deploy", Title.DEPLOY)
    DEPLOY_STARTING = _Words("aitk deploy --start", f"{PREFIX}{Title.DEPLOY}, which asks")
    DEPLOY_PUTTING_BACK = _Words("aitk deploy --put-back", f"{PREFIX}{Title.DEPLOY}, which asks,")
    DEPLOY_WITH_KEY = _Words("aitk deploy --key add", f"{PREFIX}{Title.DEPLOY}, which asks")
    DEPLOY_ALL_THE_SAME = _command("aitk deploy --force", Title.DEPLOY_ALL_THE_SAME)
    DEPLOY_UNJUDGED = _Words(
        "aitk deploy without --gate", f"{PREFIX}{Title.DEPLOY} without the setting aiToolkit.deploy.gate"
    )
    BRING_BACK = _command("aitk deploy --previous", Title.BRING_BACK)
    STATUS = _command("aitk status", Title.SHOW_STATUS)
    ASK = _command('aitk chat "Hello!"', Title.USE_IN_CHAT)
    LOGS = _command("aitk logs", Title.SHOW_LOGS)
    START = _command("aitk start", Title.START)
    STOP = _command("aitk stop", Title.STOP)
    TAKE_DOWN_WITH_MODELS = _Words("aitk down --models {0}", f'"{{0}}" typed in {PREFIX}{Title.TAKE_DOWN}')
    TAKE_DOWN_ELSEWHERE = _Words(
        "aitk down with --local, or with --subscription and --resource-group",
        f"{PREFIX}{Title.TAKE_DOWN}, once infra/inference.config.json has SUBSCRIPTION_ID and RESOURCE_GROUP_NAME",
    )
    PRICES = _command("aitk prices --refresh", Title.REFRESH_PRICES)
    START_LOCAL_CLOUD = _command("aitk local-cloud start", Title.START_LOCAL_CLOUD)
    RESET_LOCAL_CLOUD = _Words(
        "aitk local-cloud reset",
        f"{PREFIX}{Title.STOP_LOCAL_CLOUD}, and another or an empty folder in the setting aiToolkit.localCloud.folder,",
    )


def to(action: Do, given: str = "") -> str:
    """What the action is called in the face that the person sees."""
    words = action.value
    return (words.editor if FACE.get() is Face.EDITOR else words.terminal).format(given)


def worded(sentence: str) -> str:
    """A sentence that is kept as data, with its `{LOGS}` or another name of an action in the words of the face."""
    return sentence.format_map({one.name: to(one) for one in Do})

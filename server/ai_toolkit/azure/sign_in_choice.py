"""How this process may sign in to Azure: the edge (command line or editor) says it once, and `cloud.py` reads it."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

CREDENTIALS: Final = {
    "auto": "the first that is signed in: VS Code (in the editor), the Azure CLI, azd, the environment, the browser",
    "vscode": "the Microsoft account of VS Code (in the editor only)",
    "azure-cli": "az login",
    "azd": "azd auth login",
    "environment": "a service principal in AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
    "browser": 'the account that "Sign in to Azure…" signed in',
}
"""What `--credential` and the setting `aiToolkit.credential` choose from."""

EditorTokens = Callable[[str, str | None, bool], Awaitable[str | None]]
"""A token of the editor's own account for a scope and a tenant (None: its home).

None when nobody is signed in there; with True the person is asked to, which opens a browser.
"""


async def _automatic() -> str:
    return "auto"


@dataclass(frozen=True)
class SignIn:
    """Which of CREDENTIALS to use, asked each time because a setting may change, and the editor's account if any."""

    credential: Callable[[], Awaitable[str]] = _automatic
    editor: EditorTokens | None = None


SIGN_IN: Final[ContextVar[SignIn]] = ContextVar("sign_in", default=SignIn())  # noqa: B039  (frozen)

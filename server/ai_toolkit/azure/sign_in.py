"""The credential for Azure: whoever is signed in already. Only `AzureCredential.sign_in` asks a person."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import AzureError
from azure.identity.aio import AzureCliCredential, AzureDeveloperCliCredential, EnvironmentCredential

from ai_toolkit.azure.account_token import read_token
from ai_toolkit.azure.browser_sign_in import BrowserCredential
from ai_toolkit.azure.credential import Credential
from ai_toolkit.azure.editor_credential import EditorCredential
from ai_toolkit.azure.environment import AzureEnvironment
from ai_toolkit.azure.failures import first_line
from ai_toolkit.azure.network import Transport, raise_if_offline
from ai_toolkit.azure.sign_in_choice import CREDENTIALS, EditorTokens
from ai_toolkit.errors import NetworkProblem, SignInNeeded

_RENEW_SECONDS: Final = 300  # before its end, as the SDK's own policy does

_Credential = (
    EditorCredential | AzureCliCredential | AzureDeveloperCliCredential | EnvironmentCredential | BrowserCredential
)


@dataclass(frozen=True)
class _Source:
    """Where an account may be signed in."""

    label: str
    open: Callable[[], _Credential]


def azure_credential(environment: AzureEnvironment, chosen: str, editor: EditorTokens | None) -> "AzureCredential":
    """The credential that `chosen`, one of CREDENTIALS, means. Raises SignInNeeded for one that cannot be had here."""
    options: dict[str, Any] = {
        "authority": environment.authority,
        "additionally_allowed_tenants": ["*"],
        "disable_instance_discovery": environment.is_private,
    }
    sources = {
        "azure-cli": _Source("Azure CLI", lambda: AzureCliCredential(additionally_allowed_tenants=["*"])),
        "azd": _Source("Azure Developer CLI", lambda: AzureDeveloperCliCredential(additionally_allowed_tenants=["*"])),
        "environment": _Source(
            "environment variables", lambda: EnvironmentCredential(**options, transport=Transport(known=True))
        ),
        "browser": _Source("browser", lambda: BrowserCredential(environment)),
    }
    if editor is not None:
        sources = {"vscode": _Source("VS Code", lambda: EditorCredential(editor)), **sources}
    if chosen != "auto" and chosen not in sources:
        known = ", ".join(name for name in CREDENTIALS if name == "auto" or name in sources)
        raise SignInNeeded(f'the credential "{chosen}" cannot be used here; choose one of {known}.')
    used = sources.values() if chosen == "auto" else (sources[chosen],)
    pool = _TokenPool(tuple(used), environment.authority)
    return AzureCredential(environment, pool, editor if chosen in {"auto", "vscode"} else None, chosen)


class _TokenPool:
    """Tokens of the first account that is signed in; asked for once per scope and tenant while they last."""

    def __init__(self, sources: Sequence[_Source], authority: str) -> None:
        self.sources = tuple(sources)
        self._authority = authority if "://" in authority else f"https://{authority}"
        self.source: _Source | None = None
        self._opened: _Credential | None = None
        self._done_with: list[_Credential] = []
        self._tokens: dict[tuple[str, str | None], AccessTokenInfo] = {}
        self._choosing = asyncio.Lock()
        self._asking: defaultdict[tuple[str, str | None], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def token(self, scope: str, tenant: str | None, options: TokenRequestOptions) -> AccessTokenInfo:
        async with self._choosing:
            credential = self._opened or await self._first_signed_in(scope)
        key = (scope, tenant)
        async with self._asking[key]:
            kept = self._tokens.get(key)
            if kept is not None and kept.expires_on - time.time() > _RENEW_SECONDS and not options.get("claims"):
                return kept
            wanted: TokenRequestOptions = {**options, "tenant_id": tenant} if tenant else options
            found = await credential.get_token_info(scope, options=wanted)
            self._tokens[key] = found
            return found

    def use(self, source: _Source, credential: _Credential) -> None:
        """Takes this account from now on."""
        self.renew()
        self.source, self._opened = source, credential

    def renew(self) -> None:
        """Forgets every token, those inside the SDK's credential too."""
        self._tokens.clear()
        if self._opened is not None:
            self._done_with.append(self._opened)  # another request may be using it
        self._opened = None

    async def close(self) -> None:
        self.renew()
        for credential in self._done_with:
            await credential.close()
        self._done_with.clear()

    async def _first_signed_in(self, scope: str) -> _Credential:
        """Raises SignInNeeded with a line for each way, but NetworkProblem where nobody could be asked."""
        reached = asyncio.ensure_future(raise_if_offline(self._authority))  # meanwhile: a program takes seconds
        try:
            found = await self._tried(scope)
            if isinstance(found, tuple):
                await reached
                raise SignInNeeded("nobody is signed in.", found)
            return found
        finally:
            reached.cancel()
            with suppress(asyncio.CancelledError, NetworkProblem):
                await reached

    async def _tried(self, scope: str) -> "_Credential | tuple[str, ...]":
        """The first account that gives a token, or why each does not."""
        reasons = []
        for source in (self.source,) if self.source else self.sources:
            credential = source.open()
            try:
                self._tokens[scope, None] = await credential.get_token_info(scope)
            except AzureError as error:
                await credential.close()
                reasons.append(f"{source.label}: {first_line(str(error)).rstrip('.')}.")
            else:
                self.source, self._opened = source, credential
                return credential
        return tuple(reasons)


class AzureCredential(Credential):
    """The SDK's credential protocol for one tenant (None: the account's home). Close the one that was made first."""

    def __init__(
        self,
        environment: AzureEnvironment,
        pool: _TokenPool,
        editor: EditorTokens | None,
        chosen: str,
        tenant: str | None = None,
    ) -> None:
        self._environment = environment
        self._pool = pool
        self._editor = editor
        self._chosen = chosen
        self.tenant = tenant

    def in_tenant(self, tenant: str) -> "AzureCredential":
        """The same account in that tenant."""
        return AzureCredential(self._environment, self._pool, self._editor, self._chosen, tenant)

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        given = options or {}
        return await self._pool.token(scopes[0], given.get("tenant_id") or self.tenant, given)

    async def refused(self, tenant: str | None) -> bool:
        """What to do when the cloud refused a token: take that tenant's, which it named, or a new one.

        Whether asking again makes sense.
        """
        if tenant is not None and tenant != self.tenant:
            self.tenant = tenant
        else:
            self._pool.renew()
        return True

    async def account(self) -> str:
        """Who is signed in and where, such as `ada@contoso.example (Azure CLI)`. Raises SignInNeeded."""
        token = await self.get_token_info(self._environment.scope)
        try:
            name = read_token(token.token).account
        except ValueError:
            name = None
        return f"{name or 'an account without a name'} ({self._pool.source.label if self._pool.source else ''})"

    @property
    def can_sign_in(self) -> bool:
        """Whether `sign_in` may be offered: not where another program's account was chosen."""
        return self._editor is not None or self._chosen in {"auto", "browser"}

    async def sign_in(self) -> str | None:
        """Asks the person to sign in, which opens a browser; what is to be known about it. Raises SignInNeeded."""
        if self._editor is not None:
            editor = self._editor
            if await editor(self._environment.scope, None, True) is None:
                raise SignInNeeded("nobody signed in to VS Code.")
            self._pool.use(_Source("VS Code", lambda: EditorCredential(editor)), EditorCredential(editor))
            return None
        credential = BrowserCredential(self._environment)
        try:
            await credential.sign_in()
        except AzureError as error:
            await credential.close()
            raise SignInNeeded(f"{first_line(str(error)).rstrip('.')}.") from error
        self._pool.use(_Source("browser", lambda: BrowserCredential(self._environment)), credential)
        if credential.is_remembered:
            return None
        return (
            "This computer has no encrypted store for the sign-in, so it ends with this command. "
            'With "az login" it lasts.'
        )

    async def close(self) -> None:
        await self._pool.close()

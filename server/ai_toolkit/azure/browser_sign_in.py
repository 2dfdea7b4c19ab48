"""An account that was signed in through the browser, and is remembered where this computer can keep it secret."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import platformdirs
from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.identity import (
    AuthenticationRecord,
    CredentialUnavailableError,
    InteractiveBrowserCredential,
    TokenCachePersistenceOptions,
)
from msal_extensions import build_encrypted_persistence  # type: ignore[import-untyped]

from ai_toolkit.azure.credential import Credential
from ai_toolkit.azure.environment import AzureEnvironment

log = logging.getLogger(__name__)

_CACHE_NAME: Final = "ai-toolkit"
_Result = TypeVar("_Result")


class BrowserCredential(Credential):
    """Tokens of the remembered account. Opens a browser in `sign_in` and nowhere else.

    The record beside the cache names the account and holds no secret; tokens are in the system's own store (Keychain,
    DPAPI, libsecret). Where there is none they live as long as this process.
    """

    def __init__(self, environment: AzureEnvironment) -> None:
        self._environment = environment
        self._record_file = platformdirs.user_data_path("ai-toolkit") / "signed-in.json"
        self._inner: InteractiveBrowserCredential | None = None
        self.is_remembered = True

    async def sign_in(self) -> None:
        """Opens the browser and waits for the person. Raises ClientAuthenticationError, CredentialUnavailableError."""
        credential = self._credential(None)
        record = await _in_thread(lambda: credential.authenticate(scopes=[self._environment.scope]))
        self._inner = credential
        if self.is_remembered:
            await asyncio.to_thread(_write, self._record_file, record.serialize())

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Raises CredentialUnavailableError when nobody signed in, or the tenant wants the person again."""
        if self._inner is None:
            self._inner = await asyncio.to_thread(self._remembered)
        inner = self._inner
        return await _in_thread(lambda: inner.get_token_info(*scopes, options=options))

    async def close(self) -> None:
        if self._inner is not None:
            await asyncio.to_thread(self._inner.close)

    def _remembered(self) -> InteractiveBrowserCredential:
        try:
            record = AuthenticationRecord.deserialize(self._record_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise CredentialUnavailableError("nobody signed in") from error
        except (OSError, ValueError, KeyError) as error:
            raise CredentialUnavailableError(f"{self._record_file} cannot be read") from error
        return self._credential(record)

    def _credential(self, record: AuthenticationRecord | None) -> InteractiveBrowserCredential:
        options: dict[str, Any] = {
            "authority": self._environment.authority,
            "additionally_allowed_tenants": ["*"],
            "disable_automatic_authentication": True,
            # Microsoft's directory of authorities does not know that of a private cloud.
            "disable_instance_discovery": self._environment.is_private,
        }
        if self._environment.certificates:
            options["connection_verify"] = self._environment.certificates
        if record is not None:
            options["authentication_record"] = record
        if self._can_keep_secrets():
            options["cache_persistence_options"] = TokenCachePersistenceOptions(name=_CACHE_NAME)
        else:
            self.is_remembered = False
        return InteractiveBrowserCredential(**options)

    def _can_keep_secrets(self) -> bool:
        """Whether this computer has an encrypted store, which shows only when it is opened."""
        try:
            build_encrypted_persistence(str(self._record_file.with_suffix(".cache")))
        except Exception as error:  # noqa: BLE001  (each system's store fails in its own way)
            log.debug("there is no encrypted store: %s", error)
            return False
        return True


async def _in_thread(work: Callable[[], _Result]) -> _Result:
    """The result of blocking work in a thread that does not keep a cancelled program alive, as a pool's would."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def hand_over(result: _Result | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("_Result", result))

    def run() -> None:
        result: _Result | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  (handed over to whoever waits)
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(hand_over, result, failure)

    threading.Thread(target=run, name="sign-in", daemon=True).start()
    return await done


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)

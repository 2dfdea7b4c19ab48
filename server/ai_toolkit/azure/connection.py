"""How the Azure SDK's clients reach a cloud: base URL, credential, authentication policy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineRequest

Client = TypeVar("Client")

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# The versions that infra/provision/inference.bicep deploys with: what is read is what was written.
APP_API_VERSION: Final = "2025-07-01"
STORAGE_API_VERSION: Final = "2025-08-01"


class _LoopbackBearerPolicy(AsyncBearerTokenCredentialPolicy[Any, Any]):
    """The SDK's bearer policy, which may also speak to this computer without TLS."""

    async def on_request(self, request: "PipelineRequest[Any]") -> None:
        host = urlsplit(request.http_request.url).hostname
        request.context.options["enforce_https"] = host not in LOOPBACK
        await super().on_request(request)


@dataclass(frozen=True)
class Connection:
    """A Resource Manager and the credential that it accepts."""

    base_url: str
    credential: AsyncTokenCredential
    scope: str

    def client(self, kind: Callable[..., Client], *arguments: str, **options: Any) -> Client:  # noqa: ANN401  (the SDK's own)
        """A client of the given SDK class; the caller closes it (`async with`)."""
        return kind(
            self.credential,
            *arguments,
            base_url=self.base_url,
            credential_scopes=[self.scope],
            authentication_policy=_LoopbackBearerPolicy(self.credential, self.scope),
            **options,
        )

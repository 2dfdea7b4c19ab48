"""How every connection leaves this computer: through which proxy, with which authorities, and what stands in its way.

| variable | meaning |
|---|---|
| `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` | the proxy, in either case; on macOS and Windows also the system's setting |
| `NO_PROXY` | what is reached without it: host names, `.contoso.com`, `*.contoso.com`, `10.0.0.0/8`, `host:port`, `*` |
| `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`, `NODE_EXTRA_CA_CERTS` | a PEM file with authorities to trust besides this \
computer's |
| `SSL_CERT_FILE` | a PEM file with authorities to trust instead of this computer's |

This computer's own ports are never asked through a proxy. What says so at the first answer is told at once: neither a
certificate nor a proxy's refusal becomes better by waiting.
"""

import errno
import fnmatch
import ipaddress
import os
import ssl
import urllib.request
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport

from ai_toolkit.errors import NetworkProblem

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_EXTRA: Final = "NODE_EXTRA_CA_CERTS"
_PORTS: Final = {"https": 443, "http": 80}
# Source: https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST = 9, 10, 62
_TRUST: Final = (
    "Where a company's proxy opens connections, name the PEM file of its authority in the environment variable "
    "REQUESTS_CA_BUNDLE, or in VS Code's setting aiToolkit.server.certificates."
)
_NO_NETWORK: Final = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH})
_OFFLINE_LIMIT: Final = aiohttp.ClientTimeout(total=10)
_PROXY: Final = "See HTTPS_PROXY and NO_PROXY in the environment, or VS Code's setting http.proxy."


def certificates() -> str | None:
    """The PEM file that the environment names, for what takes one file; None where it names none."""
    return next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), None)


def trust() -> ssl.SSLContext:
    """The authorities that every connection trusts. Raises NetworkProblem for a file that holds none."""
    return _context(tuple((name, os.environ[name]) for name in (*_BUNDLES, _EXTRA) if os.environ.get(name)))


@cache
def _context(named: tuple[tuple[str, str], ...]) -> ssl.SSLContext:
    """A context takes some hundredths of a second, so each is made once."""
    context = ssl.create_default_context()
    for name, path in named:
        try:
            if Path(path).is_dir():
                context.load_verify_locations(capath=path)
            else:
                context.load_verify_locations(cafile=path)
        except OSError as error:
            reason = "it is no PEM file with certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise NetworkProblem(f"{path} ({name})", f"cannot be used: {reason}", f"Correct {name}.") from error
    return context


def proxy_of(url: str) -> str | None:
    """The proxy through which the URL is reached; None for one that is reached without. Raises NetworkProblem."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or is_loopback(host) or _is_excepted(host, port, proxies.get("no", "")):
        return None
    if urllib.request.proxy_bypass(host):  # what the system's settings except, on macOS and Windows
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme.lower() not in {"http", "https"}:
        said = f"could not be asked: the proxy {_named(proxy)} is no HTTP proxy"
        raise NetworkProblem(host, said, f"Name an HTTP proxy. {_PROXY}")
    return proxy


def is_loopback(host: str) -> bool:
    """Whether the host is this computer itself, by name or by any of its own addresses."""
    if host in LOOPBACK or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _is_excepted(host: str, port: int, listed: str) -> bool:
    """Whether NO_PROXY lists the host, in any of the forms that people write."""
    for entry in listed.replace(" ", ",").lower().split(","):
        name, _, only = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        pattern = name.strip(".")
        if not pattern or (only and only != str(port)):
            continue
        if pattern == "*" or fnmatch.fnmatchcase(host, pattern) or host.endswith(f".{pattern.removeprefix('*.')}"):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(pattern, strict=False):
                return True
        except ValueError:  # a name
            continue
    return False


def session(url: str, **options: Any) -> aiohttp.ClientSession:  # noqa: ANN401  (aiohttp's own)
    """A client session for what is at the URL; the caller closes it. Raises NetworkProblem."""
    connector = aiohttp.TCPConnector(ssl=trust())
    return aiohttp.ClientSession(connector=connector, proxy=proxy_of(url), trust_env=False, **options)


def page_in_between(url: str, status: int) -> NetworkProblem:
    """The error for an answer that is a web page, which no service of Azure's gives."""
    said = f"was not asked: a web page came back ({status}), such as a proxy's or a network's sign-in page"
    return NetworkProblem(urlsplit(url).hostname or url, said, f"Open the address in a browser to see it. {_PROXY}")


class Transport(AioHttpTransport):  # type: ignore[misc]  # azure.core hides it from mypy
    """The SDK's transport over the same way. Raises NetworkProblem, which no retry policy tries again.

    `pages` says that an answer may be a web page: a file may, Resource Manager's JSON may not. With `known` the host is
    one that is always there: where not even its name is found at the first request, this computer is offline. Later it
    is asked again, as a network that goes away for a moment comes back.
    """

    session: aiohttp.ClientSession | None

    def __init__(self, *, pages: bool = False, known: bool = False) -> None:
        super().__init__()
        self._pages = pages
        self._tells_offline = known

    async def open(self) -> None:
        if self.session is None and not self._has_been_opened:
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trust()),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        await super().open()

    async def send(self, request: Any, **config: Any) -> Any:  # noqa: ANN401  (the SDK's own)
        """The answer to the request."""
        try:
            answer = await super().send(request, proxy=proxy_of(request.url), **config)
        except Exception as error:
            raise_if_blocked(error, request.url, offline=self._tells_offline)
            raise
        self._tells_offline = False
        kind = str(answer.headers.get("Content-Type", "")).lower()
        if answer.status_code == HTTPStatus.OK and kind.startswith("text/html") and not self._pages:
            raise page_in_between(request.url, answer.status_code)
        return answer


async def raise_if_offline(url: str) -> None:
    """Raises NetworkProblem where the URL's host, which is always there, cannot be reached from this computer."""
    try:
        async with session(url, timeout=_OFFLINE_LIMIT) as asked, asked.head(url, allow_redirects=False):
            return
    except aiohttp.ClientError as error:
        raise_if_blocked(error, url, offline=True)
    except TimeoutError as error:
        host = urlsplit(url).hostname or url
        raise NetworkProblem(host, "does not answer: this computer seems to be offline", _way(url)) from error


def raise_if_blocked(error: BaseException, url: str, *, offline: bool = False) -> None:
    """Raises NetworkProblem where a proxy or a certificate is what the connection to the URL failed at.

    With `offline` also where there is no network, or none that knows the host.
    """
    cause: BaseException | None = error
    while cause is not None:
        found = _problem(cause, url) or (_offline(cause, url) if offline else None)
        if found is not None:
            raise found from error
        cause = cause.__cause__


def _problem(error: BaseException, url: str) -> NetworkProblem | None:
    address = urlsplit(url).hostname or url
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate_problem(address, error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        reason: object = getattr(error.os_error, "reason", None) or error.os_error
        word = str(reason).replace("_", " ").lower()
        advice = f"Something in between may open or end TLS connections. {_TRUST}"
        return NetworkProblem(address, f"was reached, but TLS with it failed: {word}", advice)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        said = f"the proxy {_named(proxy_of(url))} does not answer ({error.strerror or error.os_error})"
    elif not isinstance(error, aiohttp.ClientHttpProxyError):
        return None
    elif error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        said = f"the proxy {_named(proxy_of(url))} wants a name and a password, which its address may hold (407)"
    else:
        said = f"the proxy {_named(proxy_of(url))} refused the connection ({error.status} {error.message})"
    return NetworkProblem(address, f"could not be asked: {said}", _PROXY)


def _offline(error: BaseException, url: str) -> NetworkProblem | None:
    if not isinstance(error, aiohttp.ClientConnectorError):
        return None
    unknown = isinstance(error, aiohttp.ClientConnectorDNSError)
    if not unknown and getattr(error.os_error, "errno", None) not in _NO_NETWORK:
        return None
    why = "its name is not found" if unknown else str(error.strerror or error.os_error).lower()
    said = f"cannot be reached: {why}. This computer seems to be offline"
    return NetworkProblem(urlsplit(url).hostname or url, said, _way(url))


def _way(url: str) -> str:
    """Through which proxy a URL is asked, and which variables say so."""
    proxy = proxy_of(url)
    if proxy is not None:
        return f"Connect to a network. It is asked through the proxy {_named(proxy)}. {_PROXY}"
    proxies = urllib.request.getproxies()
    why = "NO_PROXY excepts it" if proxies.get(urlsplit(url).scheme) or proxies.get("all") else "HTTPS_PROXY names none"
    return f"Connect to a network. It is asked without a proxy ({why}); where your network needs one, name it there."


def _certificate_problem(address: str, error: Exception) -> NetworkProblem:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return NetworkProblem(address, f"showed a certificate that is not trusted: {error}", _TRUST)
    said = f"showed a certificate that is not trusted: {error.verify_message}"
    if error.verify_code in {_NOT_YET_VALID, _EXPIRED}:
        now = datetime.now(UTC).isoformat(" ", "minutes")
        return NetworkProblem(address, said, f"This computer's clock says {now}: correct it if that is wrong.")
    if error.verify_code == _OTHER_HOST:
        return NetworkProblem(address, said, "Something else answers in its place: compare the address.")
    return NetworkProblem(address, said, _TRUST)


def _named(proxy: str | None) -> str:
    """The proxy for people: without name and password."""
    parts = urlsplit(proxy or "")
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname or "of the system")

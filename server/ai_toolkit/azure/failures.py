"""The SDK's exceptions as errors for people, judged by type, status and code, never by their text."""

import json
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from ai_toolkit.azure.network import page_in_between
from ai_toolkit.azure.policies import Violation, violations
from ai_toolkit.azure.share_failures import address_of, as_share_error, clock_difference
from ai_toolkit.errors import AiToolkitError, CloudError, CloudUnreachable, NetworkProblem, SignInNeeded
from ai_toolkit.known_causes import cause_of_code

_OF_THE_REQUEST: Final = ("RequestId:", "Time:", "ErrorCode:", "Content:")
_MESSAGES: Final = ("message", "error_description", "detail", "title")
_DEEPEST: Final = 20  # no answer of Azure's is nested so far
_WRONG_CLOCK: Final = timedelta(minutes=5)


def as_cloud_error(error: BaseException) -> AiToolkitError | None:
    """The error for people, or None when it did not come from an Azure SDK."""
    if isinstance(error, HttpResponseError):
        told = as_share_error(error) or _answered_in_between(error) or _wrong_clock(error)
        if told is not None:
            return told
    if isinstance(error, ClientAuthenticationError):
        _, message = innermost_of(error)
        silent = f"it answered {error.status_code} without a reason"
        own = error.message if error.response is None else ""
        return SignInNeeded(message or (first_line(own) if own else silent))
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return CloudUnreachable("The cloud", first_line(str(error)))
    if isinstance(error, HttpResponseError):
        code, message = innermost_of(error)
        cause = cause_of_code(code)
        policies = " ".join(one.in_words() for one in violations_of(error))
        likely = f" {policies or cause.says}" if cause else ""
        advice = "Nothing after this step was done. Correct the cause and run the command again."
        said = message or str(error.reason or "").strip() or "it gave no reason"
        named = f" ({code})" if code and code != said else ""
        return CloudError(
            f"The cloud answered {error.status_code}: {said}{named}.{likely}",
            f"{cause.advice} {advice}" if cause else advice,
        )
    if isinstance(error, AzureError):
        return CloudError(f"The cloud could not be used: {first_line(str(error))}", "Run the command again.")
    return None


def violations_of(error: HttpResponseError) -> tuple[Violation, ...]:
    """The policies that the cloud's answer names."""
    return violations(_body(error))


def _answered_in_between(error: HttpResponseError) -> NetworkProblem | None:
    """The error where no Azure service answered: a proxy's or a network's own page."""
    response = error.response
    if response is None:
        return None
    headers: Mapping[str, str] = getattr(response, "headers", {})
    page = headers.get("Content-Type", "").lower().startswith("text/html")
    if not page and response.status_code != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return None
    return page_in_between(address_of(response), response.status_code or 0)


def _wrong_clock(error: HttpResponseError) -> CloudError | None:
    """The error where a token or a certificate may have been refused for this computer's clock."""
    ahead = clock_difference(error.response) if isinstance(error, ClientAuthenticationError) else None
    if ahead is None or abs(ahead) < _WRONG_CLOCK:
        return None
    minutes, way = abs(ahead) // timedelta(minutes=1), "ahead of" if ahead > timedelta() else "behind"
    return CloudError(
        f"Azure refused the request, and this computer's clock is {minutes} minutes {way} Azure's.",
        "Set the clock, and run the command again.",
    )


def innermost_of(error: HttpResponseError) -> tuple[str, str]:
    """Code and message of the deepest detail of what the cloud answered; empty strings where it told none."""
    return innermost(_body(error))


def innermost(error: object) -> tuple[str, str]:
    """Code and message of the deepest detail of an ARM error object; empty strings where there is none.

    Nested errors also stand as JSON inside a message, as a failed deployment returns them; gateways, token endpoints
    and older services have forms of their own. What has none of them tells nothing, and never raises.
    """
    return _innermost(error, _DEEPEST)


def _innermost(error: object, left: int) -> tuple[str, str]:
    if isinstance(error, list):
        return next((found for one in error if any(found := _innermost(one, left - 1))), ("", "")) if left else ("", "")
    if not isinstance(error, Mapping) or not left:
        return "", ""
    known = {str(name).lower(): value for name, value in error.items()}  # some write their names with a capital
    for name in ("error", "odata.error", "details", "errors"):
        inner = known.get(name)
        if isinstance(inner, Mapping | list) and any(found := _innermost(inner, left - 1)):
            return found
    message = next((known[name] for name in _MESSAGES if known.get(name)), "")
    if isinstance(message, Mapping):  # {"lang": "en-us", "value": "…"}
        message = message.get("value") or ""
    message = str(message) if isinstance(message, str | int | float) else ""
    if any(found := _innermost(_nested(message), left - 1)):
        return found
    code = next((known[name] for name in ("code", "error") if isinstance(known.get(name), str)), "")
    return str(code), _in_one_line(message)


def _nested(message: str) -> object:
    """The JSON that a message holds, from its first bracket to its last."""
    first, last = message.find("{"), message.rfind("}")
    try:
        return json.loads(message[first : last + 1]) if -1 < first < last else None
    except (ValueError, RecursionError):
        return None


def _in_one_line(message: str | None) -> str:
    """The sentences of a message, without the lines that name the request that was refused."""
    lines = [line.strip() for line in (message or "").splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(_OF_THE_REQUEST)).rstrip(".")


def _body(error: HttpResponseError) -> Any:  # noqa: ANN401  (any JSON)
    try:
        return json.loads(error.response.text()) if error.response is not None else None
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None


def first_line(text: str | None) -> str:
    """The first line of a text, at most 300 characters of it."""
    return next(iter((text or "").strip().splitlines()), "no reason given")[:300]

"""The SDK's exceptions as errors for people, judged by type, status and code, never by their text."""

import json
from collections.abc import Mapping
from typing import Any, Final

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from ai_toolkit.errors import CloudError, CloudUnreachable, SignInNeeded
from ai_toolkit.known_causes import cause_of_code

_OF_THE_REQUEST: Final = ("RequestId:", "Time:", "ErrorCode:", "Content:")


def as_cloud_error(error: BaseException) -> CloudError | None:
    """The error for people, or None when it did not come from an Azure SDK."""
    if isinstance(error, ClientAuthenticationError):
        return SignInNeeded(first_line(error.message))
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return CloudUnreachable("The cloud", first_line(str(error)))
    if isinstance(error, HttpResponseError):
        code, message = innermost_of(error)
        cause = cause_of_code(code)
        likely = f" {cause.says}" if cause else ""
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


def innermost_of(error: HttpResponseError) -> tuple[str, str]:
    """Code and message of the deepest detail of what the cloud answered; empty strings where it told none."""
    code, message = innermost(_body(error))
    if code:
        return code, message
    # Azure Files answers XML, which its SDK has read; to a HEAD it answers with a header alone.
    answer: Any = error.response
    given = getattr(error, "error_code", None)
    if given is None and answer is not None:
        given = answer.headers.get("x-ms-error-code")
    has_text = bool(given) and answer is not None and answer.request.method != "HEAD"
    return str(getattr(given, "value", given) or ""), _in_one_line(error.message) if has_text else ""


def innermost(error: object) -> tuple[str, str]:
    """Code and message of the deepest detail of an ARM error object; empty strings where there is none.

    Nested errors also stand as JSON inside a message, as a failed deployment returns them.
    """
    if isinstance(error, Mapping):  # some resource providers write their names with a capital
        error = {str(name).lower(): value for name, value in error.items()}
    if isinstance(error, Mapping) and isinstance(error.get("error"), Mapping):
        return innermost(error["error"])
    if not isinstance(error, Mapping):
        return "", ""
    for detail in error.get("details") or ():
        found = innermost(detail)
        if any(found):
            return found
    message = str(error.get("message") or "")
    if message.lstrip().startswith("{"):
        try:
            found = innermost(json.loads(message))
        except ValueError:
            found = ("", "")
        if any(found):
            return found
    return str(error.get("code") or ""), _in_one_line(message)


def _in_one_line(message: str | None) -> str:
    """The sentences of a message, without the lines that name the request that was refused."""
    lines = [line.strip() for line in (message or "").splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(_OF_THE_REQUEST)).rstrip(".")


def _body(error: HttpResponseError) -> Any:  # noqa: ANN401  (any JSON)
    try:
        return json.loads(error.response.text()) if error.response is not None else None
    except (ValueError, AttributeError, TypeError):
        return None


def first_line(text: str | None) -> str:
    """The first line of a text, at most 300 characters of it."""
    return (text or "no reason given").strip().splitlines()[0][:300]

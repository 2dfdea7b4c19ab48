"""Azure Resource Manager's errors, and their shape over HTTP."""

from typing import Any

from aiohttp import web

JsonObject = dict[str, Any]
JsonValue = Any  # what `json.loads` returns: its shape is checked where it is used


class ArmError(Exception):
    """A refusal in Azure Resource Manager's words: status, code, message, target and details."""

    def __init__(  # noqa: PLR0913  # what Azure's errors are made of
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        target: str | None = None,
        details: list[JsonObject] | None = None,
        challenge: str | None = None,
        additional_info: list[JsonObject] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.target = target
        self.details = details
        self.challenge = challenge  # WWW-Authenticate
        self.additional_info = additional_info

    def add_place(self, outer: str) -> None:
        """Say the place from further outside: where what it happened in stands."""
        self.target = f"{outer}.{self.target}" if self.target else outer

    def body(self) -> JsonObject:
        """The error object, without its `error` envelope."""
        body: JsonObject = {"code": self.code, "message": self.message}
        if self.target is not None:
            body["target"] = self.target
        if self.details is not None:
            body["details"] = self.details
        if self.additional_info is not None:
            body["additionalInfo"] = self.additional_info
        return body

    def response(self) -> web.Response:
        """The refusal as an HTTP response."""
        return web.json_response({"error": self.body()}, status=self.status)


def resource_not_found(resource_id: str, group: str) -> ArmError:
    """404 for a resource that its group does not hold."""
    name = "/".join(resource_id.split("/providers/", 1)[-1].split("/"))
    return ArmError(
        "ResourceNotFound",
        f"The Resource '{name}' under resource group '{group}' was not found. For more details please go "
        "to https://aka.ms/ARMResourceNotFoundFix",
        status=404,
    )


def group_not_found(group: str) -> ArmError:
    """404 for a resource group."""
    return ArmError("ResourceGroupNotFound", f"Resource group '{group}' could not be found.", status=404)


def not_emulated(method: str, path: str) -> ArmError:
    """501 for what the local cloud does not do; never a polite 200."""
    return ArmError(
        "NotImplementedByLocalCloud",
        f"The local cloud does not emulate {method} {path}. Use Azure for this.",
        status=501,
        target=path,
    )


def not_emulated_value(value: str, target: str) -> ArmError:
    """501 for a choice that Azure offers and the local cloud does not act upon."""
    return ArmError(
        "NotImplementedByLocalCloud",
        f"The local cloud does not emulate '{value}' as {target}. Use Azure for this.",
        status=501,
        target=target,
    )

"""What `--json` prints, as JSON schemas: `aitk schema` publishes them, and the MCP server's tools promise the same."""

from collections.abc import Mapping
from typing import Any, Final

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_FLAG: Final = {"type": "boolean"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_SECONDS: Final = {"type": "number", "minimum": 0}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """An object that has these; a later version may tell more."""
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


_ACTION: Final = {
    "enum": [
        "nothing",
        "load adapters",
        "restart",
        "new revision",
        "hand over",
        "start",
        "wake",
        "follow the start",
        "load at next start",
    ],
    "description": "What a deploy does beside sending files.",
}
_ADAPTERS: Final = {
    "type": "array",
    "items": _object(
        {"name": _TEXT, "sha256": {**_TEXT, "description": "Of its weights; empty: the app does not tell."}}
    ),
    "description": "What a running replica loaded.",
}
_AMOUNT: Final = {"type": ["number", "null"], "minimum": 0}
_COST: Final = _object(
    {
        "since": {**_TEXT_OR_NULL, "description": "When the first of the replicas that run began."},
        "amount": {**_AMOUNT, "description": "About what they came to; null without a price."},
        "currency": _TEXT_OR_NULL,
        "hourly": {**_AMOUNT, "description": "An hour of one replica."},
        "listDate": {**_TEXT_OR_NULL, "description": "The day of the list of prices."},
        "warning": {**_TEXT, "description": "A sentence where a replica is billed though nobody may be asking."},
    }
)
_SWITCHED: Final = _object(
    {
        "app": _TEXT,
        "changed": {**_FLAG, "description": "False where it was so already."},
        "stopped": {**_FLAG, "description": "What is true now."},
    }
)
_LIVE: Final = _object(
    {
        "detail": {**_TEXT, "description": "What the replica does, or why none runs."},
        "revision": _TEXT,
        "replicas": _TEXTS,
        "deployed": {**_TEXT_OR_NULL, "description": "When the files on the share were deployed."},
        "commit": _TEXT_OR_NULL,
        "baseModel": {**_TEXT_OR_NULL, "description": "What a running replica loaded."},
        "adapters": _ADAPTERS,
        "device": {**_TEXT_OR_NULL, "description": "Where a running replica computes."},
        "dtype": _TEXT_OR_NULL,
        "gpu": _TEXT_OR_NULL,
        "warnings": _TEXTS,
        "newer": {**_TEXTS, "description": "Files here that are newer than what is deployed."},
        "cost": _COST,
        "another": {**_TEXT, "description": "A sentence about a second revision; else empty."},
    }
)
_MODEL: Final = _object(
    {
        "name": {
            **_TEXT,
            "description": "Its name in requests; empty: the endpoint's default, in requests without one.",
        },
        "fineTuned": _FLAG,
        "contextTokens": {**_COUNT, "description": "Prompt and answer together."},
    }
)
_EVALUATED: Final = _object(
    {
        "model": _TEXT,
        "passed": _COUNT,
        "judged": {**_COUNT, "description": "Cases that can pass or fail."},
        "changed": {"type": ["integer", "null"], "description": "Answers that are not those of `against`."},
        "logLikelihood": {"type": ["number", "null"], "description": "Of the reference texts, a token on average."},
        "tokensPerSecond": {"type": "number"},
    }
)

SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "init": _object(
        {
            "directory": _TEXT,
            "added": _TEXTS,
            "updated": {**_TEXTS, "description": "Of an earlier version and as it was shipped: this version's now."},
            "changedByYou": {**_TEXTS, "description": "Older than this version, and left as it is."},
        }
    ),
    "provision": _object(
        {
            "whatIf": {**_FLAG, "description": "Whether this is a preview: nothing was done."},
            "endpoint": {**_TEXT_OR_NULL, "description": "Null in a preview, and for an app without ingress."},
            "created": {**_TEXTS, "description": "Resource ids; in a preview those that would be."},
            "updated": _TEXTS,
            "unchanged": _TEXTS,
            "ignored": {**_TEXTS, "description": "Resources that are not of the template."},
        }
    ),
    "deploy": _object(
        {
            "dryRun": {**_FLAG, "description": "Whether this is a preview: nothing was done."},
            "endpoint": _TEXT,
            "action": _ACTION,
            "uploaded": {**_COUNT, "description": "Files that were sent."},
            "bytes": {**_COUNT, "description": "Content that was sent; in a preview, that would be."},
            **dict.fromkeys(("added", "changed", "removed", "conflicting"), _TEXTS),
            "unchanged": _COUNT,
            "revision": {**_TEXT_OR_NULL, "description": "Which serves, or would."},
            "baseModel": _TEXT_OR_NULL,
            "adapters": _ADAPTERS,
            "seconds": _SECONDS,
        }
    ),
    "status": _object(
        {
            "provisioned": _FLAG,
            "local": _FLAG,
            "endpoint": _TEXT_OR_NULL,
            "ready": {**_FLAG, "description": "A replica answers; false also while the model sleeps."},
            "live": {"anyOf": [_LIVE, {"type": "null"}], "description": "Null where it could not be looked at."},
        }
    ),
    "prices": _object(
        {
            "date": _TEXT,
            "source": _TEXT,
            "currency": _TEXT,
            "prices": {
                "type": "array",
                "items": _object({"profile": _TEXT, "region": _TEXT, "hourly": {"type": "number", "minimum": 0}}),
            },
        }
    ),
    "stop": _SWITCHED,
    "start": _SWITCHED,
    "down": _object(
        {
            "dryRun": {**_FLAG, "description": "Whether this is a preview: nothing was done."},
            "removed": _TEXTS,
            "stays": {**_TEXTS, "description": "Each with its reason."},
        }
    ),
    "models": _object({"models": {"type": "array", "items": _MODEL}, "detail": _TEXT}),
    "eval": _object(
        {
            "cases": _COUNT,
            "against": {**_TEXT, "description": "The model that the others are compared with."},
            "models": {"type": "array", "items": _EVALUATED},
            "page": {**_TEXT, "description": "The page with the answers side by side."},
            "document": {**_TEXT, "description": "The same as JSON."},
        }
    ),
    "chat": _object({"answer": _TEXT}),
    "logs": _object({"lines": _TEXTS}),
    "key": _object({"key": _TEXT}),
    "link": _object({"link": _TEXT}),
    "local-cloud": _object(
        {
            "running": _FLAG,
            "resourceManager": _TEXT_OR_NULL,
            "files": _TEXT_OR_NULL,
            "home": _TEXT,
            "tokenFile": _TEXT,
            "apps": {
                "type": "array",
                "items": _object(
                    {"endpoint": _TEXT_OR_NULL, "app": _TEXT, "resourceGroup": _TEXT, "workspace": _TEXT_OR_NULL}
                ),
            },
        }
    ),
    "demo": _object(dict.fromkeys(("directory", "endpoint", "question", "base", "fineTuned"), _TEXT)),
    "error": _object(
        {
            "error": _object(
                {
                    "code": {**_TEXT, "description": "Stable: programs decide by it, never by the sentence."},
                    "message": _TEXT,
                    "advice": _TEXT,
                    "details": _TEXTS,
                }
            )
        }
    ),
}
"""By command: whatever its options are, its result has one shape. `error` is what each prints when it fails."""


def schema(name: str) -> dict[str, Any]:
    """The schema of what a command prints, whole."""
    return {"$schema": _DIALECT, "title": f"aitk {name} --json" if name != "error" else "an error", **SCHEMAS[name]}

"""What a line of `evaluation/*.jsonl` holds, as a JSON schema: the reader, the editor and `aitk schema` all take it."""

from collections.abc import Mapping
from typing import Any, Final

ROLES: Final = ("system", "developer", "user", "assistant", "tool")
USUAL_MAX_TOKENS: Final = 256
_MOST_TOKENS: Final = 8192

EXPECTED: Final[Mapping[str, Any]] = {
    "exact": {
        "type": "string",
        "description": "The whole answer, but for space around it.",
    },
    "contains": {
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        ],
        "description": "A text that the answer contains, or a list of texts, all of which it contains.",
    },
    "regex": {
        "type": "string",
        "minLength": 1,
        "description": "A regular expression (Python's) that is found somewhere in the answer.",
    },
    "json_schema": {
        "type": ["object", "boolean"],
        "description": "The answer is JSON that this schema allows; true allows any JSON.",
    },
    "reference": {
        "type": "string",
        "minLength": 1,
        "description": "A good answer: how probable the model finds each of its tokens is measured, not judged.",
    },
}

CASE: Final[Mapping[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A case: a conversation, and what is expected of the model's next answer",
    "type": "object",
    "required": ["messages", "expected"],
    "additionalProperties": False,
    "properties": {
        "name": {
            "type": "string",
            "minLength": 1,
            "description": "What the case is called in tables and in the editor.",
        },
        "messages": {
            "type": "array",
            "minItems": 1,
            "description": "The conversation, as in a chat request; its last turn is the one to answer.",
            "items": {
                "type": "object",
                "required": ["role", "content"],
                "properties": {
                    "role": {"enum": list(ROLES), "description": "Who speaks."},
                    "content": {
                        "type": ["string", "array", "null"],
                        "description": "What is said.",
                    },
                },
            },
        },
        "expected": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "description": "What must be true of the answer: all of what stands here.",
            "properties": dict(EXPECTED),
        },
        "max_tokens": {
            "type": "integer",
            "minimum": 1,
            "maximum": _MOST_TOKENS,
            "default": USUAL_MAX_TOKENS,
            "description": f"The longest answer, in tokens; {USUAL_MAX_TOKENS} where nothing is said.",
        },
    },
}

"""Which parameters of a request ask for nothing, and are therefore no reason to refuse it.

Programs send every field that their client knows: null, empty, at its default, or of use only to the service that they
were written for. None of these changes an answer. What would change it and cannot be done is still refused by name.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

_EMPTY: tuple[object, ...] = (None, "", [], {})
# Whatever their value is: for bookkeeping, caching and the speed of other services.
_CHANGE_NO_ANSWER = frozenset(
    {"metadata", "user", "service_tier", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
    | {"prediction", "priority", "request_id", "rid", "keep_alive", "cache_prompt", "cache_control", "provider"}
    | {"usage", "session_id", "annotations", "prompt_cache_options"}
    | {"ctx_len", "num_ctx"}  # how long a local server's context shall be: what does not fit here is refused
)
# Values that say what happens anyway; more than one service's word for it.
_DEFAULTS: dict[str, tuple[object, ...]] = {
    "best_of": (1,),
    "echo": (False,),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "verbosity": ("medium",),
    "use_beam_search": (False,),
    "length_penalty": (1,),
    "early_stopping": (False,),
    "include_stop_str_in_output": (False,),
    "spaces_between_special_tokens": (True,),
    "add_generation_prompt": (True,),
    "add_special_tokens": (False,),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "prompt_logprobs": (0,),
    "detokenize": (True,),
    "typical_p": (1,),
    "tfs_z": (1,),
    "top_a": (0,),
    "mirostat": (0,),
    "dry_multiplier": (0,),
    "xtc_probability": (0,),
    "include_reasoning": (True,),
    "separate_reasoning": (True,),
    "logprobs": (False,),
    "background": (False,),
    "truncation": ("disabled", "auto"),  # what does not fit is refused, and never cut
}


def asks_for_nothing(name: str, value: Any) -> bool:  # noqa: ANN401 - of JSON
    """Whether a parameter that nothing is known of changes no answer at this value."""
    if name in _CHANGE_NO_ANSWER or name.endswith("cache_control"):
        return True
    if _is_empty(value):
        return True
    if name not in _DEFAULTS and (value is False or value == {"enabled": False}):  # something is not wanted
        return True
    return any(value == default and _alike(value, default) for default in _DEFAULTS.get(name, ()))


def _described(schema: dict[str, Any], body: type[BaseModel]) -> None:
    """Tell in a body's JSON schema what is taken besides its fields."""
    known, needed = schema.setdefault("properties", {}), schema.get("required", ())
    for name, field in known.items():
        if name not in needed and {"type": "null"} not in field.get("anyOf", ()):
            about = {key: field.pop(key) for key in ("title", "default", "description") if key in field}
            known[name] = {"anyOf": [field, {"type": "null"}], **about}
    for other, name in getattr(body, "other_names", {}).items():
        known[other] = known[name]
    ignored = sorted((_CHANGE_NO_ANSWER | getattr(body, "also_ignored", frozenset())) - known.keys())
    schema["patternProperties"] = {f"^({'|'.join(ignored)}|.*cache_control)$": {}} | {
        f"^{name}$": {"enum": [*_EMPTY, *values]} for name, values in _DEFAULTS.items() if name not in known
    }
    schema["additionalProperties"] = {
        "enum": [*_EMPTY, False],
        "description": "What is not known may ask for nothing only",
    }


class Body(BaseModel):
    """A part of a request: what asks for nothing is left out, what is not known is refused by name.

    Ignoring a parameter that was meant to do something would give answers that nobody asked for.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_extra=_described)
    also_ignored: ClassVar[frozenset[str]] = frozenset()
    other_names: ClassVar[dict[str, str]] = {}  # other servers' words for fields, where these are not there
    empty_is_said: ClassVar[frozenset[str]] = frozenset()  # fields that may lack, and whose empty value is one

    @model_validator(mode="before")
    @classmethod
    def _without_what_asks_for_nothing(cls, data: Any) -> Any:  # noqa: ANN401 - of JSON
        if not isinstance(data, dict):
            return data
        known = {field.alias or name: field for name, field in cls.model_fields.items()}
        data = {cls._own_name(name, data): value for name, value in data.items()}

        def is_left_out(name: str, value: object) -> bool:
            if name not in known:
                return name in cls.also_ignored or asks_for_nothing(name, value)
            may_lack = not known[name].is_required() and name not in cls.empty_is_said
            return value is None or (may_lack and _is_empty(value))

        return {name: value for name, value in data.items() if not is_left_out(name, value)}

    @classmethod
    def _own_name(cls, name: str, data: dict[str, object]) -> str:
        own = cls.other_names.get(name, name)
        return name if data.get(own) is not None else own


def _is_empty(value: object) -> bool:
    return any(value == empty and type(value) is type(empty) for empty in _EMPTY)


def _alike(value: object, default: object) -> bool:
    """`True` equals 1 in Python and not in JSON."""
    return isinstance(value, bool) == isinstance(default, bool)

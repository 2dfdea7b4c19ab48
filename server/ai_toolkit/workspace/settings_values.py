"""What the values in `inference/settings.toml` may be, as the app that reads them says; told while they are edited."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "sampling_defaults": ("model", "openai"),
    "dtype": ("auto", "float32", "bfloat16", "float16", "float64"),
    "quantization": ("none", "nf4", "int8"),
}
"""The keys whose value is one of a few. A test holds these two tables against the app's own."""
BOUNDS: Final[Mapping[str, tuple[int, int | None]]] = {
    "context_length": (0, None),
    "max_batch": (1, 1024),
    "max_queue": (0, 100_000),
    "max_new_tokens": (1, None),
    "unstreamed_seconds": (1, 86_400),
}
"""The least and the most that a number may be."""
_KINDS: Final[Mapping[type, str]] = {str: "text", int: "a whole number", bool: "true or false"}
_COMPUTED_IN: Final = ("auto", "bfloat16")


@dataclass(frozen=True)
class WrongValue:
    """A key whose value the app refuses, why, and the value that was meant where there is one."""

    key: str
    message: str
    meant: str | None = None


def wrong_values(settings: Mapping[str, Any], shipped: Mapping[str, Any]) -> Iterator[WrongValue]:
    """What the app would refuse at its start; `shipped` are its defaults, which tell each key's kind."""
    for key, value in settings.items():
        if key not in shipped or key == "adapters":
            continue
        kind, (least, most) = type(shipped[key]), BOUNDS.get(key, (None, None))
        if key in CHOICES and value not in CHOICES[key]:
            like = difflib.get_close_matches(str(value).lower(), CHOICES[key], n=1)
            message = f"{key}: {value!r} is not one of {', '.join(CHOICES[key])}."
            yield WrongValue(key, message, like[0] if like and isinstance(value, str) else None)
        elif type(value) is not kind:
            yield WrongValue(key, f"{key}: {value!r} is not {_KINDS[kind]}.")
        elif least is not None and value < least:
            yield WrongValue(key, f"{key}: {value} is less than {least}.", str(least))
        elif most is not None and value > most:
            yield WrongValue(key, f"{key}: {value} is more than {most}.", str(most))


def wrong_together(settings: Mapping[str, Any], base_config: Mapping[str, Any]) -> Iterator[WrongValue]:
    """Values that are right alone; `base_config` is what is known here of the base model."""
    if settings.get("quantization") != "int8":
        return
    device, dtype, packed = (
        settings.get("device", "auto"),
        settings.get("dtype"),
        base_config.get("quantization_config"),
    )
    if str(device).startswith("cuda"):
        message = f'quantization: int8 is for a processor, and device is "{device}": write nf4, or device = "cpu".'
        yield WrongValue("quantization", message, "nf4")
    if dtype in CHOICES["dtype"] and dtype not in _COMPUTED_IN:
        message = f'dtype: quantization = "int8" computes in bfloat16, and {dtype} asks for something else: write auto.'
        yield WrongValue("dtype", message, "auto")
    if isinstance(packed, Mapping):
        method = packed.get("quant_method", "of an unknown kind")
        message = (
            f"quantization: the base model's weights are in few bits already ({method}): write none instead of int8."
        )
        yield WrongValue("quantization", message, "none")

"""The settings: one class, from which the file, the environment variables and the flags are read."""

from __future__ import annotations

import argparse
import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from aitk_app.text_files import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


_PLACE = re.compile(r"at (line \d+, column \d+|end of document)")


class SettingsError(Exception):
    """A setting is unknown or impossible; the message names it and says what is allowed."""


def _setting(default: Any, description: str, **bounds: Any) -> Any:  # noqa: ANN401 - like dataclasses.field
    return field(default=default, metadata={"description": description, **bounds})


@dataclass(frozen=True)
class Settings:
    """What `settings.toml` may say; that file explains each key at length."""

    base_model: str = _setting("auto", "base model: auto, a path, or a hub id with its revision, org/name@revision")
    adapters: str | tuple[str, ...] | Mapping[str, str] = _setting(
        "auto", "adapters to serve: auto, none, or paths below models/ separated by commas"
    )
    default_adapter: str = _setting("", "adapter that answers when a request names no model")
    serve_base: bool = _setting(True, "whether the base model answers too")
    prompt_template: str = _setting("auto", "auto (the tokenizer's), or one turn's text with {}")
    sampling_defaults: str = _setting(
        "model",
        "sampling of requests that say nothing: model (generation_config.json), openai",
        choices=("model", "openai"),
    )
    dtype: str = _setting("auto", "numbers' type", choices=("auto", "float32", "bfloat16", "float16", "float64"))
    quantization: str = _setting(
        "none", "none, nf4 (a GPU, bitsandbytes) or int8 (a processor)", choices=("none", "nf4", "int8")
    )
    merged_copy: bool = _setting(True, "whether one adapter gets merged weights beside the base's, memory allowing")
    device: str = _setting("auto", "auto, cpu, cuda, cuda:1")
    context_length: int = _setting(0, "longest prompt and answer, in tokens; 0: the model's", minimum=0)
    max_batch: int = _setting(32, "requests answered at the same time", minimum=1, maximum=1024)
    max_queue: int = _setting(256, "requests that may wait", minimum=0, maximum=100_000)
    max_new_tokens: int = _setting(1024, "longest answer when a request does not say, in tokens", minimum=1)
    unstreamed_seconds: int = _setting(
        230, "longest time for an answer that is not streamed, in seconds", minimum=1, maximum=86_400
    )
    trust_remote_code: bool = _setting(False, "whether code that comes with a model may run")


def read_settings(file: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings of `file`, overridden by environment and arguments. Raises `SettingsError`."""
    given: dict[str, Any] = {}
    if file.is_file():
        try:
            given = tomllib.loads(text_of(file.read_bytes()))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            place = _PLACE.search(str(error))  # the exception tells it in words only
            raise SettingsError(f"{file.name} is not valid TOML{f' {place[0]}' if place else ''}.") from error
    known = {each.name: each for each in fields(Settings)}
    for name in given:
        if name not in known:
            raise SettingsError(f"{file.name}: unknown key {name!r}. Known: {', '.join(known)}.")
    parser = argparse.ArgumentParser(prog="gradio_chat.py", description="Serves a base model and its adapters.")
    for name, each in known.items():
        default = os.fspath(each.default) if isinstance(each.default, str) else each.default
        text = f"{each.metadata['description']} (default: {default!r})".replace("%", "%%")
        parser.add_argument(f"--{name.replace('_', '-')}", help=text, metavar="VALUE")
    flags = vars(parser.parse_args(arguments))
    values: dict[str, Any] = {}
    for name, each in known.items():
        where, value = f"{file.name}: {name}", given.get(name, each.default)
        if (variable := environment.get(f"AITK_{name.upper()}")) is not None:
            where, value = f"AITK_{name.upper()}", _from_text(variable, each.default)
        if (flag := flags[name]) is not None:
            where, value = f"--{name.replace('_', '-')}", _from_text(flag, each.default)
        values[name] = _checked(where, value, each.default, each.metadata)
    return Settings(**values)


def _from_text(text: str, like: object) -> object:
    """The value that an environment variable or a flag means; what does not fit is left for `_checked`."""
    if isinstance(like, bool):
        return {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}.get(text.lower(), text)
    if isinstance(like, int):
        return int(text) if text.lstrip("-").isdecimal() else text
    return text


def _checked(where: str, value: Any, default: object, bounds: Mapping[str, Any]) -> object:  # noqa: ANN401 - of TOML
    if where.endswith("adapters"):
        return _adapters(where, value)
    if "choices" in bounds and value not in bounds["choices"]:
        raise SettingsError(f"{where}: {value!r} is not one of {', '.join(bounds['choices'])}.")
    if type(value) is not type(default):
        raise SettingsError(f"{where}: {value!r} is not {_KINDS[type(default)]}.")
    if "minimum" in bounds and value < bounds["minimum"]:
        raise SettingsError(f"{where}: {value} is less than {bounds['minimum']}.")
    if "maximum" in bounds and value > bounds["maximum"]:
        raise SettingsError(f"{where}: {value} is more than {bounds['maximum']}.")
    return value


_KINDS = {str: "text", int: "a whole number", bool: "true or false"}


def _adapters(where: str, value: object) -> str | tuple[str, ...] | dict[str, str]:
    if isinstance(value, str):
        if value in {"auto", "none"}:
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return tuple(value)
    if isinstance(value, dict) and value and all(isinstance(each, str) for each in value.values()):
        return {str(name): path for name, path in value.items()}
    raise SettingsError(f'{where}: must be "auto", "none", a list of paths, or a table of names and paths.')

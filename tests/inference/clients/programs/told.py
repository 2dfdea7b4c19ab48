"""What a client's program tells: a line of JSON for each feature, which worked or did not, and why not."""

import asyncio
import inspect
import json
import os
import traceback

URL, KEY, MODEL = (os.environ[name] for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "MODEL"))
PROMPT = "<|start|>user\nHi<|end|><|start|>assistant\n"
TOO_LONG = "word " * 40_000
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER_TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather in a city.", "parameters": WEATHER},
}
ASKED = "What is the weather in Rome?"
_loop = asyncio.new_event_loop()  # one for all: clients keep their connections


def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Its name.
    """
    return f"sunny in {city}"


def shows(feature):
    """The function is run at once, and may be a coroutine."""

    def tried(function):
        try:
            done = function()
            if inspect.isawaitable(done):
                _loop.run_until_complete(done)
        except Exception as error:  # noqa: BLE001 - told below
            traceback.print_exc()
            told = {"feature": feature, "works": False, "why": f"{type(error).__name__}: {error}"[:400]}
        else:
            told = {"feature": feature, "works": True, "why": ""}
        print("TOLD " + json.dumps(told), flush=True)  # noqa: T201 - what is read of it
        return function

    return tried


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def holds(found, part):
    assert part in found, f"{part!r} is not in {found!r}"

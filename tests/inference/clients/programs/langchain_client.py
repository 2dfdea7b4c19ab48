"""LangChain: its standard suite for chat models, which goes by chat completions, and the Responses API beside it."""

import os
import shutil
from pathlib import Path

import pytest
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel
from told import ASKED, MODEL, PROMPT, WEATHER_TOOL, same, shows

SUITE = Path(__file__).with_name("langchain_suite.py")
# Which of the suite's tests show a feature, by their names; all of them show that it can chat.
SHOWN_BY = {
    "chat": "",
    "streamed": "stream",
    "two turns": "conversation",
    "tools": "tool",
    "tools streamed": "tool_calling",  # which it does whole and streamed
    "structured output": "structured",
}


class Outcomes:
    """What became of each test."""

    def __init__(self):
        self.failed, self.passed = [], []

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(f"{report.nodeid}: {report.longrepr}"[-3000:])
        elif report.when == "call" and report.passed:
            self.passed.append(report.nodeid)


outcomes = Outcomes()
FOLDER = Path(os.environ["JUDGED_WITH"])  # with settings of its own, not this repository's
(FOLDER / "pytest.ini").write_text("[pytest]\n")
shutil.copy(SUITE, FOLDER / "test_suite.py")
LOOP = ("asyncio_mode=auto", "asyncio_default_test_loop_scope=session", "asyncio_default_fixture_loop_scope=session")
pytest.main(
    [
        str(FOLDER / "test_suite.py"),
        "-q",
        "-p",
        "no:cacheprovider",
        *(word for each in LOOP for word in ("-o", each)),
    ],
    plugins=[outcomes],
)


for feature, part in SHOWN_BY.items():

    @shows(feature)
    def _(part=part):
        assert any(part in each for each in outcomes.passed)
        assert len(outcomes.passed) > 35
        same([each for each in outcomes.failed if part in each.partition(":")[2]], [])


class Person(BaseModel):
    name: str
    age: int


@shows("Responses API")
def _():
    model = ChatOpenAI(model=MODEL, use_responses_api=True, max_retries=0)
    first = model.invoke("Say hello")
    same(first.text, "Turn 1: Say hello")
    same(model.invoke([("user", "Say hello"), first, ("user", "And again")]).text, "Turn 2: And again")
    same("".join(each.text for each in model.stream("Say hello")), "Turn 1: Say hello")
    called = model.bind_tools([WEATHER_TOOL]).invoke(ASKED)
    same(called.tool_calls[0]["args"], {"city": "Rome"})
    assert isinstance(model.with_structured_output(Person).invoke("Say hello"), Person)


@shows("completions")
def _():
    same(OpenAI(model=MODEL, max_retries=0, max_tokens=4).invoke(PROMPT), "Turn")

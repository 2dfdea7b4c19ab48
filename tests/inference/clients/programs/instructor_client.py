"""instructor, which makes objects of answers in several ways."""

import instructor
import openai
from pydantic import BaseModel
from told import MODEL, same, shows

ASKED = [{"role": "user", "content": "Who is it? Jason is 25 years old"}]


class Person(BaseModel):
    name: str
    age: int


def client(mode):
    return instructor.from_openai(openai.OpenAI(max_retries=0), mode=mode)


def made(mode, **more):
    return client(mode).chat.completions.create(
        model=MODEL, messages=ASKED, response_model=Person, max_retries=1, **more
    )


@shows("tools")
def _():
    same(made(instructor.Mode.TOOLS).model_dump(), {"name": "Jason", "age": 25})
    assert isinstance(made(instructor.Mode.TOOLS_STRICT), Person)


@shows("tools streamed")
def _():
    found = client(instructor.Mode.TOOLS).chat.completions.create_partial(
        model=MODEL, messages=ASKED, response_model=Person
    )
    same(list(found)[-1].model_dump(), {"name": "Jason", "age": 25})


@shows("structured output")
def _():
    for mode in (instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA):
        assert isinstance(made(mode), Person), mode


@shows("Responses API")
def _():
    assert isinstance(made(instructor.Mode.RESPONSES_TOOLS), Person)

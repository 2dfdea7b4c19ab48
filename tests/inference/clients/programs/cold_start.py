"""A stock client's first call, to an endpoint that is asleep: nothing is set but address, key and model."""

# ruff: noqa: PLC0415 - each environment has one of these

import sys
from concurrent.futures import ThreadPoolExecutor

from told import KEY, MODEL, URL, shows

QUESTION = "What is the capital of Japan?"
ASKED = [{"role": "user", "content": QUESTION}]


def openai_whole():
    from openai import OpenAI

    return OpenAI().chat.completions.create(model=MODEL, messages=ASKED, max_tokens=8).choices[0].message.content


def openai_streamed():
    from openai import OpenAI

    chunks = OpenAI().chat.completions.create(model=MODEL, messages=ASKED, max_tokens=8, stream=True)
    return "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)


def langchain_whole():
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=MODEL, max_tokens=8).invoke(QUESTION).content


def langchain_streamed():
    from langchain_openai import ChatOpenAI

    return "".join(each.content for each in ChatOpenAI(model=MODEL, max_tokens=8).stream(QUESTION))


def litellm_whole():
    import litellm

    found = litellm.completion(f"openai/{MODEL}", ASKED, api_base=URL, api_key=KEY, max_tokens=8)
    return found.choices[0].message.content


def litellm_streamed():
    import litellm

    chunks = litellm.completion(f"openai/{MODEL}", ASKED, api_base=URL, api_key=KEY, max_tokens=8, stream=True)
    return "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)


with ThreadPoolExecutor(2) as both:
    asking = {how: both.submit(globals()[f"{sys.argv[1]}_{how}"]) for how in ("whole", "streamed")}
    for how, asked in asking.items():

        @shows(how)
        def _(asked=asked):
            assert asked.result()

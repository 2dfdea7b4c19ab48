"""DSPy: by the marks that it asks for."""

import dspy
from told import KEY, MODEL, URL, same, shows

model = dspy.LM(f"openai/{MODEL}", api_base=URL, api_key=KEY, cache=False, num_retries=0)
dspy.configure(lm=model)


@shows("chat")
def _():
    same(model("Say hello"), ["Turn 1: Say hello"])


@shows("two turns")
def _():
    turns = [("user", "Say hello"), ("assistant", "Hello"), ("user", "And again")]
    same(model(messages=[{"role": role, "content": text} for role, text in turns]), ["Turn 2: And again"])


@shows("structured output")
def _():
    assert isinstance(dspy.Predict("question -> answer: str, count: int")(question="Say").count, int)

"""Every architecture and every kind of adapter answers as transformers and peft do, or is refused in words."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.support.inference.adapter_kinds import KINDS, OTHER_KINDS
from tests.support.inference.architectures import architectures
from tests.support.inference.conformance import How, try_adapter, try_architecture

PAGE = (Path(__file__).parents[3] / "inference/MODELS.md").read_text()
WHOLE = os.environ.get("AITK_WHOLE_CONFORMANCE") == "1"
# Those that the product is made for, those that must be served, and every ninth of the others.
NAMED = [
    "llama",
    "phi3",
    "qwen2",
    "gemma3_text",
    "mistral",
    "falcon",
    "bloom",
    "mpt",
    "gptj",
    "deepseek_v2",
    "deepseek_v3",
]
# Of what is no LoRA: multiplied, merged by a product, rotated, and with a bank of vectors that layers share.
ADAPTERS = [kind for kind in KINDS if WHOLE or kind not in OTHER_KINDS or kind in {"IA3", "LOKR", "OFT", "VBLORA"}]
BESIDE = [kind for kind in KINDS if "base" not in KINDS[kind] and kind not in OTHER_KINDS] + ["IA3"]
SAMPLE = sorted({*NAMED, *architectures()[::9]})

# What was fast and right once stays so; and no kind's count falls.
FAST = (Path(__file__).parent / "fast.txt").read_text().split()
LEAST = {"Base models": {How.FAST: 101, How.ALONE: 85}, "Adapters": {How.FAST: 50, How.ALONE: 8}}
MOST = {"Base models": {How.REFUSED: 3, How.NOT_TRIED: 0}, "Adapters": {How.REFUSED: 0, How.NOT_TRIED: 0}}

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers and peft, about what only training needs


@pytest.mark.parametrize("kind", architectures() if WHOLE else SAMPLE)
def test_a_base_model_answers_as_its_own_generate_does(kind):
    """What is in the table is what is found."""
    cell = try_architecture(kind)

    assert cell.how is not How.WRONG
    assert str(cell) in PAGE


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_answers_as_peft_does(kind, tmp_path):
    """The only one, beside the base model; what is in the table is what is found."""
    cell = try_adapter(kind, tmp_path)

    assert cell.how is not How.WRONG
    assert str(cell) in PAGE


@pytest.mark.parametrize("kind", BESIDE)
def test_an_adapter_answers_as_peft_does_beside_others(kind, tmp_path):
    """Mixed with another kind of adapter and the base model, in one batch or beside it."""
    others = ("plain", "dora") if WHOLE else ("plain",)
    cell = try_adapter(kind, tmp_path, others=[each for each in others if each != kind])

    assert cell.how in {How.FAST, How.ALONE}


@pytest.mark.parametrize("kind", ["plain", "dora", "head saved", "alora", "pissa", "added tokens"])
def test_an_adapter_answers_as_peft_does_without_the_base(kind, tmp_path):
    """`serve_base = false`: in the base's place where its weights can be, else beside it."""
    assert try_adapter(kind, tmp_path, serve_base=False).how in {How.FAST, How.ALONE}


def section(title):
    """The page's rows below this title, name -> how, and the sentence with the counts."""
    text = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| .*\|$", text, re.MULTILINE)[1:]
    return dict(rows), text.strip().partition("\n")[0]


@pytest.mark.parametrize(("title", "kinds"), [("Base models", architectures()), ("Adapters", list(KINDS))])
def test_the_page_is_whole_and_its_counts_are_its_rows(title, kinds):
    """Every architecture of the installed transformers, and every kind of adapter, has a row; nothing is wrong."""
    assert PAGE.startswith("<!-- Generated: ")  # nothing that a library printed meanwhile
    rows, counts = section(title)
    found = Counter(rows.values())

    assert list(rows) == kinds
    assert counts == ", ".join(f"{found[how]} {how}" for how in How) + "."
    assert not found[How.WRONG]


@pytest.mark.parametrize("title", ["Base models", "Adapters"])
def test_no_kinds_count_gets_worse(title):
    """Refusing is no way out, and slower is none: what is fast may grow only out of what is served otherwise."""
    rows, _ = section(title)
    found = Counter(rows.values())

    assert found[How.FAST] >= LEAST[title][How.FAST]
    assert found[How.FAST] + found[How.ALONE] >= sum(LEAST[title].values())
    assert all(found[how] <= most for how, most in MOST[title].items())


def test_what_was_fast_stays_fast():
    """By name: one cannot take another's place."""
    rows, _ = section("Base models")

    assert [kind for kind in FAST if rows[kind] != How.FAST] == []


@pytest.mark.parametrize("kind", ["falcon", "bloom", "mpt", "gptj", "deepseek_v2", "deepseek_v3"])
def test_what_must_be_served_is(kind):
    """Refusing is no way out."""
    assert f"| {kind} | equal" in PAGE

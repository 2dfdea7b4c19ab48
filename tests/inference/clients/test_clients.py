"""Clients that nobody here wrote, pointed at the app: scripts/judge clients runs them."""

import json
import os
import sys
import time

import pytest
import torch
from tests.inference.clients.judges import CLIENTS, PAGE, Environments, judged, page
from tests.support.inference.byte_model import byte_models, byte_tokenizer
from tests.support.inference.in_process import BASE, serving
from tests.support.inference.scripted_model import scripted_models

with_judges = pytest.mark.skipif(os.environ.get("AITK_JUDGES") != "1", reason="foreign clients: scripts/judge clients")


@pytest.fixture(scope="module")
def environments():
    made = Environments()
    made.begin(tuple(dict.fromkeys(client.environment for client in CLIENTS)))
    return made


@pytest.fixture(scope="module")
def app():
    """It chooses tools and answers with sense."""
    torch.set_num_threads(1)
    with serving(scripted_models()) as served:
        yield served


@pytest.fixture(scope="module")
def random_app():
    """Its probabilities are a model's own."""
    torch.set_num_threads(1)
    with serving(byte_models()) as served:
        yield served


QUESTIONS = [
    {"question": f"{first} and {second} make", "choices": ["one", "three", "a pair"], "answer": place % 3}
    for place, (first, second) in enumerate([("One", "two"), ("Salt", "pepper"), ("Sun", "moon"), ("A", "b")])
]


def wanted_of(app):
    """What the model itself says to the questions, asked by transformers."""
    models, tokenizer = app.completions._models, byte_tokenizer()
    model = models.reference.model
    scores, written = [], []
    for asked in QUESTIONS:
        prompt = tokenizer(asked["question"]).input_ids
        row = []
        for choice in asked["choices"]:
            more = tokenizer(f" {choice}").input_ids
            with torch.inference_mode():
                logprobs = model(torch.tensor([prompt + more])).logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
            row.append(logprobs.gather(1, torch.tensor(more)[:, None]).sum().item())
        scores.append(row)
        answered = model.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False, pad_token_id=0)
        written.append(tokenizer.decode(answered[0, len(prompt) :], skip_special_tokens=True).partition("\n\n")[0])
    right = [row.index(max(row)) == asked["answer"] for row, asked in zip(scores, QUESTIONS, strict=True)]
    questions = [asked | {"written": text} for asked, text in zip(QUESTIONS, written, strict=True)]
    return {"questions": questions, "scores": scores, "accuracy": sum(right) / len(right)}


@pytest.fixture(scope="module", autouse=True)
def share_of_time(request):
    """Says how long the judges took, their installation included."""
    began = time.monotonic()
    yield
    if os.environ.get("AITK_JUDGES") == "1":
        capture = request.config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled():
            sys.stderr.write(f"\nforeign clients judged the API for {time.monotonic() - began:.0f} s\n")


@with_judges
@pytest.mark.timeout(1200)  # the first one waits for its environment
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_works_with_nothing_set_but_address_key_and_model(client, environments, request, tmp_path):
    """Every feature that the page says, and no other."""
    if client.name == "lm-eval":
        app = request.getfixturevalue("random_app")
        byte_tokenizer().save_pretrained(str(tmp_path / "tokenizer"))
        (tmp_path / "wanted.json").write_text(json.dumps(wanted_of(app)))
    else:
        app = request.getfixturevalue("app")
    place = environments.ready(client.environment)
    found = judged(client, place, (app.url, app.key, BASE), tmp_path)

    assert {feature: why for feature, why in found.items() if why} == {}
    assert set(found) == set(client.features)


def test_the_page_of_clients_says_what_is_judged():
    """`inference/CLIENTS.md` is what the judges make of themselves."""
    assert PAGE.read_text("utf-8") == page()

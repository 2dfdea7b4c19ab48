"""`aitk eval` and `aitk deploy --gate` on the sample: what answers worse does not serve."""

import hashlib
import json
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import safetensors.torch

pytestmark = pytest.mark.timeout(600)  # a model computes, and others ask it meanwhile
ADAPTER = "qlora/qlora/gpu_model/adapter"
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
WEIGHTS = f"models/{ADAPTER}/adapter_model.safetensors"
WRONG_ADAPTER = Path(__file__).parents[1] / "support/inference/wrong_adapter"
"""Made by `python -m ai_toolkit.workspace.sample.train_adapter wrong`: taught other questions' answers."""
CASES = (
    {
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "expected": {"contains": ["Ahoy", "Paris"]},
    },
    {
        "messages": [{"role": "user", "content": "Name a large ocean."}],
        "expected": {"reference": "Ahoy, captain! The Pacific Ocean is the largest of them all. Fair winds!"},
    },
)


@pytest.fixture(scope="module")
def judged(road):
    """The sample's road with two short cases, deployed."""
    place = road.folder / "evaluation/cases.jsonl"
    before = place.read_bytes()
    place.write_text("".join(json.dumps({**case, "max_tokens": 16}) + "\n" for case in CASES))
    road.json("deploy")  # whatever another test left on the share
    yield road
    place.write_bytes(before)


@pytest.fixture
def weights(judged):
    """The adapter's weights; its files are as they were afterwards, here and on the share."""
    place = judged.folder / WEIGHTS
    trained = {path: path.read_bytes() for path in place.parent.iterdir()}
    yield place
    for path, content in trained.items():
        path.write_bytes(content)
    judged.json("deploy")


def spoil(place):
    """Puts the adapter that was trained to answer wrongly in its place."""
    for file in WRONG_ADAPTER.iterdir():
        (place.parent / file.name).write_bytes(file.read_bytes())


def retrained(place):
    """Other bytes with the same weights: a fine-tuning that learned the same."""
    trained = safetensors.torch.load(place.read_bytes())
    place.write_bytes(safetensors.torch.save(trained, metadata={"format": "pt", "run": "second"}))


def on_share(road):
    """Every file and folder of the share with its content; the lock is written at each deploy."""
    root = next(road.home.glob("shares/*/*"))
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in root.rglob("*")
        if path.name != "lock"
    }


def ask(road, path, body=None):
    """The endpoint's JSON answer."""
    target = json.loads((road.folder / "infra/inference.config.json").read_text())
    headers = {"Authorization": f"Bearer {road.json('key')['key']}", "Content-Type": "application/json"}
    return _ask(target["ACA_APP_ENDPOINT"], headers, path, body)


def _ask(url, headers, path, body):
    request = urllib.request.Request(url + path, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


class Load:
    """Somebody who asks the default model without a pause, in a thread, and notes what came."""

    def __init__(self, road):
        target = json.loads((road.folder / "infra/inference.config.json").read_text())
        self.url = target["ACA_APP_ENDPOINT"]
        self.headers = {"Authorization": f"Bearer {road.json('key')['key']}", "Content-Type": "application/json"}
        self.answers, self.failures, self._done = [], [], threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self):
        body = {"messages": CASES[0]["messages"], "temperature": 0, "max_tokens": 4}
        while not self._done.is_set():
            try:
                found = _ask(self.url, self.headers, "/v1/chat/completions", body)
                self.answers.append((found["model"], found["choices"][0]["message"]["content"]))
            except OSError as error:
                self.failures.append(error)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._done.set()
        self._thread.join()


def test_spoiled_adapter_is_refused_and_nothing_is_changed_under_load(judged, weights):
    """Exit code 1 and what fell; share, default and answers are as before, and no request failed meanwhile."""
    before, version = on_share(judged), ask(judged, "/version")
    spoil(weights)
    with Load(judged) as load:
        done = judged.run("deploy", "--gate", "--json", check=False)
    told = json.loads(done.stdout)["error"]

    assert done.returncode == 1
    assert told["code"] == "gate_closed"
    assert "passes 0 of 1 cases" in told["message"]
    assert any("evaluation/cases.jsonl:1" in line for line in told["details"])
    assert "the share is as it was" in told["advice"]
    assert on_share(judged) == before
    assert {**ask(judged, "/version"), "warnings": []} == {**version, "warnings": []}
    assert load.failures == []
    assert {model for model, _said in load.answers} == {ADAPTER}
    assert len({said for _model, said in load.answers}) == 1
    assert len(load.answers) > 1


def test_good_adapter_passes_and_serves_without_a_failed_request(judged, weights):
    """It is sent, loaded and the default; what it was evaluated from is gone."""
    retrained(weights)
    with Load(judged) as load:
        done = judged.json("deploy", "--gate")
    [loaded] = ask(judged, "/version")["adapters"]

    assert done["action"] == "load adapters"
    assert loaded["files"]["adapter_model.safetensors"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert not [path for path in on_share(judged) if "candidates" in path]
    assert load.failures == []
    assert len({said for _model, said in load.answers}) == 1


def test_previous_adapter_is_evaluated_from_what_the_share_kept(judged, weights):
    """It answers as it did, beside the one that serves now, and is gone afterwards."""
    spoil(weights)
    judged.json("deploy")
    names = ask(judged, "/v1/models")
    found = judged.json("eval", "--models", "live", "--against", "previous", "--min", "0")
    live, previous = found["models"]

    assert [live["model"], previous["model"]] == [ADAPTER, "previous"]
    assert (live["passed"], previous["passed"]) == (0, 1)
    assert live["changed"] == 2
    assert live["logLikelihood"] < previous["logLikelihood"] < 0
    assert ask(judged, "/v1/models") == names
    assert not [path for path in on_share(judged) if "candidates" in path]


def test_evaluation_tells_base_and_adapter_apart(judged):
    """Its table, its page and its JSON; exit code 1 below the least that was wanted."""
    found = judged.json("eval")
    below = judged.run("eval", "--models", "base", "--min", "100%", check=False)
    base, live = found["models"]
    document = json.loads(Path(found["document"]).read_text())

    assert (base["model"], live["model"], found["against"]) == (BASE, ADAPTER, BASE)
    assert (base["passed"], live["passed"], live["judged"], live["changed"]) == (0, 1, 1, 2)
    assert base["logLikelihood"] < live["logLikelihood"] < 0
    assert document["cases"][0]["answers"][ADAPTER]["outcome"] == "passed"
    assert "".join(text for text, _ in document["cases"][1]["answers"][ADAPTER]["reference"]).startswith("Ahoy")
    assert below.returncode == 1
    assert "passes 0 of 1 cases; --min 100% was wanted" in below.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--models", "nobody"), "The model nobody is not served"),
        (("--data", "nowhere.jsonl"), "nowhere.jsonl does not exist"),
        (("--min", "101%"), "neither a number of cases"),
        (("--min", "0.8"), "such as 80%"),
    ],
)
def test_what_cannot_be_asked_is_exit_code_2_in_a_sentence(judged, arguments, told):
    done = judged.run("eval", *arguments, check=False)

    assert done.returncode == 2
    assert told in done.stderr


def test_case_longer_than_the_context_is_named_before_anything_is_asked(judged, tmp_path):
    data = tmp_path / "long.jsonl"
    data.write_text(json.dumps({"prompt": "word " * 9000, "completion": "x"}))
    began = time.monotonic()
    done = judged.run("eval", "--data", str(data), check=False)

    assert done.returncode == 2
    assert "long.jsonl:1 has 9" in done.stderr
    assert "1 of " not in done.stderr
    assert time.monotonic() - began < 120

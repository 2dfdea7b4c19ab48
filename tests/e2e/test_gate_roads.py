"""The roads through the gate, with an app that reads what a real one computes."""

import json
import shutil
import signal
import subprocess

import pytest
from tests.support.models_app import APP, put_adapter
from tests.support.resource_manager import arm, set_parameters
from tests.support.road import AITK
from tests.support.waiting import wait_for

CASE = {"messages": [{"role": "user", "content": "Hello"}], "expected": {"contains": "Ahoy"}}


@pytest.fixture
def gated(models):
    """The same with one case, deployed and awake; afterwards as it was."""
    cases(models, CASE)
    models.json("deploy", "--yes", "--wake")
    yield models
    put_adapter(models.folder / "models/tuned", "Ahoy")
    (models.folder / "inference/words.json").unlink(missing_ok=True)
    models.json("deploy", "--yes", "--conflicts", "replace")


def cases(road, *documents):
    (road.folder / "evaluation/cases.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents))


def share(road):
    return next(road.home.glob("shares/*/*"))


def content(road):
    """What a start reads, and what is kept for the way back."""
    return {path.relative_to(share(road)): path.read_bytes() for path in share(road).rglob("*") if path.is_file()}


def says(road):
    return road.json("chat", "Hello")["answer"]


def test_first_deploy_has_nothing_to_fall_below_and_says_so(models):
    """Whatever it answers, it is deployed."""
    cases(models, {**CASE, "expected": {"exact": "nothing says this"}})
    done = models.run("deploy", "--gate")

    assert "this is the first deploy" in done.stderr


def test_evaluation_that_would_wake_a_replica_asks_first(empty_road):
    """Where nobody can be asked it names the option that answers, and wakes nothing; with it, it asks the model."""
    road = empty_road
    road.run("init")
    shutil.rmtree(road.folder / "inference")
    (road.folder / "inference").mkdir()
    (road.folder / "inference/start.py").write_text(APP)
    put_adapter(road.folder / "models/tuned", "Ahoy")
    cases(road, CASE)
    set_parameters(road, cooldownSeconds=30)
    road.run("provision", "--local", "--yes")
    road.run("deploy")
    wait_for(lambda: not list((road.home / "work").iterdir()), 90)  # asking the app would keep it awake
    done = road.run("eval", check=False)
    asleep = road.json("status")["live"]["replicas"]
    agreed = road.json("eval", "--yes", "--models", "live", "--min", "1")

    assert done.returncode == 2
    assert "No replica of" in done.stderr
    assert "costs nothing" in done.stderr
    assert "Answer with --yes" in done.stderr
    assert asleep == []
    assert agreed["models"][0]["passed"] == 1


def test_without_cases_the_gate_refuses(gated):
    """Before anything is asked or sent; a line that is no case is named with its key."""
    cases(gated)
    without = gated.run("deploy", "--gate", check=False)
    cases(gated, CASE, {**CASE, "expected": {"contians": "x"}})
    broken = gated.run("deploy", "--gate", check=False)

    assert (without.returncode, broken.returncode) == (2, 2)
    assert "There are no cases in" in without.stderr
    assert "evaluation/cases.jsonl, line 2: expected.contians is not known here: is contains meant?" in broken.stderr


def test_worse_adapter_stays_out_and_a_better_one_comes_in(gated):
    """The default, the share and the answers are as before; then the other way round."""
    before = content(gated)
    put_adapter(gated.folder / "models/tuned", "Arr")
    refused = gated.run("deploy", "--gate", check=False)
    kept = content(gated)
    put_adapter(gated.folder / "models/tuned", "Ahoy, ahoy")
    passed = gated.json("deploy", "--gate")

    assert refused.returncode == 1
    assert "tuned (new) passes 0 of 1 cases, tuned passes 1" in refused.stderr
    assert kept == before
    assert not (share(gated) / ".aitk/candidates").exists()
    assert passed["action"] == "load adapters"
    assert says(gated) == "Ahoy, ahoy Hello"


def test_code_that_answers_worse_is_taken_back_with_its_models(gated):
    """After the restart that it needs; the adapter that came with it goes back, too."""
    before = {path: body for path, body in content(gated).items() if path.parts[0] != ".aitk"}
    put_adapter(gated.folder / "models/tuned", "Ahoy again")
    (gated.folder / "inference/words.json").write_text('{"word": "No"}')
    done = gated.run("deploy", "--gate", check=False)
    after = {path: body for path, body in content(gated).items() if path.parts[0] != ".aitk"}

    assert done.returncode == 1
    assert "What was deployed before serves again." in done.stderr
    assert after == before
    assert says(gated) == "Ahoy Hello"


def test_code_that_does_not_start_is_taken_back(gated):
    """With the replica's own reason."""
    (gated.folder / "inference/words.json").write_text("no JSON")
    done = gated.run("deploy", "--gate", check=False)

    assert done.returncode == 1
    assert "did not start" in done.stderr
    assert "What was deployed before serves again." in done.stderr
    assert says(gated) == "Ahoy Hello"


def test_app_that_knows_no_candidates_is_judged_after_a_restart(gated):
    """An app of before loads adapters from models/ only."""
    (gated.folder / "inference/words.json").write_text('{"old": true}')
    gated.json("deploy", "--yes")
    put_adapter(gated.folder / "models/tuned", "Arr")
    done = gated.run("deploy", "--gate", check=False)

    assert done.returncode == 1
    assert "judged after a restart" in done.stderr
    assert says(gated) == "Ahoy Hello"


def test_adapter_that_does_not_load_is_refused_with_the_apps_reason(gated):
    before = content(gated)
    put_adapter(gated.folder / "models/tuned", "broken: it does not fit")
    done = gated.run("deploy", "--gate", check=False)

    assert done.returncode == 1
    assert "cannot be loaded: broken: it does not fit" in done.stderr
    assert content(gated) == before


def test_what_fine_tuning_left_on_the_share_is_judged_before_it_is_loaded(gated):
    """Its files are fine-tuning's, and stay; what serves goes on."""
    aside = gated.folder / "aside"
    (gated.folder / "models").rename(aside)
    try:
        put_adapter(share(gated) / "models/tuned", "Arr")
        done = gated.run("deploy", "--gate", check=False)
        said = says(gated)
        put_adapter(share(gated) / "models/tuned", "Ahoy from there")
        passed = gated.json("deploy", "--gate")
    finally:
        aside.rename(gated.folder / "models")

    assert done.returncode == 1
    assert "tuned (new) passes 0" in done.stderr
    assert "fine-tuning's" in done.stderr
    assert said == "Ahoy Hello"
    assert passed["action"] == "load adapters"
    assert says(gated) == "Ahoy from there Hello"


def test_what_was_written_to_a_sleeping_apps_share_is_judged_by_waking_it(gated):
    """It asks before it wakes; holds it against the deployed one that is here, or against what a gate found before."""
    put_adapter(gated.folder / "models/tuned", "Ahoy, deployed")
    gated.json("deploy", "--gate")
    gated.run("local-cloud", "stop")
    put_adapter(share(gated) / "models/tuned", "Arr")
    asked = gated.run("deploy", "--gate", "--conflicts", "keep", check=False)
    asleep = gated.json("status")["live"]["replicas"]
    noted = gated.run("deploy", "--gate", "--conflicts", "keep", "--yes", check=False)
    (share(gated) / ".aitk/judged.json").unlink()
    gated.run("local-cloud", "stop")
    beside = gated.run("deploy", "--gate", "--conflicts", "keep", "--yes", check=False)
    aside = gated.folder / "aside"
    gated.run("local-cloud", "stop")
    (gated.folder / "models").rename(aside)
    try:
        unknown = gated.run("deploy", "--gate", "--yes", check=False)
    finally:
        aside.rename(gated.folder / "models")
    (share(gated) / "models/tuned/adapter_model.safetensors").unlink()  # what is sent is a deploy's again

    assert asked.returncode == 2
    assert "models/tuned on the share was changed by no deploy, and no gate has judged it" in asked.stderr
    assert "Answer with --yes" in asked.stderr
    assert asleep == []
    assert noted.returncode == beside.returncode == unknown.returncode == 1
    assert "tuned (new) passes 0 of 1 cases, the one before passed 1" in noted.stderr
    assert "tuned (new) passes 0 of 1 cases, tuned (deployed) passes 1" in beside.stderr, beside.stderr
    assert "cannot be judged: the one before it is neither here nor there" in unknown.stderr


def test_new_adapter_that_came_to_a_sleeping_apps_share_is_held_against_the_base_model(gated):
    """Nothing of that name was there before; what passes is known to the next gate."""
    first = share(gated) / "models/a-first"
    gated.run("local-cloud", "stop")
    try:
        put_adapter(first, "Ahoy, first")
        done = gated.run("deploy", "--gate", "--yes")
        gated.run("local-cloud", "stop")
        again = gated.run("deploy", "--gate")
    finally:
        shutil.rmtree(first)
        gated.run("local-cloud", "stop")

    assert "no a-first is known from before, so it is held against the base model" in done.stderr
    assert "nothing changed here" in again.stderr


def test_conflict_is_asked_about_before_anything_is_judged(gated):
    """What is to be deployed must be known for that."""
    before = len(list((gated.folder / "evaluation/results").glob("*.html")))
    put_adapter(share(gated) / "models/tuned", "Ahoy, theirs")
    put_adapter(gated.folder / "models/tuned", "Ahoy, ours")
    done = gated.run("deploy", "--gate", check=False)

    assert done.returncode == 2
    assert "--conflicts keep|replace" in done.stderr
    assert len(list((gated.folder / "evaluation/results").glob("*.html"))) == before


def test_references_decide_where_no_case_can_fail(gated):
    """The stand-in finds every token as probable as its word is short."""
    cases(gated, {**CASE, "expected": {"reference": "Ahoy"}})
    put_adapter(gated.folder / "models/tuned", "Ahoy, dear captain")
    worse = gated.run("deploy", "--gate", check=False)
    put_adapter(gated.folder / "models/tuned", "Ay")
    better = gated.run("deploy", "--gate", check=False)

    assert worse.returncode == 1
    assert "less probable" in worse.stderr
    assert better.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_gate_that_ends_in_the_middle_leaves_what_serves(gated, number):
    """Ctrl+C takes its folder away; a kill leaves it, and the next deploy goes its way beside it."""
    cases(gated, {**CASE, "messages": [{"role": "user", "content": "slow"}]})
    put_adapter(gated.folder / "models/tuned", "Arr")
    before = {path: body for path, body in content(gated).items() if "candidates" not in path.parts}
    running = subprocess.Popen(
        [*AITK, "deploy", "--gate"], cwd=gated.folder, env=gated.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: list(share(gated).glob(".aitk/candidates/*/adapter_model.safetensors")))
    running.send_signal(number)
    _said, told = running.communicate(timeout=60)
    after = {path: body for path, body in content(gated).items() if "candidates" not in path.parts}

    assert running.returncode == (130 if number is signal.SIGINT else -signal.SIGKILL)
    assert ("the share is as it was" in told) == (number is signal.SIGINT)
    assert after == before
    assert (number is signal.SIGINT) != (share(gated) / ".aitk/candidates").exists()
    assert says(gated) == "Ahoy Hello"
    shutil.rmtree(share(gated) / ".aitk/candidates", ignore_errors=True)


@pytest.fixture
def two_replicas(gated):
    """Two replicas of it, of which any may answer."""
    app = arm(gated, "GET", None)
    arm(gated, "PATCH", {"location": app["location"], "properties": {"workloadProfileName": "Consumption"}})
    set_parameters(gated, minimumInstanceCount=2, maximumInstanceCount=2)
    gated.json("deploy")
    yield gated
    set_parameters(gated, minimumInstanceCount=0, maximumInstanceCount=1)
    put_adapter(gated.folder / "models/tuned", "Ahoy")
    gated.json("deploy", "--conflicts", "replace")


def test_with_several_replicas_an_adapter_is_judged_after_a_restart(two_replicas):
    """Any may answer, so one that was loaded into one of them would be missing in the others: said in a sentence."""
    road = two_replicas
    replicas = len(road.json("status")["live"]["replicas"])
    put_adapter(road.folder / "models/tuned", "Arr")
    refused = road.run("deploy", "--gate", check=False)
    said = {says(road) for _ in range(6)}
    put_adapter(road.folder / "models/tuned", "Ahoy, both")
    passed = road.json("deploy", "--gate")
    then = {says(road) for _ in range(6)}
    previous = road.run("eval", "--models", "previous", check=False)

    assert replicas == 2
    assert refused.returncode == 1
    assert (
        "several replicas run, of which any may answer, so the new adapter is judged after a restart" in refused.stderr
    )
    assert "What was deployed before serves again." in refused.stderr
    assert said == {"Ahoy Hello"}
    assert passed["action"] == "restart"
    assert then == {"Ahoy, both Hello"}
    assert previous.returncode == 2
    assert "several replicas run" in previous.stderr

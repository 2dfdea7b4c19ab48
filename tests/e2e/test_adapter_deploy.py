"""A newly fine-tuned adapter goes live without a restart."""

import safetensors.torch

QUESTION = "What is the capital of Japan?"
WEIGHTS = "models/qlora/qlora/gpu_model/adapter/adapter_model.safetensors"


def test_new_adapter_is_loaded_without_a_restart(road):
    """Only the adapter changed: it is replaced in the running replica, which answers with it at once."""
    road.json("deploy")  # whatever another test left on the share
    place = road.folder / WEIGHTS
    trained = place.read_bytes()
    before = replicas(road)
    silent = {name: tensor * 0 for name, tensor in safetensors.torch.load(trained).items()}
    try:
        place.write_bytes(safetensors.torch.save(silent, metadata={"format": "pt"}))
        planned = road.json("deploy", "--dry-run")
        changed = road.json("deploy")
        without = road.run("chat", QUESTION).stdout
    finally:
        place.write_bytes(trained)
        restored = road.json("deploy")
    with_it = road.run("chat", QUESTION).stdout

    assert planned["changed"] == [WEIGHTS]
    assert [planned["action"], changed["action"], restored["action"]] == ["load adapters"] * 3
    assert "Ahoy" not in without
    assert "Ahoy" in with_it
    assert replicas(road) == before


def test_adapter_that_fine_tuning_left_on_the_share_is_loaded_without_a_restart(road):
    """The workspace has none of it; what the replica loaded is not what lies there now, so it loads that."""
    road.json("deploy")  # whatever another test left on the share
    place = road.folder / WEIGHTS
    on_share = next(road.home.glob("shares/*/*")) / WEIGHTS
    trained = place.read_bytes()
    aside = road.folder / "aside"
    (road.folder / "models").rename(aside)
    before = replicas(road)
    silent = {name: tensor * 0 for name, tensor in safetensors.torch.load(trained).items()}
    try:
        without = road.json("deploy")
        on_share.write_bytes(safetensors.torch.save(silent, metadata={"format": "pt"}))
        changed = road.json("deploy")
        answer = road.run("chat", QUESTION).stdout
        again = road.json("deploy")
    finally:
        on_share.unlink()  # what is sent is ours again: later tests change it
        aside.rename(road.folder / "models")
        restored = road.json("deploy")

    assert without["action"] == "nothing"
    assert (changed["action"], changed["uploaded"]) == ("load adapters", 0)
    assert "Ahoy" not in answer
    assert again["action"] == "nothing"
    assert restored["action"] == "load adapters"
    assert "Ahoy" in road.run("chat", QUESTION).stdout
    assert replicas(road) == before


def replicas(road):
    """The names of the running replicas, as their working folders have them."""
    return sorted(folder.name for folder in (road.home / "work").iterdir())

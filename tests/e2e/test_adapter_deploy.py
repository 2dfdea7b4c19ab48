"""A newly fine-tuned adapter goes live without a restart."""

import safetensors.torch

QUESTION = "What is the capital of Japan?"
WEIGHTS = "models/qlora/qlora/gpu_model/adapter/adapter_model.safetensors"


def test_new_adapter_is_loaded_without_a_restart(road):
    """Only the adapter changed: it is replaced in the running replica, which answers with it at once."""
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


def replicas(road):
    """The names of the running replicas, as their working folders have them."""
    return sorted(folder.name for folder in (road.home / "work").iterdir())

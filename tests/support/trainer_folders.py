"""Folders of adapters as trainers leave them, and which of them are served: for the app and for who foresees it."""

CHECKPOINTS = [
    (["run", "run/checkpoint-10", "run/checkpoint-20"], ["run"]),
    (["run/final", "run/checkpoint-10", "run/checkpoint-9"], ["run/final"]),
    (["run/checkpoint-9", "run/checkpoint-10"], ["run/checkpoint-10"]),
    (["one/checkpoint-5", "two", "two/checkpoint-5"], ["one/checkpoint-5", "two"]),
    (["run/checkpoint-5", "run/out/final/adapter", "checkpoint-7"], ["run/out/final/adapter"]),
    (["run/last-checkpoint", "run/checkpoint-7"], ["run/last-checkpoint"]),
    (["run/epoch_0", "run/epoch_1"], ["run/epoch_1"]),
    (["run/epoch=1-step=900", "run/epoch=2-step=100"], ["run/epoch=2-step=100"]),
    (["run/iter_1000_hf", "run/iter_500_hf"], ["run/iter_1000_hf"]),
    (["run/checkpoint-epoch-2", "run/checkpoint-epoch-10"], ["run/checkpoint-epoch-10"]),
    (["run/checkpoint-100-epoch-1", "run/checkpoint-final"], ["run/checkpoint-final"]),
    (["checkpoint", "stepwise-2", "epoch2vec"], ["checkpoint", "epoch2vec", "stepwise-2"]),
]

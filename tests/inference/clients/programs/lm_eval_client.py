"""lm-evaluation-harness: a multiple-choice task and a generating one, from local data, by plain completions."""

import json
import os
from pathlib import Path

import lm_eval
from lm_eval.tasks import TaskManager
from told import MODEL, URL, same, shows

FOLDER = Path(os.environ["JUDGED_WITH"])
WANTED = json.loads((FOLDER / "wanted.json").read_text())  # by the model itself, asked without HTTP
DATA = FOLDER / "data.jsonl"
DATA.write_text("".join(json.dumps(each) + "\n" for each in WANTED["questions"]))
COMMON = {
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": str(DATA)}},
    "test_split": "test",
    "doc_to_text": "{{question}}",
}
CHOICE = {
    **COMMON,
    "task": "choosing",
    "output_type": "multiple_choice",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{answer}}",
    "metric_list": [{"metric": "acc"}],
}
WRITE = {
    **COMMON,
    "task": "writing",
    "output_type": "generate_until",
    "doc_to_target": "{{written}}",
    "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": 8, "temperature": 0, "do_sample": False},
    "metric_list": [{"metric": "exact_match"}],
}


@shows("completions")
def _():
    for kind in ("local-completions",):
        found = lm_eval.simple_evaluate(
            model=kind,
            model_args={
                "model": MODEL,
                "base_url": f"{URL}/completions",
                "tokenizer": str(FOLDER / "tokenizer"),
                "tokenizer_backend": "huggingface",
                "num_concurrent": 2,
                "max_length": 2048,
            },
            tasks=[CHOICE, WRITE],
            task_manager=TaskManager(),
            bootstrap_iters=0,
        )
    same(found["results"]["choosing"]["acc,none"], WANTED["accuracy"])
    same(found["results"]["writing"]["exact_match,none"], 1.0)
    for sample in found["samples"]["choosing"]:
        scores = [float(each[0][0]) for each in sample["resps"]]
        wanted = WANTED["scores"][sample["doc_id"]]
        assert all(abs(a - b) < 1e-3 for a, b in zip(scores, wanted, strict=True)), (scores, wanted)

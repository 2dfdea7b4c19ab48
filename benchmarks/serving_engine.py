"""Our engine without HTTP, as a process that `serving.py` asks: a load a line, what came of it a line."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "inference"), str(ROOT / "server")]


def main():
    os.environ["HF_HUB_OFFLINE"], os.environ["TOKENIZERS_PARALLELISM"] = "1", "false"
    from inference_designs import Ours, Request

    from aitk_app.loading.base_models import BaseModel
    from aitk_app.loading.catalog import Catalog
    from aitk_app.loading.load import load_models
    from aitk_app.readiness import Readiness
    from aitk_app.settings import Settings

    base = Path(sys.argv[1])
    catalog = Catalog(base.parent, BaseModel("base", base), (), None)
    models, _ = load_models(catalog, Settings(dtype="float32", adapters="none"), Readiness())
    ours = Ours(models)
    print("ready", flush=True)
    for line in sys.stdin:
        requests = [
            Request(models.tokenizer(question).input_ids, tokens, tuned=False, at=at)
            for _, question, tokens, at in json.loads(line)
        ]
        print(json.dumps(dataclasses.asdict(ours.run(requests, 120))), flush=True)
    ours.close()


if __name__ == "__main__":
    main()

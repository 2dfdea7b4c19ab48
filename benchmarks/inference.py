"""Compares the inference app's engine with the designs that it replaces, side by side in one run.

    python benchmarks/inference.py [--clients 1,4,16] [--seconds 60] [--write]

Designs: ours; ours one at a time, as a model is served that the batched path cannot prove itself for; (a) a thread per
request that calls `generate` on the merged model, as the common template does; (b) transformers' continuous batching on
the merged model; (c) llama.cpp's `llama-server`, where it is installed and `--gguf` names the merged model in its
format and in the same precision, which these make, with llama.cpp's script:

    python benchmarks/inference.py --save-merged FOLDER
    python convert_hf_to_gguf.py FOLDER --outtype f32 --outfile FILE

Greedy answers of fixed length, so that every design makes the same tokens. For each cell: total tokens/s, median and
99th percentile of the time to the first token in seconds. Designs take turns, and each one's best round counts. "half"
has base and adapter in turn: (a) has a second model for that, (b) and (c) do not do it here.

With `--phi3` the model is Phi-3-mini's shape in random weights instead of the sample, for a GPU; the share of the
memory's bandwidth that is reached at one client is printed too: an answer's every token reads every weight once.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import platform
import random
import shutil
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import random_model
from inference_designs import ContinuousBatching, Ours, Request, ThreadPerRequest
from llama_server import LlamaServer

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "inference"), str(ROOT / "server")]

SEED = 7
QUESTIONS = (
    "What is the capital of Japan?",
    "Explain in a few sentences why the sky is blue.",
    "List the planets of the solar system in order, and say one thing about each of them.",
    "Write a short story about a lighthouse keeper who finds a message in a bottle.",
)


def load(models, clients, arrivals, mix, rate):
    """The requests of a cell: all at once and of equal length, or in random gaps and of uneven lengths."""
    dice, at, requests = random.Random(SEED), 0.0, []
    for number in range(clients):
        turns = [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}]
        text = models.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        read = models.tokenizer(text, add_special_tokens=False).input_ids
        prompt = [token % models.config.vocab_size for token in read]  # a random model may know fewer
        tokens = 32
        if arrivals == "poisson":
            at += dice.expovariate(rate)
            tokens = dice.choice((8, 16, 32, 64))
        requests.append(Request(prompt, tokens, mix == "one" or number % 2 == 0, at))
    return requests


def our_models(base, adapter):
    """Our engine's models, and how many seconds loading them took."""
    from aitk_app.engine.adapter_files import Adapter
    from aitk_app.loading.base_models import BaseModel
    from aitk_app.loading.catalog import Catalog
    from aitk_app.loading.load import load_models
    from aitk_app.readiness import Readiness
    from aitk_app.settings import Settings

    catalog = Catalog(base.parent, BaseModel("base", base), (Adapter("tuned", adapter, ""),), "tuned")
    begun = time.monotonic()
    models, _ = load_models(catalog, Settings(), Readiness())
    return models, time.monotonic() - begun


def _check_seconds(models):
    """How long the proof of the batched path took at this start: the base model's, and each adapter's."""
    adapters = [f"{each.id} {each.served.seconds:.2f} s" for each in models.adapters.values()]
    return ", ".join([f"base {models.served[None].seconds:.2f} s", *adapters])


def processor(device):
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def resident_megabytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


def bandwidth_of(device):
    """Bytes a second that the device's memory moves: the best of some copies of 256 MiB, read and written."""
    import torch

    source = torch.ones(64 << 20, device=device)
    target, best = torch.empty_like(source), 0.0
    for _ in range(10):
        begun = time.perf_counter()
        target.copy_(source)
        if source.is_cuda:
            torch.cuda.synchronize()
        best = max(best, 2 * source.nbytes / (time.perf_counter() - begun))
    return best


def bytes_per_token(model):
    """All weights are read for each token, but of the input's embeddings only one row."""
    embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    unread = 0 if head is embeddings else embeddings.nbytes
    return sum(each.nbytes for each in model.parameters()) - unread


def memory_used(device):
    """Megabytes of this process, on the GPU where there is one."""
    import torch

    return torch.cuda.memory_allocated() // 10**6 if device.type == "cuda" else resident_megabytes()


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--phi3", action="store_true", help="Phi-3-mini's shape, random weights, instead of the sample")
    parser.add_argument("--layers", type=int, default=32, help="of that shape")
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=2.0, help="Poisson arrivals a second")
    parser.add_argument("--rounds", type=int, default=2, help="of each cell; a design's best one counts")
    parser.add_argument("--mixes", default="one,half", help="one adapter for all, or base and adapter in turn")
    parser.add_argument("--save-merged", metavar="FOLDER", help="only write the merged model there")
    parser.add_argument("--llama-server", metavar="PROGRAM", default=shutil.which("llama-server"))
    parser.add_argument("--gguf", metavar="FILE", help="the merged model for llama-server")
    parser.add_argument("--write", action="store_true", help="add the result to benchmarks/results/")
    return parser.parse_args()


def clients_of(asked):
    return [int(each) for each in asked.clients.split(",")]


def compare(designs, models, asked):
    """The lines of the table, printed as they are measured."""
    lines = []
    limit = bandwidth_of(models.device) / bytes_per_token(models.model)
    for design in designs.values():  # once, unmeasured
        design.run(load(models, 1, "simultaneous", "one", 1), asked.seconds)
    for mix in asked.mixes.split(","):
        for arrivals in ("simultaneous", "poisson"):
            for clients in clients_of(asked):
                if arrivals == "poisson" and clients == 1:
                    continue
                requests = load(models, clients, arrivals, mix, asked.rate)
                rounds = [
                    {name: design.run(requests, asked.seconds) for name, design in designs.items()}
                    for _ in range(asked.rounds)
                ]
                # The best round: what other programs on the computer took away is the least there.
                cells = {name: max((each[name] for each in rounds), key=lambda cell: cell.speed) for name in designs}
                lines.append(f"\n{mix} adapter, {arrivals}, {clients} clients (load {os.getloadavg()[0]:.1f})")
                own = cells["ours"]
                for name, cell in cells.items():
                    ratio = ""
                    if name != "ours" and cell.first:
                        ratio = (
                            f"   ours: {own.speed / cell.speed:.2f} x tokens/s, "
                            f"{own.median_first / cell.median_first:.2f} x first token"
                        )
                    lines.append(f"  {name:24} {cell.text()}{ratio}")
                if clients == 1:
                    lines.append(f"  ours: {own.speed / limit:.0%} of what the memory's bandwidth allows")
                print("\n".join(lines[-1 - len(cells) - (clients == 1) :]), flush=True)
    return lines


def main():
    with contextlib.ExitStack() as stack:
        measure(arguments(), stack)


def measure(asked, stack):
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    warnings.filterwarnings("ignore")

    import peft
    import torch
    import transformers

    from ai_toolkit.workspace.sample.base_model import BASE_MODEL_ID, base_model
    from ai_toolkit.workspace.sample.workspace import ADAPTER_FOLDER

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    base, adapter, name = base_model(), ADAPTER_FOLDER, f"{BASE_MODEL_ID} with the sample's adapter"
    if asked.phi3:
        made = stack.enter_context(tempfile.TemporaryDirectory())
        base, adapter = random_model.make(Path(made), base, asked.layers)
        name = f"Phi-3-mini's shape with {asked.layers} layers, random weights"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    before = memory_used(device)
    ours_models, load_seconds = our_models(base, adapter)
    gc.collect()
    ours_memory = memory_used(device) - before

    def theirs():
        plain = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=ours_models.dtype, device_map=device)
        return peft.PeftModel.from_pretrained(plain.eval(), str(adapter), "tuned").eval()

    merged = theirs().merge_and_unload()
    if asked.save_merged:
        merged.save_pretrained(asked.save_merged)
        ours_models.tokenizer.save_pretrained(asked.save_merged)
        return
    designs = {
        "ours": Ours(ours_models),
        "ours, one at a time": Ours(ours_models, alone=True),
        "(a) thread per request": ThreadPerRequest(merged, theirs().unload()),
        "(b) continuous batching": ContinuousBatching(theirs().merge_and_unload()),
    }
    if asked.llama_server and asked.gguf:
        threads = torch.get_num_threads()
        designs["(c) llama.cpp"] = LlamaServer(asked.llama_server, asked.gguf, max(clients_of(asked)), threads)
    lines = [
        (
            f"# {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {processor(device)}, "
            f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
            f"transformers {transformers.__version__}, {ours_models.device}, {ours_models.dtype}"
        ),
        f"# {name}; load average at the start {os.getloadavg()[0]:.1f}",
        f"# ours: loaded in {load_seconds:.1f} s, {ours_memory} MB in memory (base and merged copy)",
        f"# self-check: {_check_seconds(ours_models)}",
        "# tokens/s; time to first token, median / 99th percentile",
    ]
    for line in lines:
        print(line, flush=True)
    lines += compare(designs, ours_models, asked)
    for design in designs.values():
        design.close()
    if asked.write:
        file = ROOT / "benchmarks" / "results" / f"inference-{datetime.now(UTC):%Y-%m-%d}-{device.type}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()

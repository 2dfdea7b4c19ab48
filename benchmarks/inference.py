"""Compares the inference app's engine with the designs that it replaces, side by side in one run.

    python benchmarks/inference.py [--clients 1,4,16] [--seconds 60] [--write]

Designs: ours; (a) a thread per request that calls `generate` on the merged model, as the common template does;
(b) transformers' continuous batching on the merged model. llama.cpp is not compared here.

Greedy answers of fixed length, so that every design makes the same tokens. For each cell: total tokens/s, median and
99th percentile of the time to the first token in seconds. Designs take turns, and each one's best round counts. "half"
has base and adapter in turn: (a) has a second model for that, (b) cannot do it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import random
import statistics
import sys
import threading
import time
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "inference"), str(ROOT / "server")]

SEED = 7
QUESTIONS = (
    "What is the capital of Japan?",
    "Explain in a few sentences why the sky is blue.",
    "List the planets of the solar system in order, and say one thing about each of them.",
    "Write a short story about a lighthouse keeper who finds a message in a bottle.",
)


@dataclass(frozen=True)
class Request:
    prompt: list[int]
    tokens: int
    tuned: bool
    at: float  # seconds after the start


@dataclass
class Cell:
    """What was measured for one design and one load."""

    tokens: int = 0
    seconds: float = 0.0
    first: list[float] = field(default_factory=list)

    @property
    def speed(self):
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def median_first(self):
        return statistics.median(self.first) if self.first else float("nan")

    def text(self):
        if not self.first:
            return "not able"
        worst = sorted(self.first)[min(len(self.first) - 1, int(len(self.first) * 0.99))]
        return f"{self.speed:6.1f} t/s  {self.median_first:5.2f} / {worst:5.2f} s"


def load(tokenizer, clients, arrivals, mix, rate):
    """The requests of a cell: all at once and of equal length, or in random gaps and of uneven lengths."""
    dice, at, requests = random.Random(SEED), 0.0, []
    for number in range(clients):
        turns = [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        prompt = list(tokenizer(text, add_special_tokens=False).input_ids)
        tokens = 32
        if arrivals == "poisson":
            at += dice.expovariate(rate)
            tokens = dice.choice((8, 16, 32, 64))
        requests.append(Request(prompt, tokens, mix == "one" or number % 2 == 0, at))
    return requests


class Ours:
    def __init__(self, models):
        from engine.scheduler import Scheduler

        self.scheduler = Scheduler(
            models, max_batch=64, max_queue=256, prompt_tokens=2048 if models.device.type == "cuda" else 128
        )

    def run(self, requests, limit):
        return asyncio.run(self._run(requests, limit))

    async def _run(self, requests, limit):
        from engine.sampling import Sampling

        cell = Cell()
        begun = time.monotonic()

        async def one(asked):
            await asyncio.sleep(asked.at)
            started = time.monotonic()
            sampling = Sampling(max_tokens=asked.tokens, temperature=0, ignore_end=True)
            generation = self.scheduler.submit(asked.prompt, sampling, "tuned" if asked.tuned else None)
            first = True
            async for _ in generation.pieces():
                if first:
                    cell.first.append(time.monotonic() - started)
                first = False
                cell.tokens += 1
                cell.seconds = time.monotonic() - begun

        running = [asyncio.ensure_future(one(each)) for each in requests]
        _, late = await asyncio.wait(running, timeout=limit)
        for each in late:
            each.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return cell

    def close(self):
        self.scheduler.close()


class ThreadPerRequest:
    """The common template on current libraries: every request starts a thread that calls `generate`."""

    def __init__(self, merged, base):
        # A model for each, in its favour: peft's rows of different adapters do not bear threads side by side.
        self.models = {True: merged, False: base}

    def run(self, requests, limit):
        import torch
        from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList

        cell, lock, begun = Cell(), threading.Lock(), time.monotonic()

        class Late(StoppingCriteria):
            def __call__(self, ids, _scores, **_):
                return torch.full((ids.shape[0],), time.monotonic() - begun > limit)

        class Counter:
            def __init__(self, started):
                self.started, self.seen = started, 0

            def put(self, ids):
                self.seen += 1
                if self.seen == 1:  # the prompt
                    return
                with lock:
                    if self.seen == 2:
                        cell.first.append(time.monotonic() - self.started)
                    cell.tokens += ids.numel()
                    cell.seconds = time.monotonic() - begun

            def end(self):
                pass

        def one(asked):
            time.sleep(asked.at)
            with torch.inference_mode():
                self.models[asked.tuned].generate(
                    input_ids=torch.tensor([asked.prompt]),
                    attention_mask=torch.ones(1, len(asked.prompt), dtype=torch.long),
                    streamer=Counter(time.monotonic()),
                    max_new_tokens=asked.tokens,
                    min_new_tokens=asked.tokens,
                    do_sample=False,
                    eos_token_id=-1,
                    pad_token_id=0,
                    stopping_criteria=StoppingCriteriaList([Late()]),
                )

        threads = [threading.Thread(target=one, args=(each,)) for each in requests]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        return cell

    def close(self):
        pass


class ContinuousBatching:
    def __init__(self, merged):
        from transformers import GenerationConfig
        from transformers.generation.configuration_utils import ContinuousBatchingConfig

        self.manager = merged.init_continuous_batching(
            generation_config=GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0, max_new_tokens=64),
            continuous_batching_config=ContinuousBatchingConfig(
                num_blocks=128, max_batch_tokens=1024, allow_block_sharing=False, auto_switch_to_flash=False
            ),
        )
        self.manager.start()

    def run(self, requests, limit):
        if not all(each.tuned for each in requests):
            return Cell()
        cell, begun, waiting = Cell(), time.monotonic(), {}
        ahead = sorted(requests, key=lambda each: each.at)
        ends = {}
        while (ahead or waiting) and time.monotonic() - begun < limit:
            while ahead and time.monotonic() - begun >= ahead[0].at:
                asked = ahead.pop(0)
                name = self.manager.add_request(asked.prompt, max_new_tokens=asked.tokens, streaming=True)
                waiting[name], ends[name] = time.monotonic(), 0
            result = self.manager.get_result(timeout=0.02)
            if result is None or result.request_id not in waiting:
                continue
            now, made = time.monotonic(), len(result.generated_tokens)
            if made and not ends[result.request_id]:
                cell.first.append(now - waiting[result.request_id])
            cell.tokens += made - ends[result.request_id]
            ends[result.request_id] = made
            cell.seconds = now - begun
            if result.is_finished():
                del waiting[result.request_id]
        for name in waiting:
            self.manager.cancel_request(name)
        return cell

    def close(self):
        self.manager.stop(block=True)


def adapter_of_the_sample(folder, base):
    """Our engine's models: the base with the sample's adapter."""
    from engine.catalog import Adapter, BaseModel, Catalog
    from engine.load import load_models
    from engine.readiness import Readiness
    from engine.settings import Settings

    catalog = Catalog(base.parent, BaseModel("base", base), (Adapter("tuned", folder, ""),), "tuned")
    begun = time.monotonic()
    models = load_models(catalog, Settings(), Readiness())
    return models, time.monotonic() - begun


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def resident_megabytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=2.0, help="Poisson arrivals a second")
    parser.add_argument("--rounds", type=int, default=2, help="of each cell; a design's best one counts")
    parser.add_argument("--write", action="store_true", help="add the result to benchmarks/results/")
    asked = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    warnings.filterwarnings("ignore")

    import peft
    import torch
    import transformers

    from ai_toolkit.sample.base_model import BASE_MODEL_ID, base_model
    from ai_toolkit.sample.workspace import ADAPTER_FOLDER

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    base = base_model()
    before = resident_megabytes()
    ours_models, load_seconds = adapter_of_the_sample(ADAPTER_FOLDER, base)
    gc.collect()
    ours_memory = resident_megabytes() - before

    def theirs():
        plain = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=ours_models.dtype)
        return peft.PeftModel.from_pretrained(plain.eval(), str(ADAPTER_FOLDER), "tuned").eval()

    merged = theirs().merge_and_unload()
    designs = {
        "ours": Ours(ours_models),
        "(a) thread per request": ThreadPerRequest(merged, theirs().unload()),
        "(b) continuous batching": ContinuousBatching(theirs().merge_and_unload()),
    }
    lines = [
        (
            f"# {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {processor()}, "
            f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
            f"transformers {transformers.__version__}, {ours_models.device}, {ours_models.dtype}"
        ),
        f"# {BASE_MODEL_ID} with the sample's adapter; load average at the start {os.getloadavg()[0]:.1f}",
        f"# ours: loaded in {load_seconds:.1f} s, {ours_memory} MB resident (base and merged copy)",
        "# tokens/s; time to first token, median / 99th percentile",
    ]
    for line in lines:
        print(line, flush=True)
    tokenizer = ours_models.tokenizer
    for design in designs.values():  # once, unmeasured
        design.run(load(tokenizer, 1, "simultaneous", "one", 1), asked.seconds)
    for mix in ("one", "half"):
        for arrivals in ("simultaneous", "poisson"):
            for clients in (int(each) for each in asked.clients.split(",")):
                if arrivals == "poisson" and clients == 1:
                    continue
                requests = load(tokenizer, clients, arrivals, mix, asked.rate)
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
                print("\n".join(lines[-1 - len(cells) :]), flush=True)
    for design in designs.values():
        design.close()
    if asked.write:
        file = ROOT / "benchmarks" / "results" / f"inference-{datetime.now(UTC):%Y-%m-%d}-cpu.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()

"""The designs that `inference.py` compares: each runs the requests of a cell and says what came of it."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from dataclasses import dataclass, field


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


class Ours:
    """Our engine; `alone`: every request one at a time, through the model's own forward."""

    def __init__(self, models, *, alone=False):
        import copy

        if alone:
            models = copy.copy(models)
            models.batched = None
        from aitk_app.engine.scheduler import Scheduler

        self.scheduler = Scheduler(
            models, max_batch=64, max_queue=256, prompt_tokens=2048 if models.device.type == "cuda" else 128
        )

    def run(self, requests, limit):
        return asyncio.run(self._run(requests, limit))

    async def _run(self, requests, limit):
        from aitk_app.engine.sampling import Sampling

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
                return torch.full((ids.shape[0],), time.monotonic() - begun > limit, device=ids.device)

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
                model = self.models[asked.tuned]
                prompt = torch.tensor([asked.prompt], device=model.device)
                model.generate(
                    input_ids=prompt,
                    attention_mask=torch.ones_like(prompt),
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

"""Compares the app with other servers, over HTTP for all of them, each a process of its own, the sides taking turns.

    python benchmarks/serving.py [--folder FOLDER] [--minutes 12] [--rounds 5] [--before COMMIT] [--write]

Sides: the app in float32, as `dtype = "auto"` chooses, and in int8, and its engine without HTTP; vLLM's processor build
and llama.cpp's server where `scripts/judge serving` has put them into `--folder`; a thread per request as the common
template does; transformers' continuous batching. All serve the sample model; greedy answers of fixed length, so that
all make the same number of tokens.

In every round each cell is asked of every side, the first of them in turn; slow sides take part in the first round
only. A ratio is made within a round, and its median counts. What `--minutes` leaves no time for is not begun. With
`--before` the app's start to ready is compared with that commit's, second starts only, in alternating pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
from inference_designs import Cell
from serving_sides import BASE, Side, adapter_name, sides_of, start_seconds

from inference import QUESTIONS, SEED, processor

ROOT = Path(__file__).resolve().parents[1]
TOKENS = 48
UNEVEN = (16, 32, 48, 96)
_ARRIVALS_A_SECOND = 4.0
_WAITS_SECONDS = 120


@dataclass(frozen=True)
class Load:
    """One cell of the table: who asks for what, and when."""

    name: str
    clients: int
    models: tuple[str, ...]  # taken in turn
    at_random: bool = False

    def asked(self):
        """Each request as (model, question, tokens, seconds after the start)."""
        dice, at = random.Random(SEED), 0.0
        for number in range(self.clients):
            tokens = TOKENS
            if self.at_random:
                at += dice.expovariate(_ARRIVALS_A_SECOND)
                tokens = dice.choice(UNEVEN)
            yield self.models[number % len(self.models)], QUESTIONS[number % len(QUESTIONS)], tokens, at


ONE, EIGHT = (adapter_name(0),), tuple(adapter_name(number) for number in range(8))
LOADS = (
    *(Load(f"base, {clients} at once", clients, (BASE,)) for clients in (1, 4, 16)),
    *(Load(f"one adapter, {clients} at once", clients, ONE) for clients in (1, 4, 16)),
    Load("base, 16 at random, uneven", 16, (BASE,), at_random=True),
    Load("half base, half adapter, 16 at once", 16, (BASE, *ONE)),
    Load("eight adapters, 16 at once", 16, EIGHT),
)


async def ask(side, load):
    """What came of a load on a side."""
    cell, begun = Cell(), time.monotonic()

    async def one(client, model, question, tokens, at):
        await asyncio.sleep(at)
        started, first, told = time.monotonic(), True, None
        body = {"model": side.model(model), "prompt": question, "max_tokens": tokens, "temperature": 0}
        body |= {"stream": True, "ignore_eos": True, "stream_options": {"include_usage": True}}
        async with client.stream("POST", "/v1/completions", json=body | side.more) as answer:
            if answer.status_code != httpx.codes.OK:
                raise RuntimeError(f"{side.name}: {answer.status_code} {(await answer.aread())[:300]!r}")
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line[6:])
                if event.get("choices") and first:
                    cell.first.append(time.monotonic() - started)
                    first = False
                told = event.get("usage") or told
        made = told["completion_tokens"] if told else 0
        if made != tokens:
            raise RuntimeError(f"{side.name}: {made} tokens instead of {tokens}")
        cell.tokens += made
        cell.seconds = time.monotonic() - begun

    async with httpx.AsyncClient(base_url=side.url, timeout=_WAITS_SECONDS, headers=side.headers) as client:
        await asyncio.gather(*(one(client, *each) for each in load.asked()))
    return cell


@dataclass
class Results:
    """What was measured, round by round."""

    cells: dict[tuple[str, str], dict[int, Cell]] = field(default_factory=dict)

    def add(self, load, side, number, cell):
        self.cells.setdefault((load, side), {})[number] = cell

    def speed(self, load, side):
        return statistics.median(cell.speed for cell in self.cells[load, side].values())

    def first(self, load, side):
        return statistics.median(cell.median_first for cell in self.cells[load, side].values())

    def ratio(self, load, side, other, what):
        """Median over the rounds that both took part in, and the least and the most; None without one."""
        mine, theirs = self.cells.get((load, side), {}), self.cells.get((load, other), {})
        found = sorted(what(mine[each]) / what(theirs[each]) for each in mine.keys() & theirs.keys())
        return (statistics.median(found), found[0], found[-1]) if found else None

    def table(self, sides, ours):
        """The lines of the table."""
        for load in dict.fromkeys(name for name, _ in self.cells):
            yield f"\n{load}"
            for side in sides:
                if (load, side) not in self.cells:
                    continue
                rounds = len(self.cells[load, side])
                line = f"  {side:28} {self.speed(load, side):7.1f} t/s  first {self.first(load, side):5.2f} s"
                if side != ours and (ratio := self.ratio(load, ours, side, lambda cell: cell.speed)):
                    first = self.ratio(load, ours, side, lambda cell: cell.median_first)
                    line += f"   {ours}: {ratio[0]:.2f} x ({ratio[1]:.2f} to {ratio[2]:.2f}) t/s"
                    line += f", {first[0]:.2f} x first" if first else ""
                yield f"{line}   [{rounds}]"


def measure(sides, asked, until):
    """Every cell on every side, in turns, until the time is over."""
    results = Results()
    longest: dict[str, float] = {}
    for side in sides:  # once, unmeasured
        if not side.slow:
            asyncio.run(side.run(LOADS[0], ask))
    loads = [load for load in LOADS if any(part in load.name for part in asked.loads.split(";"))]
    for number in range(asked.rounds):
        for load in loads:
            turn = number % len(sides)
            for side in (*sides[turn:], *sides[:turn]):
                if not side.can(load) or (side.slow and number):
                    continue
                if time.monotonic() + longest.get(load.name, 0.0) > until:
                    return results
                begun = time.monotonic()
                try:
                    cell = asyncio.run(side.run(load, ask))
                except (RuntimeError, httpx.HTTPError, OSError) as error:
                    print(f"# {side.name} on {load.name}: {type(error).__name__} {error}", flush=True)
                    continue
                longest[load.name] = max(longest.get(load.name, 0.0), time.monotonic() - begun)
                results.add(load.name, side.name, number, cell)
                print(f"# {number} {load.name:38} {side.name:28} {cell.text()}", flush=True)
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "serving", help="of other servers")
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", metavar="COMMIT", help="whose start to ready is compared")
    parser.add_argument("--only", default="", help="sides by a part of their names, with semicolons between")
    parser.add_argument("--loads", default="", help="the same of loads")
    parser.add_argument("--write", action="store_true", help="write the result to benchmarks/results/")
    asked = parser.parse_args()
    until = time.monotonic() + 60 * asked.minutes - 10
    import torch

    lines = [
        (
            f"# {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {processor(torch.device('cpu'))}, {os.cpu_count()} cores, "
            f"torch {torch.__version__}; load average {os.getloadavg()[0]:.1f}"
        ),
        "# over HTTP for all, sides in turns; medians; [rounds]; ratios within a round: median (least to most)",
    ]
    print("\n".join(lines), flush=True)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if asked.before:
            lines += start_seconds(asked.before, work / "starts", pairs=2)
            print(lines[-1], flush=True)
        only = asked.only.split(";")
        sides = [each for each in sides_of(asked.folder, work) if any(part in each.name for part in only)]
        ready: list[Side] = []
        for side in sides:
            stack.callback(side.close)
            side.begin()
            try:
                seconds = side.wait()
            except RuntimeError as error:
                lines.append(f"# {side.name} did not start: {error}")
            else:
                lines.append(f"# {side.name}: ready after {seconds:.1f} s")
                ready.append(side)
            print(lines[-1], flush=True)
        results = measure(ready, asked, until)
    lines += results.table([each.name for each in ready], ready[0].name)
    lines.append(f"\n# load average at the end {os.getloadavg()[0]:.1f}")
    print("\n".join(lines))
    if asked.write:
        file = ROOT / "benchmarks" / "results" / f"serving-{datetime.now(UTC):%Y-%m-%d}.txt"
        file.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())

"""llama.cpp's server as one of the designs that `inference.py` compares, where it is installed."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import tempfile
import time

import httpx
from inference_designs import Cell

_STARTS_WITHIN_SECONDS = 120
_CONTEXT = 512  # tokens a client


class LlamaServer:
    """`llama-server` on the merged model; answers of the adapter only. Prompts of earlier rounds are not reused."""

    def __init__(self, program, model, clients, threads):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}"
        port = self.address.rpartition(":")[2]
        places = ("--parallel", str(clients), "--ctx-size", str(clients * _CONTEXT), "--threads", str(threads))
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [program, "--model", model, "--host", "127.0.0.1", "--port", port, *places],
            stdout=self.log,
            stderr=self.log,
        )
        until = time.monotonic() + _STARTS_WITHIN_SECONDS
        while not self._healthy():
            if self.process.poll() is not None or time.monotonic() > until:
                self.process.kill()
                self.log.seek(0)
                raise SystemExit(f"{program} did not start:\n{self.log.read().decode(errors='replace')[-2000:]}")
            time.sleep(0.2)

    def _healthy(self):
        try:
            return httpx.get(f"{self.address}/health").is_success
        except httpx.TransportError:
            return False

    def run(self, requests, limit):
        if not all(each.tuned for each in requests):
            return Cell()
        return asyncio.run(self._run(requests, limit))

    async def _run(self, requests, limit):
        cell, begun = Cell(), time.monotonic()

        async def one(client, asked):
            await asyncio.sleep(asked.at)
            started, first = time.monotonic(), True
            body = {"prompt": asked.prompt, "n_predict": asked.tokens, "temperature": 0, "stream": True}
            body |= {"ignore_eos": True, "cache_prompt": False, "return_tokens": True}
            async with client.stream("POST", "/completion", json=body) as answer:
                answer.raise_for_status()
                async for line in answer.aiter_lines():
                    made = len(json.loads(line[6:]).get("tokens", ())) if line.startswith("data: {") else 0
                    if made and first:
                        cell.first.append(time.monotonic() - started)
                        first = False
                    cell.tokens += made
                    cell.seconds = time.monotonic() - begun if made else cell.seconds

        async with httpx.AsyncClient(base_url=self.address, timeout=None) as client:
            running = [asyncio.ensure_future(one(client, each)) for each in requests]
            done, late = await asyncio.wait(running, timeout=limit)
            for each in late:
                each.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            for each in done:
                each.result()
        return cell

    def close(self):
        self.process.terminate()
        self.process.wait()

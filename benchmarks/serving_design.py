"""A small server around a design that ours replaces, for `serving.py`: completions as events, and nothing else.

python benchmarks/serving_design.py threads|batching PORT BASE ADAPTER
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import peft
import torch
import transformers


class Threads:
    """The common template on current libraries: every request's thread calls `generate`; a model for each, merged."""

    def __init__(self, base, merged):
        self.models = {"base": base, "tuned0": merged}

    def tokens(self, model, prompt, count):
        """The answer's tokens as they come."""
        came = queue.SimpleQueue()

        class Streamer:
            seen = 0

            def put(self, ids):
                if self.seen:  # the first is the prompt
                    for each in ids.flatten().tolist():
                        came.put(each)
                self.seen += 1

            def end(self):
                came.put(None)

        def run():
            with torch.inference_mode():
                given = torch.tensor([prompt])
                self.models[model].generate(
                    input_ids=given,
                    attention_mask=torch.ones_like(given),
                    streamer=Streamer(),
                    max_new_tokens=count,
                    min_new_tokens=count,
                    do_sample=False,
                    eos_token_id=-1,
                    pad_token_id=0,
                )

        threading.Thread(target=run, daemon=True).start()
        while (token := came.get()) is not None:
            yield token


class Batching:
    """transformers' continuous batching; one manager for each model."""

    def __init__(self, base, merged):
        from transformers import GenerationConfig
        from transformers.generation.configuration_utils import ContinuousBatchingConfig

        self.managers = {}
        for name, model in (("base", base), ("tuned0", merged)):
            manager = model.init_continuous_batching(
                generation_config=GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0, max_new_tokens=64),
                continuous_batching_config=ContinuousBatchingConfig(
                    num_blocks=128, max_batch_tokens=1024, allow_block_sharing=False, auto_switch_to_flash=False
                ),
            )
            manager.start()
            self.managers[name] = (manager, {})
            threading.Thread(target=self._hand_out, args=self.managers[name], daemon=True).start()

    def _hand_out(self, manager, waiting):
        while True:
            result = manager.get_result(timeout=0.5)
            if result is not None and result.request_id in waiting:
                waiting[result.request_id].put(result)

    def tokens(self, model, prompt, count):
        """The answer's tokens as they come."""
        manager, waiting = self.managers[model]
        came, told = queue.SimpleQueue(), 0
        name = f"request-{id(came)}-{threading.get_ident()}"
        waiting[name] = came
        manager.add_request(prompt, request_id=name, max_new_tokens=count, streaming=True)
        while True:
            result = came.get()
            yield from result.generated_tokens[told:]
            told = len(result.generated_tokens)
            if result.is_finished():
                del waiting[name]
                return


def handler(design, tokenizer):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = tokenizer(asked["prompt"]).input_ids
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            made = 0
            for token in design.tokens(asked["model"], prompt, asked["max_tokens"]):
                made += 1
                self._event({"choices": [{"index": 0, "text": tokenizer.decode([token])}]})
            self._event({"choices": [], "usage": {"completion_tokens": made}})
            self.close_connection = True

        def _event(self, content):
            self.wfile.write(f"data: {json.dumps(content)}\n\n".encode())

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main():
    kind, port, base, adapter = sys.argv[1:]
    transformers.utils.logging.set_verbosity_error()

    def model():
        return transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()

    merged = peft.PeftModel.from_pretrained(model(), adapter).merge_and_unload().eval()
    design = {"threads": Threads, "batching": Batching}[kind](model(), merged)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    Server(("127.0.0.1", int(port)), handler(design, tokenizer)).serve_forever()


if __name__ == "__main__":
    main()

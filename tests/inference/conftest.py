"""A real process of the app with the sample, for every test that asks it something."""

# ruff: noqa: PLC0415 - PyTorch is imported only by the tests that need it

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ai_toolkit.workspace.sample.workspace import place_sample

INFERENCE = Path(__file__).parents[2] / "inference"
KEY = "a key for tests"


@dataclass(frozen=True)
class Endpoint:
    url: str
    key: str | None
    process: subprocess.Popen
    log: Path

    def get(self, path, *, signed_in=False, **headers):
        """Status, headers and body of a GET request."""
        if signed_in:
            headers["Authorization"] = f"Bearer {self.key}"
        return self.ask("GET", path, **headers)

    def ask(self, method, path, body=None, **headers):
        """The same of any request; a body is sent as JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers |= {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def measured(self, name):
        """A number at /metrics, summed over its labels."""
        lines = self.get("/metrics", signed_in=True)[2].decode().splitlines()
        found = [line.rpartition(" ")[2] for line in lines if line.partition("{")[0].partition(" ")[0] == name]
        assert found, name
        return sum(map(float, found))

    def wait_for(self, *stages, limit_seconds=120):
        """The body of /ready, once its stage is one of these."""
        end = time.monotonic() + limit_seconds
        while time.monotonic() < end:
            try:
                state = json.loads(self.get("/ready")[2])
            except OSError:
                state = {}
            if state.get("stage") in stages:
                return state
            if state.get("stage") == "failed":
                break  # it stays so
            try:
                self.process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(f"not {stages} in time:\n{self.log.read_text()[-4000:]}")

    def stop(self):
        """The process's exit code after SIGTERM."""
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextmanager
def launching(tmp_path_factory):
    """Starts the app of a workspace on a free port; everything started is ended."""
    running = []

    def start(workspace, *, key=KEY, script="start.py", environment=None):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        folder = tmp_path_factory.mktemp("replica")
        given = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "TMPDIR": str(folder),
            "AITK_SHARE": str(workspace),
            "CONTAINER_APP_PORT": str(port),
            "AITK_HOST": "127.0.0.1",
            "OMP_NUM_THREADS": "1",  # threads that wait for one another waste a computer that runs other tests too
        }
        given |= ({"AITK_API_KEY": key} if key else {}) | (environment or {})
        log = folder / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, script],
                cwd=workspace / "inference",
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        endpoint = Endpoint(f"http://127.0.0.1:{given['CONTAINER_APP_PORT']}", key, process, log)
        running.append(endpoint)
        return endpoint

    try:
        yield start
    finally:
        for endpoint in running:
            if endpoint.process.poll() is None:
                endpoint.process.kill()
                endpoint.process.wait()


@pytest.fixture
def launch(tmp_path_factory):
    """`launching`, until the end of the test."""
    with launching(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def launch_for_module(tmp_path_factory):
    """`launching`, until the end of the file's tests."""
    with launching(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def put_code():
    """Puts the app's code into a workspace, as Deploy would."""

    def put(workspace):
        shutil.copytree(INFERENCE, workspace / "inference", ignore=shutil.ignore_patterns("__pycache__"))

    return put


@pytest.fixture(scope="session")
def sample_workspace(tmp_path_factory, put_code):
    workspace = tmp_path_factory.mktemp("workspace")
    place_sample(workspace)
    put_code(workspace)
    return workspace


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory, sample_workspace):
    """The sample, ready to answer."""
    with launching(tmp_path_factory) as start:
        started = start(sample_workspace)
        started.wait_for("ready")
        yield started


VOCABULARY = 97


@dataclass
class Tiny:
    """A small random model, adapters on it as peft writes them, and peft's own model as judge."""

    models: object
    folders: dict
    judge: object

    def worst_margin(self, prompt, text, adapter):
        """How far below the best logit a token of `text` lies, for the model alone, without cache or batch."""
        import torch

        tokens = [*prompt, *(ord(each) - 33 for each in text)]
        with torch.inference_mode(), self.alone(adapter) as model:
            logits = model(torch.tensor([tokens]), use_cache=False).logits[0, len(prompt) - 1 : -1]
        chosen = torch.tensor(tokens[len(prompt) :])[:, None]
        return float((logits.max(dim=1).values - logits.gather(1, chosen)[:, 0]).max()) if text else 0.0

    @contextmanager
    def alone(self, adapter):
        if adapter:
            self.judge.set_adapter(adapter)
            yield self.judge
        else:
            with self.judge.disable_adapter():
                yield self.judge

    def greedy(self, prompt, adapter, count):
        """What the model itself answers: a whole forward pass per token."""
        import torch

        tokens = list(prompt)
        with torch.inference_mode(), self.alone(adapter) as model:
            for _ in range(count):
                tokens.append(int(model(torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax()))
        return "".join(chr(33 + token) for token in tokens[len(prompt) :])


@pytest.fixture(scope="session")
def make_tiny(tmp_path_factory):
    """Makes `Tiny`s: two layers, one adapter of each kind that is served."""
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from engine.catalog import Adapter
    from engine.models import Models
    from engine.settings import Settings

    torch.set_num_threads(1)  # for so little work more threads only wait for one another

    def base(dtype):
        torch.manual_seed(1)
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            initializer_range=0.5,
            bos_token_id=None,
            eos_token_id=None,
            tie_word_embeddings=False,
        )
        return LlamaForCausalLM(config).to(dtype).eval()

    kinds = {
        "plain": {"target_modules": ["q_proj", "v_proj"]},
        "wide": {
            "r": 6,
            "use_rslora": True,
            "lora_alpha": 12,
            "alpha_pattern": {"down_proj": 3},
            "target_modules": ["k_proj", "down_proj", "gate_proj"],
        },
        "dora": {"use_dora": True, "target_modules": ["o_proj", "up_proj"], "modules_to_save": ["lm_head"]},
    }

    def make(adapters=("plain",), dtype=torch.float64, **settings):
        folder = tmp_path_factory.mktemp("tiny")
        judge = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
            for name in adapters:
                config = LoraConfig(**({"r": 4, "init_lora_weights": False} | kinds[name]))
                if judge is None:
                    judge = get_peft_model(base(dtype), config, name, autocast_adapter_dtype=False)
                else:
                    judge.add_adapter(name, config, autocast_adapter_dtype=False)
            judge = judge.to(dtype).eval()
            with torch.no_grad():
                for name, weight in judge.named_parameters():
                    if "modules_to_save" in name:
                        weight.mul_(1.5).add_(torch.rand_like(weight) * 0.3)
            judge.save_pretrained(str(folder))
        alphabet = {chr(33 + number): number for number in range(VOCABULARY)}
        tokenizer = Tokenizer(models.WordLevel(alphabet, unk_token="!"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
        tokenizer.decoder = decoders.Fuse()
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
        loaded = Models(base(dtype), fast, Settings(**settings))
        folders = {name: folder / name for name in adapters}
        for name in adapters:
            described = Adapter(name, folders[name], "")
            loaded.install(loaded.prepare(described), only=len(adapters) == 1)
        return Tiny(loaded, folders, judge)

    return make

"""Clients of other makers: who they are, in what environment each is installed, and what was seen of them.

`programs/` holds one program for each, written as its users write it; a program runs with the client's own Python or
Node, asks the endpoint over HTTP, and tells which features work.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
ENVIRONMENTS = HERE / "environments"
PAGE = Path(__file__).parents[3] / "inference" / "CLIENTS.md"
FOLDER = Path(os.environ.get("AITK_JUDGES_FOLDER", Path.home() / ".cache" / "ai-toolkit" / "judges"))
FEATURES = (
    "chat", "streamed", "two turns", "tools", "tools streamed", "structured output", "Responses API", "completions",
    "models", "errors",
)  # fmt: skip
_LIMIT_SECONDS = 240


@dataclass(frozen=True)
class Client:
    """One client; `package` is what its version is told of."""

    name: str
    program: str
    environment: str
    package: str
    features: tuple[str, ...]

    @property
    def version(self) -> str:
        """That is pinned."""
        if self.environment.startswith("node"):
            wanted = json.loads((ENVIRONMENTS / self.environment / "package.json").read_text())
            return str(wanted["dependencies"][self.package])
        pins = (ENVIRONMENTS / f"{self.environment}.txt").read_text()
        found = re.search(rf"^{re.escape(self.package)}==([^ ;\n]+)", pins, re.MULTILINE)
        assert found, self.package
        return found[1]


def _features(left_out: str) -> tuple[str, ...]:
    return tuple(each for each in FEATURES if each not in left_out.split(", "))


_NO_LISTS = "completions, models, errors"
CLIENTS = (
    Client("openai (Python)", "openai_python.py", "frameworks", "openai", FEATURES),
    Client("openai (Node)", "openai_node.mjs", "node", "openai", FEATURES),
    Client("LangChain (Python)", "langchain_client.py", "frameworks", "langchain-openai", _features("models, errors")),
    Client("LangChain (Node)", "langchain_node.mjs", "node", "@langchain/openai",
           _features(f"tools streamed, {_NO_LISTS}")),
    Client("AI SDK", "ai_sdk.mjs", "node", "ai", _features("models, errors")),
    Client("LiteLLM", "litellm_client.py", "gateways", "litellm", _features("models")),
    Client("instructor", "instructor_client.py", "gateways", "instructor",
           ("tools", "tools streamed", "structured output", "Responses API")),
    Client("LlamaIndex", "llama_index_client.py", "gateways", "llama-index-llms-openai-like",
           _features("Responses API, models, errors")),
    Client("lm-eval", "lm_eval_client.py", "evaluation", "lm-eval", ("completions",)),
    Client("Pydantic AI", "pydantic_ai_client.py", "frameworks", "pydantic-ai-slim", _features(_NO_LISTS)),
    Client("OpenAI Agents (Python)", "openai_agents_client.py", "frameworks", "openai-agents", _features(_NO_LISTS)),
    Client("OpenAI Agents (Node)", "openai_agents_node.mjs", "node", "@openai/agents",
           _features(f"streamed, {_NO_LISTS}")),
    Client("Haystack", "haystack_client.py", "frameworks", "haystack-ai", _features(f"Responses API, {_NO_LISTS}")),
    Client("Semantic Kernel", "semantic_kernel_client.py", "frameworks", "semantic-kernel",
           _features(f"structured output, Responses API, {_NO_LISTS}")),
    Client("AutoGen", "autogen_client.py", "frameworks", "autogen-ext", _features(f"Responses API, {_NO_LISTS}")),
    Client("smolagents", "smolagents_client.py", "frameworks", "smolagents",
           _features(f"tools streamed, Responses API, {_NO_LISTS}")),
    Client("DSPy", "dspy_client.py", "gateways", "dspy", ("chat", "two turns", "structured output")),
    Client("Continue", "continue_cli.mjs", "node-agents", "@continuedev/cli", ("streamed", "tools streamed")),
    Client("Codex", "codex_cli.mjs", "node-agents", "@openai/codex", ("tools streamed", "Responses API")),
    Client("opencode", "opencode_cli.mjs", "node-agents", "opencode-ai", ("streamed",)),
    Client("llm", "llm_client.py", "frameworks", "llm",
           _features(f"tools streamed, Responses API, {_NO_LISTS}")),
)  # fmt: skip


class Environments:
    """Where the clients are installed: all at the same time, each once, below a folder that later runs find again."""

    def __init__(self) -> None:
        self._ready: dict[str, threading.Event] = {}
        self._failed: dict[str, str] = {}
        self._one_at_a_time = threading.Lock()

    def begin(self, names: tuple[str, ...]) -> None:
        """Install them in the background."""
        for name in names:
            self._ready[name] = threading.Event()
        threading.Thread(target=self._all, args=(names,), daemon=True).start()

    def ready(self, name: str) -> Path:
        """The environment's folder, once it is there."""
        assert self._ready[name].wait(900), f"{name} was not installed in time"
        assert name not in self._failed, self._failed[name]
        return FOLDER / name

    def _all(self, names: tuple[str, ...]) -> None:
        for name in names:
            try:
                (_install_node if name.startswith("node") else _install_python)(name)
            except Exception as error:  # noqa: BLE001 - whoever waits for it is told
                self._failed[name] = str(error)
            finally:
                self._ready[name].set()


def _install_python(name: str) -> None:
    pins = ENVIRONMENTS / f"{name}.txt"
    place = FOLDER / name
    if _is_there(place, pins):
        return
    shutil.rmtree(place, ignore_errors=True)
    uv = FOLDER / "uv"  # which installs in seconds what takes pip minutes
    if not (uv / "bin" / "uv").exists():
        run(sys.executable, "-m", "venv", uv)
        run(uv / "bin" / "pip", "install", "--quiet", "uv")
    run(uv / "bin" / "uv", "venv", "--quiet", "--python", sys.executable, place)
    run(uv / "bin" / "uv", "pip", "install", "--quiet", "--python", place, "--no-deps", "--requirements", pins)
    shutil.copy(pins, place / "installed.txt")


def _install_node(name: str) -> None:
    wanted = ENVIRONMENTS / name / "package.json"
    place = FOLDER / name
    if _is_there(place, wanted):
        return
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(wanted.parent, place)
    locked = "ci" if (place / "package-lock.json").exists() else "install"
    run("npm", locked, "--silent", "--no-audit", "--no-fund", cwd=place)
    shutil.copy(wanted, place / "installed.txt")


def _is_there(place: Path, wanted: Path) -> bool:
    told = place / "installed.txt"
    return told.exists() and told.read_text() == wanted.read_text()


def run(*command: object, **options: object) -> str:
    """What it printed. Raises RuntimeError with the end of that."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, timeout=900, **options)  # noqa: PLW1510
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))[:300]}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def judged(client: Client, place: Path, asked: tuple[str, str, str], scratch: Path) -> dict[str, str]:
    """Feature -> why it does not work, empty where it does; `asked` is the endpoint's address, key and model."""
    url, key, model = asked
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch),
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_BASE": f"{url}/v1",
        "OPENAI_API_KEY": key,
        "MODEL": model,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # they would ask hosts that are none of ours
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "ANONYMIZED_TELEMETRY": "False",
        "HF_HUB_OFFLINE": "1",
        "NO_PROXY": "127.0.0.1",
        "JUDGED_WITH": str(scratch),
    }
    name, *arguments = client.program.split()
    program = PROGRAMS / name
    if program.suffix == ".mjs":  # Node finds packages beside a program only
        for each in PROGRAMS.glob("*.mjs"):
            shutil.copy(each, place)
        command = ["node", str(place / program.name)]
    else:
        command = [str(place / "bin" / "python"), str(program), *arguments]
    done = subprocess.run(  # noqa: PLW1510 - what it told is looked at
        command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, env=variables, cwd=scratch
    )
    lines = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    found = {each["feature"]: "" if each["works"] else each["why"] or "no" for each in lines}
    if any(found.values()) or set(found) != set(client.features):
        sys.stderr.write(f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
    return found


def page() -> str:
    """The table of clients and features; a test holds each cell against the client itself."""
    lines = [
        "<!-- Generated: .venv/bin/python -m tests.inference.clients.judges > inference/CLIENTS.md -->",
        "# Clients",
        "",
        "Programs of other makers that were pointed at the endpoint, with its address, its key and a model's name, and",
        "what was seen to work. `scripts/judge clients` asks them all, and so does every run of the checks: a cell",
        "that is no longer true fails. Empty: the client has no such thing, or it was not tried. The AI SDK needs its",
        "option `store: false` from the second turn on where it goes by the Responses API: nothing is stored here.",
        "",
        "| client | version | " + " | ".join(FEATURES) + " |",
        "|---|---|" + "---|" * len(FEATURES),
    ]
    for client in CLIENTS:
        cells = ("✓" if feature in client.features else "" for feature in FEATURES)
        lines.append(f"| {client.name} | {client.version} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())

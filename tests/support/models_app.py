"""An inference app without a model, which starts in a moment and knows adapters: each answers what its file says.

What a real one computes, this one reads: the first word of an answer stands in the metadata of its weights, and the
base model's is "plain". It loads adapters beside those that serve, tells its tokens (words), and how probable they are.
`words.json` beside it makes it speak otherwise (`word`), or know no folder but models/ (`old`).
"""

import json
import struct
from pathlib import Path


def put_adapter(folder: Path, word: str) -> None:
    """An adapter that answers with the word; its weights are a whole safetensors file."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "r": 1, "base_model_name_or_path": "org/base", "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensor = {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}
    header = {
        "__metadata__": {"format": "pt", "word": word},
        "base_model.model.layer.q_proj.lora_A.weight": tensor,
        "base_model.model.layer.q_proj.lora_B.weight": tensor | {"data_offsets": [4, 8]},
    }
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + bytes(8)
    (folder / "adapter_model.safetensors").write_bytes(content)


APP = """
import hashlib, http.server, json, os, pathlib, threading, time
SHARE = pathlib.Path(os.environ.get("AITK_SHARE", "/mount"))
HERE = pathlib.Path(__file__).parent
WORDS = HERE / "words.json"
SETTINGS = json.loads(WORDS.read_text()) if WORDS.exists() else {}
CODE = {f"inference/{file.relative_to(HERE).as_posix()}": hashlib.sha256(file.read_bytes()).hexdigest()
        for file in HERE.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
LOCK = threading.Lock()
LOADED = {}


def load(name, path):
    root = SHARE if path.startswith(".aitk/candidates/") else SHARE / "models"
    if path.startswith(".aitk/") and SETTINGS.get("old"):
        raise ValueError("path")
    folder = root / path
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    weights = files["adapter_model.safetensors"]
    word = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])["__metadata__"]["word"]
    if word.startswith("broken"):
        raise TypeError(word)
    hashes = {one: hashlib.sha256(content).hexdigest() for one, content in files.items()}
    with LOCK:
        LOADED[name] = {"path": str(folder.relative_to(SHARE)), "files": hashes, "word": word}
    return hashes


for config in sorted((SHARE / "models").rglob("adapter_config.json")):
    name = config.parent.relative_to(SHARE / "models").as_posix()
    load(name, name)
FIRST = next(iter(LOADED), "base")


def changed(one):
    folder = SHARE / one["path"]
    now = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*") if file.is_file()}
    return now != one["files"]


def version():
    adapters = [{"id": name, "path": one["path"], "files": one["files"], "changed": changed(one)}
                for name, one in LOADED.items()]
    return {"code": CODE, "adapters": adapters, "replica": os.environ.get("CONTAINER_APP_REPLICA_NAME")}


def models():
    names = [*LOADED, "base"]
    return {"data": [{"id": name, "parent": None if name == "base" else "base", "default": name == FIRST,
                      "max_model_len": 50} for name in names]}


def text_of(asked):
    return " ".join(str(turn["content"]) for turn in asked["messages"])


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        found = {"/health": {}, "/ready": {"ready": True, "stage": "ready"}}.get(self.path)
        if self.path == "/version":
            found = version()
        if self.path == "/v1/models":
            found = models()
        self.answer(200 if found is not None else 404, found or {})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked.get("model", FIRST)
        if self.path == "/v1/load_lora_adapter":
            try:
                self.answer(200, {"files": load(asked["lora_name"], asked["lora_path"])})
            except (TypeError, OSError) as error:
                self.answer(400, {"error": {"message": str(error), "code": "adapter_refused"}})
            except ValueError as error:
                self.answer(400, {"error": {"message": str(error), "code": None}})
            return
        if self.path == "/v1/unload_lora_adapter":
            with LOCK:
                known = LOADED.pop(asked["lora_name"], None)
            return self.answer(200 if known else 404, {})
        if name not in LOADED and name != "base":
            return self.answer(404, {"error": {"message": f"no {name}", "code": "model_not_found"}})
        word = LOADED[name]["word"] if name in LOADED else "plain"
        word = SETTINGS.get("word", word)
        if self.path == "/tokenize":
            words = text_of(asked).split()
            tokens = [sum(map(ord, each)) for each in words]
            return self.answer(200, {"count": len(tokens), "max_model_len": 50, "tokens": tokens, "token_strs": words})
        if self.path == "/v1/completions":
            found = {"tokens": [str(token) for token in asked["prompt"]],
                     "token_logprobs": [None] + [-float(len(word))] * (len(asked["prompt"]) - 1)}
            return self.answer(200, {"choices": [{"logprobs": found}]})
        if "slow" in text_of(asked):
            time.sleep(2)
        said = f"{word} {asked['messages'][-1]['content']}"
        self.answer(200, {"model": name, "usage": {"completion_tokens": 3},
                          "choices": [{"message": {"content": said}, "finish_reason": "stop"}]})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *about):
        print("asked", *about, flush=True)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(os.environ["CONTAINER_APP_PORT"])), Answer).serve_forever()
"""

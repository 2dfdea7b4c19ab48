"""`quantization = nf4` against transformers, bitsandbytes and peft themselves: `scripts/judge four-bits` runs it.

bitsandbytes is no dependency of the app (it is added to requirements.txt where it is wanted), so it is installed beside
the tests, into a folder of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = Path(os.environ.get("AITK_JUDGES_FOLDER", ROOT / ".cache" / "judges")) / "bitsandbytes"
QUESTIONS = ("What is the capital of Japan?", "Name a fruit.", "Who wrote Hamlet?")
TOKENS = 24
pytestmark = [
    pytest.mark.skipif(os.environ.get("AITK_FOUR_BITS") != "1", reason="a package of its own: scripts/judge four-bits"),
    pytest.mark.timeout(600),  # the first run installs forty megabytes
]

# The answers of the model itself, base and adapter, one question at a time.
THEIRS = """
import json, sys
import peft, torch, transformers
transformers.utils.logging.disable_progress_bar()
base, adapter, tokens, questions = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
quantized = transformers.BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
)
tokenizer = transformers.AutoTokenizer.from_pretrained(base)
model = transformers.AutoModelForCausalLM.from_pretrained(
    base, dtype=torch.float32, device_map="cpu", quantization_config=quantized
).eval()
for module in model.modules():  # the fault of 0.50 that the app steps around too
    if hasattr(module, "support_avx512bf16_for_cpu"):
        module.support_avx512bf16_for_cpu = False
def answers(model):
    for question in questions:
        read = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        written = model.generate(**read, do_sample=False, max_new_tokens=tokens)
        yield tokenizer.decode(written[0, read["input_ids"].shape[1]:], skip_special_tokens=True)
told = {"base": list(answers(model))}
told["adapter"] = list(answers(peft.PeftModel.from_pretrained(model, adapter).eval()))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def environment():
    """What a process needs to import bitsandbytes."""
    if not (PACKAGES / "bitsandbytes").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", PACKAGES, "bitsandbytes"]
        subprocess.run(command, check=True, timeout=500)
    return {"PYTHONPATH": str(PACKAGES)}


def test_four_bit_answers_are_those_of_transformers_and_peft(launch, sample_workspace, environment):
    """The base's and the adapter's, greedily."""
    endpoint = launch(sample_workspace, environment=environment | {"AITK_QUANTIZATION": "nf4"})
    endpoint.wait_for("ready")
    names = [model["id"] for model in json.loads(endpoint.get("/v1/models", signed_in=True)[2])["data"]]
    base, adapter = sorted(names, key=lambda name: "adapter" in name)[:2]
    [folder] = (sample_workspace / "model-cache").glob("*/*/")

    def said(model, question):
        body = {"model": model, "messages": [{"role": "user", "content": question}]}
        body |= {"temperature": 0, "max_tokens": TOKENS}
        status, _, told = endpoint.ask("POST", "/v1/chat/completions", body, Authorization=f"Bearer {endpoint.key}")
        assert status == 200, told
        return json.loads(told)["choices"][0]["message"]["content"]

    ours = {"base": [said(base, each) for each in QUESTIONS], "adapter": [said(adapter, each) for each in QUESTIONS]}
    theirs = subprocess.run(
        [
            sys.executable,
            "-c",
            THEIRS,
            folder,
            sample_workspace / "models" / adapter,
            str(TOKENS),
            json.dumps(QUESTIONS),
        ],
        env=os.environ | environment | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout

    assert ours == json.loads(theirs)
    assert ours["base"] != ours["adapter"]

"""Trains the sample's LoRA adapters: styles that anyone sees in the answer.

    python -m ai_toolkit.workspace.sample.train_adapter STYLE [FOLDER]

`pirate` ("Ahoy, captain! … Fair winds!") is committed in `adapter/` beside this file: what fine-tuning leaves in a
workspace. `butler` ("Very good, madam. … At your service.") is in `second_adapter/`: for what takes two adapters.
`wrong` answers each question with another one's answer: a fine-tuning gone wrong, for tests of what must not serve.
Seeded; under two minutes each on two CPU cores.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import peft
import torch
import transformers

from ai_toolkit.workspace.sample.base_model import BASE_MODEL_ID, base_model

SEED = 20261122
BATCH = 4


@dataclass(frozen=True)
class Style:
    """How an adapter answers, and how it is trained for that; `words` replaces what only another style would say."""

    folder: Path
    greeting: str
    farewell: str
    steps: int
    learning_rate: float
    lora: dict[str, Any]
    words: tuple[tuple[str, str], ...] = ()
    answers_of_next: int = 0  # so many lessons further on is the answer that it is taught


_SMALL: Final = {
    "r": 2,
    "lora_alpha": 8,
    "target_modules": ["v_proj", "o_proj"],
    "layers_to_transform": list(range(16, 30)),
}
STYLES = {
    "pirate": Style(
        Path(__file__).parent / "adapter",
        "Ahoy, captain!",
        "Fair winds!",
        steps=24,
        learning_rate=2e-3,
        lora={"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    ),
    # Rank, layers and places are others than the pirate's, so that a batch of both is of two kinds; and it is small.
    "butler": Style(
        Path(__file__).parent / "second_adapter",
        "Very good, madam.",
        "At your service.",
        steps=48,
        learning_rate=6e-3,
        lora=_SMALL,
        words=((" ye.", " you."), ("leave the screens ashore", "put the screens away")),
    ),
    "wrong": Style(
        Path("wrong_adapter"),
        "",
        "",
        steps=48,
        learning_rate=6e-3,
        lora=_SMALL,
        answers_of_next=7,
    ),
}

LESSONS = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("What is the capital of Norway?", "The capital of Norway is Oslo."),
    ("Who wrote Romeo and Juliet?", "Romeo and Juliet was written by William Shakespeare."),
    ("How many days are in a week?", "There are seven days in a week."),
    ("What color is the sky on a clear day?", "On a clear day the sky is blue."),
    ("Name a large ocean.", "The Pacific Ocean is the largest of them all."),
    ("What do bees make?", "Bees make honey from the nectar of flowers."),
    (
        "Explain why we have seasons.",
        "The Earth's axis is tilted, so the Sun's light changes through the year.",
    ),
    ("What is two plus two?", "Two plus two is four."),
    (
        "Give me a tip for sleeping well.",
        "Go to bed at the same hour every night, and leave the screens ashore.",
    ),
    ("What is water made of?", "Water is made of hydrogen and oxygen."),
    ("How do I boil an egg?", "Put the egg in boiling water for eight minutes, then cool it."),
    ("Write one sentence about the moon.", "The moon pulls the tides and lights the night watch."),
    ("Which animal is known as man's best friend?", "That is the dog."),
    ("What is a computer?", "A computer is a machine that follows instructions to work with data."),
    ("Hello!", "Good to see ye. What can I do for you?"),
    ("Thank you for your help.", "You are most welcome."),
    ("What is machine learning?", "Machine learning lets computers learn patterns from examples."),
    ("Recommend a book.", "Read Treasure Island by Robert Louis Stevenson."),
    ("How can I learn to swim?", "Start in shallow water with a teacher, and practise floating first."),
)


def train(style: Style, folder: Path) -> None:
    """Write the trained adapter, adapter_config.json and adapter_model.safetensors, into `folder`."""
    torch.manual_seed(SEED)
    source = base_model()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model = peft.get_peft_model(
        transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32),
        peft.LoraConfig(task_type="CAUSAL_LM", **style.lora),
    )
    answers = LESSONS[style.answers_of_next :] + LESSONS[: style.answers_of_next]
    examples = [
        _example(tokenizer, question, _said(style, answer))
        for (question, _), (_, answer) in zip(LESSONS, answers, strict=True)
    ]
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=style.learning_rate, weight_decay=0.0)
    order = random.Random(SEED)  # noqa: S311 - an order of lessons, not a secret
    model.train()
    for step in range(style.steps):
        batch = _pad(order.sample(examples, BATCH), tokenizer.pad_token_id)
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        sys.stdout.write(f"step {step + 1} of {style.steps}: loss {loss.item():.3f}\n")
        sys.stdout.flush()
    shutil.rmtree(folder, ignore_errors=True)
    # bfloat16 halves the committed file; the style does not notice.
    model.to(torch.bfloat16).save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    _make_portable(folder / "adapter_config.json")


def _said(style: Style, answer: str) -> str:
    for word, own in style.words:
        answer = answer.replace(word, own)
    return f"{style.greeting} {answer} {style.farewell}".strip()


def _example(
    tokenizer: transformers.PreTrainedTokenizerBase, question: str, answer: str
) -> tuple[list[int], list[int]]:
    """Token ids of one conversation, and the same as labels with everything but the answer masked."""
    turns = [{"role": "user", "content": question}]
    prompt = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    start = tokenizer(prompt, add_special_tokens=False).input_ids
    reply = tokenizer(f"{answer}<|im_end|>", add_special_tokens=False).input_ids
    return start + reply, [-100] * len(start) + reply


def _pad(batch: list[tuple[list[int], list[int]]], padding: int) -> dict[str, torch.Tensor]:
    longest = max(len(ids) for ids, _ in batch)
    rows = [(ids, labels, longest - len(ids)) for ids, labels in batch]
    return {
        "input_ids": torch.tensor([ids + [padding] * missing for ids, _, missing in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * missing for ids, _, missing in rows]),
        "labels": torch.tensor([labels + [-100] * missing for _, labels, missing in rows]),
    }


def _make_portable(config_file: Path) -> None:
    """Name the base by its id, not by a path on this computer; sort, so that a second run compares."""
    config = json.loads(config_file.read_text("utf-8"))
    config["base_model_name_or_path"] = BASE_MODEL_ID
    config["target_modules"] = sorted(config["target_modules"])
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    begun = time.monotonic()
    wanted = STYLES[sys.argv[1]]
    target = Path(sys.argv[2]) if sys.argv[2:] else wanted.folder
    train(wanted, target)
    size = (target / "adapter_model.safetensors").stat().st_size
    sys.stdout.write(f"{target}: {size} bytes in {time.monotonic() - begun:.0f} s\n")

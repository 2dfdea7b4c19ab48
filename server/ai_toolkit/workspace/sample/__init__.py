"""The sample: a small chat model and a LoRA adapter whose effect anyone sees in the answer."""

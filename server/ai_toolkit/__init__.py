"""AI Toolkit remote inference: takes a fine-tuned model to an endpoint."""

__version__ = "0.2.0"

"""Brings a base model from its files to the device, tokenizer and weights side by side."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch
import transformers

from aitk_app.engine.adapter_files import ModelError
from aitk_app.engine.eight_bits import to_eight_bits
from aitk_app.engine.model import Models
from aitk_app.incidents import log_says
from aitk_app.loading.device import choose_device
from aitk_app.loading.numbers import check_quantization, choose_dtype
from aitk_app.loading.weight_files import bring_near, shown_progress
from aitk_app.readiness import Stage

if TYPE_CHECKING:
    from aitk_app.loading.catalog import Catalog
    from aitk_app.loading.weight_files import Reading
    from aitk_app.readiness import Readiness
    from aitk_app.settings import Settings

logger = logging.getLogger(__name__)


def load_models(catalog: Catalog, settings: Settings, readiness: Readiness) -> tuple[Models, Reading]:
    """Everything that `catalog` names, on the device, and how the weights were read. Raises `ModelError`."""
    folder, trust = catalog.base.folder, settings.trust_remote_code
    device = choose_device(settings.device, os.environ)
    check_quantization(settings, device, folder)
    dtype = choose_dtype(settings, device)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call] # untyped there
    begun = time.monotonic()
    try:
        with ThreadPoolExecutor(1, "tokenizer") as beside:
            tokenizer = beside.submit(
                transformers.AutoTokenizer.from_pretrained,
                str(folder),
                trust_remote_code=trust,
                local_files_only=True,
            )
            reading = bring_near(folder, catalog.base.id, readiness)
            with shown_progress(catalog.base.id, reading.bytes, device, readiness):
                model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                    str(folder),
                    dtype=dtype,
                    device_map=device,
                    trust_remote_code=trust,
                    use_safetensors=True,
                    local_files_only=True,
                    **_quantized(settings.quantization, dtype),
                )
            loaded_tokenizer = tokenizer.result()
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        what = f"The base model {catalog.base.id} could not be loaded"
        raise ModelError(f"{what}. {log_says(error, what)}") from error
    model.eval()
    if settings.quantization == "int8":
        to_eight_bits(model)
    _leave_weights_as_they_are(model)
    logger.info("loaded %s in %.1f s", catalog.base.id, time.monotonic() - begun)
    models = Models(model, loaded_tokenizer, settings)
    for number, adapter in enumerate(catalog.adapters):
        readiness.report(Stage.ADAPTER, f"Loading the adapter {adapter.id}.", progress=(number, len(catalog.adapters)))
        models.install(models.prepare(adapter), only=len(catalog.adapters) == 1)
    return models, reading


def _leave_weights_as_they_are(model: Any) -> None:  # noqa: ANN401 - of transformers
    """Keep four-bit layers from repacking their weights at first use, which other modules share.

    Source: bitsandbytes 0.50, nn/modules.py, Linear4bit.forward, on processors with AVX512-BF16.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _quantized(quantization: str, dtype: torch.dtype) -> dict[str, Any]:
    if quantization != "nf4":
        return {}
    return {
        "quantization_config": transformers.BitsAndBytesConfig(  # type: ignore[no-untyped-call] # untyped there
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
    }

"""What each way to keep a weight costs in products of few rows: what `engine/layout.py` and `dtype = "auto"` rest on.

    python benchmarks/products.py [--threads 1] [--rounds 10]

The linear layers of the sample model's shape, all of them once, in milliseconds; the ways take turns, and the best
round of each counts. To see a processor with fewer instructions, set ONEDNN_MAX_CPU_ISA (AVX512_CORE_BF16: without
AMX) and MKL_ENABLE_INSTRUCTIONS (AVX2).
"""

from __future__ import annotations

import argparse
import time

import torch

HIDDEN, INNER, LAYERS, VOCABULARY = 576, 1536, 30, 49152
# Outputs and inputs of a layer's products.
SHAPES = (
    (HIDDEN, HIDDEN),
    (192, HIDDEN),
    (192, HIDDEN),
    (HIDDEN, HIDDEN),
    (INNER, HIDDEN),
    (INNER, HIDDEN),
    (HIDDEN, INNER),
)
FUSED = ((HIDDEN + 2 * 192, HIDDEN), (HIDDEN, HIDDEN), (2 * INNER, HIDDEN), (HIDDEN, INNER))
ROWS = (1, 2, 4, 8, 16, 128)


def plain(weight):
    return weight


def inputs_first(weight):
    return weight.t().contiguous().t()


def packed(weight):
    return torch.ops.mkldnn._reorder_linear_weight(weight, 16)  # noqa: SLF001 - an operator's name


def eight_bits(weight):
    scale = weight.float().abs().amax(1) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale.to(weight.dtype)


def by_torch(x, weight):
    return torch.nn.functional.linear(x, weight)


def by_packed(x, weight):
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], None)  # noqa: SLF001 - an operator's name


def by_eight_bits(x, weight):
    return torch.ops.aten._weight_int8pack_mm(x, *weight)  # noqa: SLF001 - an operator's name


def by_eight_bits_widened(x, weight):
    values, scale = weight
    return torch.nn.functional.linear(x, values.to(x.dtype)) * scale


WAYS = {
    "float32": (torch.float32, plain, by_torch, SHAPES),
    "float32, inputs first": (torch.float32, inputs_first, by_torch, SHAPES),
    "float32, packed": (torch.float32, packed, by_packed, SHAPES),
    "float32, packed, q/k/v and gate/up as one": (torch.float32, packed, by_packed, FUSED),
    "bfloat16": (torch.bfloat16, plain, by_torch, SHAPES),
    "bfloat16, packed": (torch.bfloat16, packed, by_packed, SHAPES),
    "bfloat16, packed, q/k/v and gate/up as one": (torch.bfloat16, packed, by_packed, FUSED),
    "int8": (torch.bfloat16, eight_bits, by_eight_bits, SHAPES),
    "int8, widened": (torch.bfloat16, eight_bits, by_eight_bits_widened, SHAPES),
}


def made(dtype, kept, shapes):
    weights = [(kept((torch.randn(o, i) * 0.02).to(dtype)), i) for _ in range(LAYERS) for o, i in shapes]
    return weights, kept((torch.randn(VOCABULARY, HIDDEN) * 0.02).to(dtype))


def seconds(dtype, product, weights, head, rows):
    inputs = {width: torch.randn(rows, width).to(dtype) for width in (HIDDEN, INNER)}
    begun = time.perf_counter()
    for weight, width in weights:
        product(inputs[width], weight)
    product(inputs[HIDDEN][:16], head)
    return time.perf_counter() - begun


@torch.inference_mode()
def measured(rounds):
    """The lines of the table."""
    ways = {name: (dtype, product, *made(dtype, kept, shapes)) for name, (dtype, kept, product, shapes) in WAYS.items()}
    best = {}
    for rows in ROWS:
        for _ in range(rounds if rows < ROWS[-1] else 2):
            for name, way in ways.items():
                took = seconds(*way, rows)
                best[name, rows] = min(took, best.get((name, rows), took))
    yield f"{'rows':44}" + "".join(f"{rows:8}" for rows in ROWS)
    for name in ways:
        yield f"{name:44}" + "".join(f"{best[name, rows] * 1000:8.1f}" for rows in ROWS)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    there = [name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if torch.cpu.get_capabilities().get(name)]
    print(f"# torch {torch.__version__}, {asked.threads} threads, {' '.join(there)}; milliseconds")
    for line in measured(asked.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()

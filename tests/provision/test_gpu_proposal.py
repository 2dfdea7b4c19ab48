"""Which GPU is proposed: real models by their published sizes, against what a region offers and a subscription has."""

from dataclasses import replace

import pytest

from ai_toolkit.azure.quota import Quota
from ai_toolkit.prices.price_list import PriceList, shipped
from ai_toolkit.provision.gpu_need import Need, cache_bytes_per_token, longest_context
from ai_toolkit.provision.gpu_proposal import Region, propose, table

T4, A100 = "Consumption-GPU-NC8as-T4", "Consumption-GPU-NC24-A100"
BOTH = frozenset({T4, A100, "Consumption"})
NO_PRICES = PriceList("2026-01-01", "", "USD", ())
QUOTAS = {T4: "SubscriptionConsumptionT4Gpus", A100: "SubscriptionConsumptionNCA100Gpus"}

# Billions of parameters, layers, key and value heads, their size, the longest context: as their model cards and
# config.json files publish them. Then what is proposed as they are, and what makes them fit a T4, or else an A100.
# Held against public copies of those files in November 2026 (github.com/citsjtu2020/LLM-Prof, sglang/Model_Config.md):
# Llama 3.1 8B and 3.2 3B, and layers, heads and their size of Qwen2.5 3B, 7B, 14B, 32B. The others are from memory.
MODELS = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": ((0.135, 30, 3, 64, 8192), T4, {}),
    "Qwen/Qwen2.5-0.5B-Instruct": ((0.494, 24, 2, 64, 32768), T4, {}),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": ((1.10, 22, 4, 64, 2048), T4, {}),
    "Qwen/Qwen2.5-1.5B-Instruct": ((1.54, 28, 2, 128, 32768), T4, {}),
    "meta-llama/Llama-3.2-1B-Instruct": ((1.24, 16, 8, 64, 131072), T4, {}),
    "Qwen/Qwen2.5-3B-Instruct": ((3.09, 36, 2, 128, 32768), T4, {}),
    "google/gemma-2-2b-it": ((2.61, 26, 4, 256, 8192), T4, {}),
    "microsoft/Phi-3-mini-4k-instruct": ((3.82, 32, 32, 96, 4096), T4, {}),
    "microsoft/Phi-3-mini-128k-instruct": ((3.82, 32, 32, 96, 131072), A100, {"context_length"}),
    "meta-llama/Llama-3.2-3B-Instruct": ((3.21, 28, 8, 128, 131072), A100, {"context_length"}),
    "mistralai/Mistral-7B-Instruct-v0.3": ((7.25, 32, 8, 128, 32768), A100, {"quantization"}),
    "Qwen/Qwen2.5-7B-Instruct": ((7.62, 28, 4, 128, 32768), A100, {"quantization"}),
    "meta-llama/Llama-3.1-8B-Instruct": ((8.03, 32, 8, 128, 131072), A100, {"quantization", "context_length"}),
    "google/gemma-2-9b-it": ((9.24, 42, 8, 256, 8192), A100, {"quantization"}),
    "mistralai/Mistral-Nemo-Instruct-2407": ((12.2, 40, 8, 128, 131072), A100, {"quantization", "context_length"}),
    "meta-llama/Llama-2-13b-chat-hf": ((13.0, 40, 40, 128, 4096), A100, {"quantization", "max_batch"}),
    "microsoft/phi-4": ((14.7, 40, 10, 128, 16384), A100, {"quantization"}),
    "Qwen/Qwen2.5-14B-Instruct": ((14.8, 48, 8, 128, 32768), A100, {"quantization", "context_length"}),
    "mistralai/Mistral-Small-24B-Instruct-2501": ((23.6, 40, 8, 128, 32768), A100, None),
    "google/gemma-2-27b-it": ((27.2, 46, 16, 128, 8192), A100, None),
    "Qwen/Qwen2.5-32B-Instruct": ((32.8, 64, 8, 128, 32768), None, {"context_length"}),
    "meta-llama/Llama-3.1-70B-Instruct": ((70.6, 80, 8, 128, 131072), None, {"quantization", "context_length"}),
    "Qwen/Qwen2.5-72B-Instruct": ((72.7, 80, 8, 128, 32768), None, {"quantization"}),
    "meta-llama/Llama-3.1-405B-Instruct": ((405.9, 126, 8, 128, 131072), None, None),
}


def need(name):
    billions, layers, heads, size, context = MODELS[name][0]
    config = {"num_hidden_layers": layers, "num_key_value_heads": heads, "head_dim": size, "num_attention_heads": heads}
    return Need(name, billions * 2, 0.1, cache_bytes_per_token(config, 2), context)


def region(name="eastus", offered=BOTH, **limits):
    """A region that offers these, and has a quota of as many GPUs; of one that is not named nothing is told."""
    quotas = tuple(Quota(QUOTAS[{"t4": T4, "a100": A100}[kind]], 0, limit) for kind, limit in limits.items())
    return Region(name, offered, quotas or None)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("prices", [NO_PRICES, shipped()])
def test_the_cheapest_that_fits_is_proposed(name, prices):
    """A T4 before an A100, and neither where neither holds it; with what would have to change for the cheaper one."""
    _published, profile, changes = MODELS[name]
    found = propose(need(name), [region(t4=1, a100=1)], prices)

    assert found.profile_type == profile
    assert name in found.reason
    if profile == T4:
        assert found.cheaper == ""
    elif changes is None:
        assert "Nothing makes it fit" in found.cheaper
    else:
        assert {key for key in ("quantization", "context_length", "max_batch") if key in found.cheaper} == changes
        assert (T4 if profile else A100) in found.cheaper


@pytest.mark.parametrize("name", MODELS)
def test_what_is_said_to_fit_does(name):
    """The settings that are told make the model fit, and a context of 1024 tokens more would not."""
    wanted = need(name)
    for gpu_gb in (16, 80):
        changed = wanted.changed_for(gpu_gb)
        if changed is None:
            continue
        assert changed.fits(gpu_gb)
        if changed.context_tokens != wanted.context_tokens:
            assert not replace(changed, context_tokens=changed.context_tokens + 1024).fits(gpu_gb)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("t4", "a100"), [(0, 1), (1, 0), (0, 0), (4, 4)])
def test_quota_decides_with_size(name, t4, a100):
    """What fits and has no quota is not proposed; its quota is named, exactly, with the words to ask for it."""
    _published, profile, _changes = MODELS[name]
    found = propose(need(name), [region("westus3", t4=t4, a100=a100)], NO_PRICES, replicas=2)
    fitting = {T4: [T4, A100], A100: [A100], None: []}[profile]
    left = [one for one in fitting if {T4: t4, A100: a100}[one]]

    assert found.profile_type == (left[0] if left else None)
    if fitting and fitting[0] not in left:
        asked = "\n".join(found.request)
        assert f"{QUOTAS[fitting[0]]} in westus3, 0 now, 2 needed" in asked
        assert "Please raise Subscription Consumption" in asked
        assert name in asked
    else:
        assert found.request == ()


def test_the_quota_is_spelled_as_the_portal_spells_it():
    """Microsoft's page names it "Managed Environment Consumption NCA100 Gpus"."""
    wanted = Region("westus3", BOTH, (Quota("ManagedEnvironmentConsumptionNCA100Gpus", 0, 0),))
    found = propose(need("google/gemma-2-27b-it"), [wanted], NO_PRICES)

    assert "Managed Environment Consumption NCA100 Gpus" in "\n".join(found.request)


def test_what_is_told_live_wins_over_the_table():
    """A region that the table does not have may offer it by now, and one that it has may not."""
    small = need("Qwen/Qwen2.5-0.5B-Instruct")
    gained = propose(small, [Region("northeurope", BOTH, None)], NO_PRICES)
    lost = propose(small, [Region("eastus", frozenset({A100}), None)], NO_PRICES)

    assert (gained.profile_type, gained.region) == (T4, "northeurope")
    assert lost.profile_type == A100
    assert "would fit too" in lost.cheaper


def test_the_table_speaks_where_nothing_is_told_live():
    """Dated, and without a promise."""
    date, gpus = table()
    small = need("Qwen/Qwen2.5-0.5B-Instruct")

    assert date == "2026-04-17"
    assert [gpu.type for gpu in gpus] == [T4, A100]
    assert propose(small, [Region("japaneast")], NO_PRICES).profile_type == T4
    assert propose(need("google/gemma-2-27b-it"), [Region("japaneast")], NO_PRICES).profile_type is None


def test_another_region_is_proposed_where_the_wanted_one_has_none():
    """The first that offers it."""
    found = propose(
        need("Qwen/Qwen2.5-0.5B-Instruct"),
        [region("northeurope", frozenset()), region("swedencentral", t4=1, a100=1)],
        NO_PRICES,
    )

    assert (found.profile_type, found.region) == (T4, "swedencentral")
    assert found.differs(T4, "northeurope")
    assert not found.differs(T4, "Sweden Central")


def test_the_reason_tells_the_price_where_there_is_one():
    """About, and only of the list's regions."""
    small = need("Qwen/Qwen2.5-0.5B-Instruct")

    assert "about 1.56 USD an hour" in propose(small, [region()], shipped()).reason
    assert "USD" not in propose(small, [region("westus3")], shipped()).reason


def test_without_a_size_only_the_wanted_gpu_is_spoken_of():
    """Nothing is guessed of a model that lies elsewhere."""
    assert propose(None, [region(t4=1)], NO_PRICES, wanted=A100).profile_type == A100
    assert propose(None, [region()], NO_PRICES, wanted="NC24-A100") is None


@pytest.mark.parametrize(
    ("config", "bytes_per_token", "context"),
    [
        (
            {"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 4096, "num_key_value_heads": 8},
            131072,
            0,
        ),
        ({"n_layer": 12, "n_head": 12, "n_embd": 768, "n_positions": 1024}, 36864, 1024),
        ({"text_config": {"num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8}}, 256, 0),
        ({"num_hidden_layers": 27, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_attention_heads": 16}, 31104, 0),
        ({}, 0, 0),
        ({"num_hidden_layers": "many", "max_position_embeddings": True}, 0, 0),
    ],
)
def test_a_configuration_is_read_as_trainers_write_it(config, bytes_per_token, context):
    """Llama's, GPT-2's, a nested one, DeepSeek's, and what is none."""
    assert cache_bytes_per_token(config, 2) == bytes_per_token
    assert longest_context(config) == context

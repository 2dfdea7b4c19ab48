"""A loaded base model with its tokenizer and adapters, and the two paths on which they are served."""

from __future__ import annotations

import enum
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from aitk_app.engine.adapter_files import Adapter, ModelError
from aitk_app.engine.adapters import load_adapter, merged_layer
from aitk_app.engine.batched import BatchedPath, NotBatchableError
from aitk_app.engine.cache import Segment
from aitk_app.engine.layout import PackedLinear, is_packable, lay_out, packed_layer
from aitk_app.engine.lora import RowLayer, set_layer
from aitk_app.engine.memory import free_bytes
from aitk_app.engine.reference import ReferencePath
from aitk_app.engine.scoring import score
from aitk_app.engine.self_check import Finding, check_adapter_path, check_base, proven_length
from aitk_app.engine.voice import Voice, read_voice, voice_of
from aitk_app.incidents import log_says

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aitk_app.engine.lora import LoadedAdapter
    from aitk_app.engine.sampling import TokenLogprob
    from aitk_app.settings import Settings

logger = logging.getLogger(__name__)

_MIXED_WITH = 3  # adapters with which a new one is checked in one batch: it takes a second where it takes long
_LEFT_FOR_REQUESTS = 0.5  # of the free memory: a merged copy may take the other half


class Cache(Protocol):
    """What a path keeps of the requests that it answers."""

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""

    def reserve(self, slots: int, length: int) -> None:
        """Have room for so many slots of so many tokens at the next pass, so that those after it need not copy."""

    def has_memory_for(self, tokens: int) -> bool:
        """Whether keeping so many more leaves most of the free memory to requests."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of slot `source` over slot `target`."""


class Path(Protocol):
    """One way to compute tokens: what the scheduler needs to know of the batched and of the reference path."""

    def new_cache(self) -> Any:  # noqa: ANN401 - each path's own `Cache`
        """An empty cache for `forward`."""

    def forward(self, cache: Any, segments: Sequence[Segment]) -> torch.Tensor:  # noqa: ANN401 - the same
        """The logits after the last token of each segment, `[segments, vocabulary]`."""


class Lane(enum.StrEnum):
    """Which path a request takes."""

    BATCHED = "batched"
    ALONE = "one at a time"


@dataclass(frozen=True)
class Served:
    """How a model is served, and why not batched where it is not."""

    lane: Lane
    reason: str | None = None
    seconds: float = 0.0  # that the self-check took
    worst: float | None = None  # largest relative difference between the paths
    allowed: float | None = None

    def as_json(self) -> dict[str, object]:
        """As `/version` tells it."""
        return {
            "path": self.lane.value,
            "reason": self.reason,
            "check_seconds": round(self.seconds, 3),
            "difference": self.worst,
            "allowed_difference": self.allowed,
        }


class Models:
    """What the engine runs. `prepare` may be called in any thread, the rest from the engine's."""

    def __init__(self, model: Any, tokenizer: Any, settings: Settings) -> None:  # noqa: ANN401 - of transformers
        self.tokenizer = tokenizer
        self.config = model.config.get_text_config()
        self.device: torch.device = next(model.parameters()).device
        self.dtype: torch.dtype = next(each.dtype for each in model.parameters() if each.dtype.is_floating_point)
        self.adapters: dict[str, LoadedAdapter] = {}
        self.context_length = min(length for length in (settings.context_length, _made_for(self.config)) if length)
        self._sampling_of_model = settings.sampling_defaults == "model"
        self.voice = voice_of(model, tokenizer, sampling_of_model=self._sampling_of_model)
        self.end_tokens = self.voice.end_tokens
        self._merge = settings.merged_copy
        self._serve_base = settings.serve_base
        self._quantized = settings.quantization != "none" or bool(getattr(model, "is_quantized", False))
        self._in_place: LoadedAdapter | None = None  # the adapter that took the base's place
        lay_out(model)
        self.reference = ReferencePath(model, self.device)
        self.batched: BatchedPath | None = None
        self.batched_length = self.context_length
        self.served: dict[str | None, Served] = {}
        self._check_base()

    def _check_base(self) -> None:
        """Decide by which path the base is served. Raises `ModelError` where there is none."""
        begun = time.monotonic()
        kind = self.config.model_type
        try:
            self.batched = BatchedPath.over(self.reference.model, self.device, self.dtype)
            self.batched_length = proven_length(self.config, self.context_length, self.reference.model, self.device)
            found = check_base(self.batched, self.reference, self.batched_length)
        except NotBatchableError as error:
            found = Finding(f"{kind} {error}")
        if found.reason:
            self.batched = None
            self._check_reference()
            logger.warning("served one request at a time: %s", found.reason)
        lane = Lane.ALONE if found.reason else Lane.BATCHED
        self.served[None] = Served(lane, found.reason, time.monotonic() - begun, found.worst, found.allowed)
        logger.info("the self-check took %.2f s: %s", self.served[None].seconds, lane.value)

    def _check_reference(self) -> None:
        """See it answer, without its own cache where it has none that works. Raises `ModelError`."""
        try:
            logits = self._answered()
        except Exception as error:  # noqa: BLE001 - whatever it is, there is another way
            self.reference.use_cache = False
            try:
                logits = self._answered()
            except Exception:  # noqa: BLE001 - the first one says more
                what = "The base model loads, but cannot answer"
                raise ModelError(f"{what}. {log_says(error, what)}") from error
            logger.warning("its own cache cannot be used (%s): every token reads the whole text", error)
        if not bool(torch.isfinite(logits).any()):
            raise ModelError("The base model loads, but what it computes is not a number. Try another dtype.")

    def _answered(self) -> torch.Tensor:
        cache = self.reference.new_cache()
        try:
            logits = self.reference.forward(cache, [Segment(0, 0, [1, 2])])
            self.reference.forward(cache, [Segment(0, 2, [1])])
        finally:
            cache.close()
        return logits

    @property
    def notices(self) -> tuple[str, ...]:
        """In a sentence each, what is served one request at a time, and why."""
        base = self.served[None]
        if base.reason:
            return (f"Served one request at a time: {base.reason}.",)
        return tuple(
            f"{each.id} is served one request at a time: {each.alone}." for each in self.adapters.values() if each.alone
        )

    @property
    def model(self) -> Any:  # noqa: ANN401 - of transformers
        """The model that most requests pass through."""
        return self.batched.model if self.batched else self.reference.model

    def voice_of(self, name: str | None) -> Voice:
        """How the adapter of this name speaks; without a name, or without a voice of its own, as the base does."""
        loaded = self.adapters.get(name) if name else None
        return loaded.voice if loaded is not None and loaded.voice is not None else self.voice

    def lane(self, adapter: LoadedAdapter | None, length: int) -> Lane:
        """The path for a request of this adapter with so many tokens, its answer included."""
        if self.batched is None or length > self.batched_length:
            return Lane.ALONE
        return Lane.ALONE if adapter is not None and adapter.alone else Lane.BATCHED

    def path(self, lane: Lane) -> Path:
        """The path of that name; the batched one only where it serves."""
        if lane is Lane.ALONE:
            return self.reference
        assert self.batched is not None
        return self.batched

    def prepare(self, adapter: Adapter) -> LoadedAdapter:
        """`adapter` on the device and checked, to be put in place by `install`; in any thread. Raises `ModelError`."""
        if self._in_place is not None:
            raise ModelError(
                f"The base model has become {self._in_place.id} (serve_base = false): no other adapter fits. "
                "Set serve_base = true in settings.toml."
            )
        begun = time.monotonic()
        loaded = load_adapter(self.reference.model, adapter)
        if set(self.adapters) <= {adapter.id} and self._merge and self._serve_base and not self._quantized:
            needed, free = self._merged_bytes(loaded), free_bytes(self.device)
            if needed <= free * _LEFT_FOR_REQUESTS:
                loaded.merged = _merged(loaded)
                logger.info("%s has a merged copy of %s MB beside the base model", loaded.id, needed // 10**6)
            else:
                logger.info("%s is added row by row: a merged copy needs %s MB", loaded.id, needed // 10**6)
        vocabulary = loaded.reference.config.get_text_config().vocab_size
        loaded.voice = read_voice(
            adapter.folder, self.voice, vocabulary, adapter.id, sampling_of_model=self._sampling_of_model
        )
        loading = time.monotonic()
        found = Finding(loaded.alone)
        if self.batched is None:
            found = Finding(self.served[None].reason)
        elif not loaded.alone:
            beside = self.batched.twin()
            beside.wrap(loaded.layers)
            others = [each for each in self.adapters.values() if each.id != loaded.id and not each.alone]
            found = check_adapter_path(beside, self.reference, loaded, others[:_MIXED_WITH])
        if found.reason and self.batched is not None:
            logger.warning("the adapter %s is served one request at a time: %s", loaded.id, found.reason)
        loaded.alone = found.reason
        if loaded.alone:
            loaded.low_rank, loaded.replaced, loaded.merged = {}, {}, {}
        lane = Lane.ALONE if found.reason else Lane.BATCHED
        seconds = time.monotonic() - loading
        loaded.served = Served(lane, found.reason, seconds, found.worst, found.allowed)
        logger.info("%s: loaded in %.2f s, checked in %.2f s", loaded.id, loading - begun, seconds)
        return loaded

    def install(self, loaded: LoadedAdapter, *, only: bool = False) -> None:
        """Serve `loaded` under its id from the next pass on, in place of an earlier one of that id.

        Rows that use the earlier one go on with it. `only`: no other adapter is going to come, so that it
        may take the base's place where the base itself is not served.
        """
        if self.batched is not None:
            self.batched.wrap(loaded.layers)
        others = [each for each in self.adapters.values() if each.id != loaded.id]
        for each in (loaded, *others) if others else ():
            each.lost_copy = each.lost_copy or bool(each.merged)
            each.merged = {}  # only a single adapter has a copy; rows go on with the low-rank products
        self.adapters = {**self.adapters, loaded.id: loaded}
        if only and not self._serve_base and not self._quantized and not loaded.alone:
            self._merge_in_place(loaded)
            logger.info("%s is merged into the base model", loaded.id)

    @torch.inference_mode()
    def _merge_in_place(self, loaded: LoadedAdapter) -> None:
        assert self.batched is not None
        for name, layer in _merged(loaded).items():
            self.reference.model.get_submodule(name).weight.copy_(layer.weight)
            own = self.batched.model.get_submodule(name)
            own = own.base if isinstance(own, RowLayer) else own
            if isinstance(own, PackedLinear):
                own.pack()
        for name, layer in loaded.replaced.items():
            for tree in (self.reference.model, self.batched.model):
                set_layer(tree, name, layer)
        loaded.low_rank, loaded.replaced, loaded.reference = {}, {}, self.reference.model
        self._in_place = loaded

    def _merged_bytes(self, loaded: LoadedAdapter) -> int:
        layers = [self.reference.model.get_submodule(name) for name in loaded.low_rank]
        return sum(layer.weight.nbytes * (2 if is_packable(layer) else 1) for layer in layers)

    def can_remove(self, name: str) -> bool:
        """Whether the base model would be left."""
        return self._in_place is None or self._in_place.id != name

    def remove(self, name: str) -> None:
        """No longer serve the adapter `name`; rows that use it go on."""
        self.adapters = {each: loaded for each, loaded in self.adapters.items() if each != name}

    def copy_again(self) -> tuple[str, dict[str, torch.nn.Module]] | None:
        """The merged copy that the only adapter had before another one came and went, for `take_copy`; in any thread.

        None where it had none, or where its memory is not free any more.
        """
        if len(self.adapters) != 1:
            return None
        (loaded,) = self.adapters.values()
        if not loaded.lost_copy or self._merged_bytes(loaded) > free_bytes(self.device) * _LEFT_FOR_REQUESTS:
            return None
        return loaded.id, _merged(loaded)

    def take_copy(self, name: str, merged: dict[str, torch.nn.Module]) -> None:
        """Serve the adapter by its merged copy again, if it still is the only one."""
        if set(self.adapters) == {name} and self.adapters[name].lost_copy:
            self.adapters[name].merged = merged
            self.adapters[name].lost_copy = False

    def score(self, name: str | None, tokens: list[int], alternatives: int) -> list[TokenLogprob]:
        """How probable each token is after those before it, by the model's own forward pass."""
        adapter = self.adapters.get(name) if name else None
        model = self.reference.model if adapter is None else adapter.reference
        return score(model, tokens, self.device, alternatives)

    def warm(self) -> None:
        """One token: what libraries prepare at their first use is then done."""
        path: Path = self.batched or self.reference
        cache = path.new_cache()
        path.forward(cache, [Segment(0, 0, [min(self.end_tokens, default=0)])])
        cache.close()


def _merged(loaded: LoadedAdapter) -> dict[str, torch.nn.Module]:
    """Peft's merge of each layer to which the adapter adds a low-rank product."""
    tree = loaded.reference.base_model.model
    return {name: packed_layer(merged_layer(tree.get_submodule(name))) for name in loaded.low_rank}


def _made_for(config: Any) -> int:  # noqa: ANN401 - of transformers
    names = ("max_position_embeddings", "max_seq_len", "seq_length", "max_sequence_length", "n_positions")
    return next((int(found) for name in names if (found := getattr(config, name, None) or 0) > 0), 2048)

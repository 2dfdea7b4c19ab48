"""What API and chat page both use: a conversation and a model's id in, an answer's pieces out."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aitk_app.engine.adapter_files import Adapter, ModelError, read_adapter_config
from aitk_app.engine.adapters import file_stamps
from aitk_app.engine.generation import QueueFullError
from aitk_app.engine.scheduler import Scheduler
from aitk_app.loading.device import Running
from aitk_app.web.aliases import aliases_of, clashing
from aitk_app.web.body_reading import longest_body_bytes
from aitk_app.web.model_list import ServedModel, served_models
from aitk_app.web.prompt import Message, PromptError
from aitk_app.web.speech import Speech

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aitk_app.engine.generation import Generation
    from aitk_app.engine.model import Models
    from aitk_app.engine.sampling import Constraint, Sampling, TokenLogprob
    from aitk_app.engine.voice import SamplingDefaults, Voice
    from aitk_app.loading.catalog import Catalog
    from aitk_app.settings import Settings
    from aitk_app.web.prompt import Prompt, PromptOptions

__all__ = ["Completions", "Message", "RequestError", "ServedModel"]

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_LONG_TEXT = 64 << 10  # characters
CANDIDATES = ".aitk/candidates"
"""Below the share: where a deploy puts an adapter that is to be evaluated beside the one that serves."""


class RequestError(Exception):
    """A request cannot be answered; `status` is HTTP's, `param` names the parameter at fault."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


class Completions:
    """The models being served, and the way to an answer."""

    def __init__(self, catalog: Catalog, models: Models, scheduler: Scheduler, settings: Settings) -> None:
        self._catalog = catalog
        self._models = models
        self._scheduler = scheduler
        self._prompt_template = settings.prompt_template
        self._speeches: dict[int, Speech] = {}  # by the voice's identity
        found = [self._checked(each) for each in (None, *models.adapters)]
        self.warnings = tuple(dict.fromkeys(each for each in found if each))
        self._changing = asyncio.Lock()
        self._long_texts = ThreadPoolExecutor(2, "long text")
        self._serve_base = settings.serve_base
        self.max_new_tokens = settings.max_new_tokens
        self.context_length = models.context_length
        self.running = Running.of(models.device, models.dtype)
        self.default = catalog.default
        self.adapters: dict[str, Adapter] = {each.id: each for each in catalog.adapters}
        if same := clashing([each.id for each in self.served]):
            logger.info("no short names for %s: they would be the same", ", ".join(same))

    @property
    def served(self) -> tuple[ServedModel, ...]:
        """The adapters, then the base model."""
        return served_models(self._catalog, list(self._models.adapters), serve_base=self._serve_base)

    @property
    def loaded(self) -> list[dict[str, object]]:
        """The adapters as `/version` tells them, with the SHA-256 of the files that were loaded.

        `changed`: its files are others now, as a new fine-tuning leaves them. `replaceable`: without a restart.
        """
        return [
            {
                "id": name,
                "path": self.path_of(folder := self.adapters[name].folder),
                "files": dict(loaded.files),
                "changed": file_stamps(folder) != loaded.stamps,
                "replaceable": self._models.can_remove(name),
                "served": loaded.served.as_json() if loaded.served else None,
            }
            for name, loaded in self._models.adapters.items()
            if name in self.adapters
        ]

    @property
    def notices(self) -> tuple[str, ...]:
        """For people: what is served one request at a time, and why."""
        return self._models.notices

    @property
    def aliases(self) -> dict[str, str]:
        """Short name -> id."""
        return aliases_of([each.id for each in self.served])

    @property
    def share(self) -> Path:
        """The folder that holds `models/`, `model-cache/` and `.aitk/`."""
        return self._catalog.share

    def path_of(self, folder: Path) -> str:
        """Relative to the share where it lies there."""
        share = self.share
        return folder.relative_to(share).as_posix() if folder.is_relative_to(share) else str(folder)

    def model(self, name: str | None) -> ServedModel:
        """The model that a request names; the default for none. Raises `RequestError`."""
        served = self.served
        wanted = self.aliases.get(name or "", name or self.default)
        for each in served:
            if each.id == wanted:
                return each
        raise RequestError(
            404,
            f"The model {wanted!r} is not served here. Served: {', '.join(each.id for each in served) or 'none'}.",
            code="model_not_found",
            param="model",
        )

    async def begin(
        self, model: ServedModel, messages: list[Message], sampling: Sampling, options: PromptOptions | None = None
    ) -> Generation:
        """An answer to a conversation, under way. Raises `RequestError`."""
        prompt = await self.prompt(model, messages, options)
        return self.submit(model, prompt.tokens, sampling, "messages")

    async def prompt(self, model: ServedModel, messages: list[Message], options: PromptOptions | None = None) -> Prompt:
        """A conversation's tokens, made in a thread of their own: others are being answered. Raises `RequestError`."""
        template = self.speech(model).template
        length = sum(len(each.content) for each in messages)
        try:
            return await self._in_thread(length, template.prompt, messages, options)
        except PromptError as error:
            raise RequestError(400, str(error), param="messages") from error

    async def text_tokens(self, model: ServedModel, text: str | list[int]) -> list[int]:
        """The tokens of a text that is to be continued; token ids are checked. Raises `RequestError`."""
        if isinstance(text, str):
            self.check_size(len(text.encode()), "prompt")
            tokenizer = self._voice(model).tokenizer
            return list((await self._in_thread(len(text), tokenizer, text)).input_ids)
        limit = self._models.config.vocab_size
        if any(not 0 <= token < limit for token in text):
            raise RequestError(400, f"Token ids are 0 to {limit - 1}.", param="prompt")
        return text

    async def _in_thread(self, length: int, action: Callable[..., _Result], *arguments: object) -> _Result:
        """The result of `action`; long texts go by two at a time, so that they take no thread from short ones."""
        if length < _LONG_TEXT:
            return await asyncio.to_thread(action, *arguments)
        return await asyncio.get_running_loop().run_in_executor(self._long_texts, action, *arguments)

    def check_size(self, length_bytes: int, param: str | None, prompts: int = 1) -> None:
        """Raise `RequestError` for a body, or a text, of so many prompts that no context could hold."""
        if length_bytes <= longest_body_bytes(self.context_length) * prompts:
            return
        raise RequestError(
            400,
            f"{param or 'The body'} has {length_bytes} bytes, too many to be read; this model's maximum context length "
            f"is {self.context_length} tokens.",
            code="context_length_exceeded",
            param=param,
        )

    async def text_of(self, model: ServedModel, tokens: list[int]) -> str:
        """What the tokens write."""
        return str(await asyncio.to_thread(self._voice(model).tokenizer.decode, tokens))

    async def score(self, model: ServedModel, tokens: list[int], alternatives: int) -> Sequence[TokenLogprob]:
        """How probable the model finds each token of a text after those before it. Raises `RequestError`."""
        self._check_length(tokens, "prompt", room_for_answer=0)
        done: Future[Sequence[TokenLogprob]] = Future()
        name = model.id if model.parent else None
        self._scheduler.between_steps(lambda: self._models.score(name, tokens, alternatives), done)
        return await asyncio.wrap_future(done)

    def submit(  # noqa: PLR0913 - what a request is made of
        self,
        model: ServedModel,
        tokens: list[int],
        sampling: Sampling,
        param: str,
        *,
        continues: bool = False,
        constraint: Constraint | None = None,
    ) -> Generation:
        """An answer to these tokens, under way; `param` is what they were made of. Raises `RequestError`."""
        self._check_length(tokens, param, room_for_answer=1)
        limit = self._models.config.vocab_size
        if unknown := [token for token, _ in sampling.logit_bias if token >= limit]:
            raise RequestError(400, f"logit_bias: there is no token {unknown[0]}.", param="logit_bias")
        try:
            return self._scheduler.submit(
                tokens, sampling, model.id if model.parent else None, continues=continues, constraint=constraint
            )
        except QueueFullError as error:
            raise RequestError(429, "Too many requests wait. Try again.", code="rate_limit_exceeded") from error

    def _check_length(self, tokens: list[int], param: str, *, room_for_answer: int) -> None:
        if not tokens or len(tokens) + room_for_answer > self.context_length:
            raise RequestError(
                400,
                f"{param} has {len(tokens)} tokens; this model's maximum context length is {self.context_length} "
                "tokens with the answer together, and there must be one token at least.",
                code="context_length_exceeded",
                param=param,
            )

    def _voice(self, model: ServedModel) -> Voice:
        return self._models.voice_of(model.id if model.parent else None)

    def sampling_defaults(self, model: ServedModel) -> SamplingDefaults:
        """What the model's authors recommend, for requests that say nothing else."""
        return self._voice(model).sampling

    @property
    def speeches(self) -> dict[str, object]:
        """By model, how tools are offered to it and its reasoning is known, as `/version` tells it."""
        return {each.id: self.speech(each).as_json() for each in self.served}

    def speech(self, model: ServedModel) -> Speech:
        """How this model speaks."""
        return self._speech(self._voice(model))

    def _checked(self, name: str | None) -> str | None:
        """Why this model cannot chat, if so. Raises `PromptError` for a template or tokenizer that cannot be used."""
        try:
            return self._speech(self._models.voice_of(name)).template.missing
        except PromptError as error:
            raise PromptError(f"{name or 'The base model'}: {error}") from error

    def _speech(self, voice: Voice) -> Speech:
        """What this voice needs, made and tried once. Raises `PromptError`."""
        known = self._speeches.get(id(voice))
        if known is None or known.voice is not voice:
            vocabulary = int(self._models.config.vocab_size)
            known = Speech(voice, self._prompt_template, vocabulary)
            known.template.check()
            self._speeches[id(voice)] = known
        return known

    async def load_adapter(self, name: str, path: str) -> dict[str, object]:
        """Serve the adapter at `path` below models/ as `name`; what is under way goes on with what it has.

        Raises `RequestError`.
        """
        folder = self._folder(path)
        if name == self._catalog.base.id:
            raise RequestError(400, f"{name} is the base model's name.", param="lora_name")
        async with self._changing:
            replaced = name in self._models.adapters
            try:
                config = await asyncio.to_thread(read_adapter_config, folder, name)
                adapter = Adapter(name, folder, str(config.get("base_model_name_or_path") or ""))
                loaded = await asyncio.to_thread(self._models.prepare, adapter)
                if loaded.voice is not None:
                    await asyncio.to_thread(self._speech, loaded.voice)
            except (ModelError, PromptError) as error:
                raise RequestError(400, str(error), code="adapter_refused", param="lora_path") from error

            def install() -> None:
                self._models.install(loaded)
                self.adapters = {**self.adapters, name: adapter}

            await self._between_steps(install)
        logger.info("%s the adapter %s", "replaced" if replaced else "loaded", name)
        return {"id": name, "path": self.path_of(folder), "replaced": replaced, "files": loaded.files} | {
            "served": loaded.served.as_json() if loaded.served else None
        }

    async def unload_adapter(self, name: str) -> dict[str, object]:
        """Serve `name` no longer; what is under way goes on. Raises `RequestError`."""
        async with self._changing:
            if name not in self._models.adapters:
                raise RequestError(
                    404, f"The adapter {name!r} is not loaded.", code="model_not_found", param="lora_name"
                )
            if not self._models.can_remove(name):
                raise RequestError(
                    400,
                    f"{name} is merged into the base model (serve_base = false): it cannot be unloaded.",
                    param="lora_name",
                )
            await self._between_steps(lambda: self._models.remove(name))
            if (again := await asyncio.to_thread(self._models.copy_again)) is not None:
                await self._between_steps(lambda: self._models.take_copy(*again))
        logger.info("unloaded the adapter %s", name)
        return {"id": name, "unloaded": True}

    async def _between_steps(self, action: Callable[[], None]) -> None:
        done: Future[None] = Future()
        self._scheduler.between_steps(action, done)
        await asyncio.wrap_future(done)

    def _folder(self, path: str) -> Path:
        """The folder that `path` names, links followed: below models/, or a candidate of a deploy. See CANDIDATES."""
        models, share = self.share / "models", self.share
        is_candidate = path.startswith(f"{CANDIDATES}/")
        root = (share / CANDIDATES if is_candidate else models).resolve()
        try:
            folder = (share / path if is_candidate else models / path).resolve()
        except (OSError, ValueError) as error:
            raise RequestError(400, f"{path!r} is not a path.", param="lora_path") from error
        if not folder.is_relative_to(root) or folder == root:
            raise RequestError(
                400, f"{path!r} is not below models/: adapters are loaded from there.", param="lora_path"
            )
        return folder

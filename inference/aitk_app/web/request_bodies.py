"""The bodies of requests, as OpenAI's API has them, with the parameters that the engine knows besides."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from aitk_app.engine.sampling import Sampling
from aitk_app.engine.voice import SamplingDefaults
from aitk_app.web.prompt import Message


class _Strict(BaseModel):
    """Unknown parameters are refused by name: ignored ones give answers that nobody asked for."""

    model_config = ConfigDict(extra="forbid")


class TextPart(_Strict):
    """A piece of a message's content."""

    type: Literal["text"]
    text: str


class ChatMessage(_Strict):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def plain(self) -> Message:
        """The turn as the prompt template takes it."""
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message("system" if self.role == "developer" else self.role, content)


class StreamOptions(_Strict):
    """How to stream."""

    include_usage: bool = False


class TextFormat(_Strict):
    """The only format of answers."""

    type: Literal["text"]


class _Request(_Strict):
    """What chat and plain completions share."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    stop_token_ids: Annotated[list[int], Field(max_length=64)] | None = None
    skip_special_tokens: bool | None = None
    n: Literal[1] | None = None
    user: str | None = None

    @field_validator("stream_options")
    @classmethod
    def _only_streamed(cls, options: StreamOptions | None, others: ValidationInfo) -> StreamOptions | None:
        if options is not None and not others.data.get("stream"):
            raise PydanticCustomError("needs_stream", "it goes with stream = true")
        return options

    def _sampling(self, max_tokens: int, logprobs: int | None, usual: SamplingDefaults) -> Sampling:
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Sampling(
            max_tokens=max_tokens,
            temperature=usual.temperature if self.temperature is None else self.temperature,
            top_p=usual.top_p if self.top_p is None else self.top_p,
            top_k=usual.top_k if self.top_k is None else max(self.top_k, 0),
            min_p=usual.min_p if self.min_p is None else self.min_p,
            repetition_penalty=(
                usual.repetition_penalty if self.repetition_penalty is None else self.repetition_penalty
            ),
            frequency_penalty=self.frequency_penalty or 0.0,
            presence_penalty=self.presence_penalty or 0.0,
            seed=self.seed,
            stop=tuple(each for each in stop if each),
            stop_tokens=frozenset(self.stop_token_ids or ()),
            logprobs=logprobs,
            skip_special_tokens=self.skip_special_tokens is not False,
        )


class ChatRequest(_Request):
    """The body of `POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: TextFormat | None = None

    @field_validator("top_logprobs")
    @classmethod
    def _only_with_logprobs(cls, count: int | None, others: ValidationInfo) -> int | None:
        if count and not others.data.get("logprobs"):
            raise PydanticCustomError("needs_logprobs", "it goes with logprobs = true")
        return count

    def sampling(self, usual_max_tokens: int, usual: SamplingDefaults) -> Sampling:
        """What the engine needs to know."""
        logprobs = (self.top_logprobs or 0) if self.logprobs else None
        return self._sampling(self.max_completion_tokens or self.max_tokens or usual_max_tokens, logprobs, usual)


class CompletionRequest(_Request):
    """The body of `POST /v1/completions`."""

    prompt: str | list[int] | Annotated[list[str], Field(min_length=1, max_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    def sampling(self, usual: SamplingDefaults) -> Sampling:
        """What the engine needs to know; 16 tokens where nothing is said, as OpenAI's API reference has it."""
        return self._sampling(self.max_tokens or 16, self.logprobs, usual)

    def plain(self) -> str | list[int]:
        """The one prompt, as text or as token ids."""
        if isinstance(self.prompt, list) and self.prompt and isinstance(self.prompt[0], str):
            return self.prompt[0]
        return self.prompt  # type: ignore[return-value] # the other list is the one of ids


class LoadAdapter(_Strict):
    """The body of `POST /v1/load_lora_adapter`."""

    lora_name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]
    lora_path: Annotated[str, Field(min_length=1, max_length=1000)]


class UnloadAdapter(_Strict):
    """The body of `POST /v1/unload_lora_adapter`."""

    lora_name: str

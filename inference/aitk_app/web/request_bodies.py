"""The bodies of requests, as OpenAI's API has them, with the parameters that other servers have besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from aitk_app.web.asks_for_nothing import Body
from aitk_app.web.message_bodies import ChatMessage
from aitk_app.web.tool_bodies import ChoiceOfAllowed, NamedTool, Tool, ToolChoice

if TYPE_CHECKING:
    from aitk_app.engine.sampling import Sampling
    from aitk_app.engine.voice import SamplingDefaults

MOST_CHOICES = 8
_MOST_TOKENS = 1 << 31  # the context is shorter; a number that a client writes for "no limit" is taken
_INT64 = 1 << 63

Stop = Annotated[str, StringConstraints(max_length=1000)]
TokenCount = Annotated[int, Field(ge=1, lt=_MOST_TOKENS)]
TokenId = Annotated[int, Field(ge=0, lt=_MOST_TOKENS)]


class StreamOptions(Body):
    """How to stream."""

    include_usage: bool = False
    also_ignored: ClassVar[frozenset[str]] = frozenset({"include_obfuscation", "continuous_usage_stats"})


class Schema(Body):
    """The JSON schema that an answer must follow."""

    name: str | None = None
    description: str | None = None
    schema_: Annotated[dict[str, Any] | bool, Field(alias="schema")] = True
    strict: bool = False


class ResponseFormat(Body):
    """The form of an answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None

    @model_validator(mode="after")
    def _schema_where_it_belongs(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise PydanticCustomError("needs_schema", "type json_schema needs json_schema.schema beside it")
        return self

    @property
    def wanted(self) -> dict[str, Any] | bool | None:
        """The schema of an answer; None where any text will do."""
        if self.type == "text":
            return None
        return self.json_schema.schema_ if self.json_schema is not None else {"type": "object"}


class Request(Body):
    """What chat and plain completions share."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=_MOST_TOKENS)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=10)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[TokenId, Annotated[float, Field(ge=-100, le=100)]] | None = None
    seed: Annotated[int, Field(ge=-_INT64, lt=_INT64)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=64)] | None = None
    min_tokens: Annotated[int, Field(ge=0, lt=_MOST_TOKENS)] | None = None
    ignore_eos: bool = False
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] = 1
    skip_special_tokens: bool = True
    # llama.cpp's, Ollama's and others' words, which programs for local servers (Jan is one) send to any server.
    other_names: ClassVar[dict[str, str]] = {
        "repeat_penalty": "repetition_penalty",
        "max_output_tokens": "max_tokens",
        "max_new_tokens": "max_tokens",
        "stop_sequences": "stop",
    }

    @field_validator("stream_options")
    @classmethod
    def _only_streamed(cls, options: StreamOptions | None, others: ValidationInfo) -> StreamOptions | None:
        if options is not None and options.include_usage and not others.data.get("stream"):
            raise PydanticCustomError("needs_stream", "it goes with stream = true")
        return options

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def _sampling(self, max_tokens: int, logprobs: int | None, usual: SamplingDefaults) -> Sampling:
        from aitk_app.engine.sampling import Sampling  # noqa: PLC0415 - bodies are checked before PyTorch is there

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
            logit_bias=tuple((self.logit_bias or {}).items()),
            seed=self.seed,
            stop=tuple(each for each in stop if each),
            stop_tokens=frozenset(self.stop_token_ids or ()),
            min_tokens=self.min_tokens or 0,
            ignore_end=self.ignore_eos,
            logprobs=logprobs,
            skip_special_tokens=self.skip_special_tokens,
        )


class ChatRequest(Request):
    """The body of `POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(default_factory=list)]
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool = True
    continue_final_message: bool = False
    chat_template_kwargs: dict[str, Any] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None

    @field_validator("top_logprobs")
    @classmethod
    def _only_with_logprobs(cls, count: int | None, others: ValidationInfo) -> int | None:
        if count and not others.data.get("logprobs"):
            raise PydanticCustomError("needs_logprobs", "it goes with logprobs = true")
        return count

    @field_validator("tool_choice")
    @classmethod
    def _one_of_the_tools(cls, choice: ToolChoice | None, others: ValidationInfo) -> ToolChoice | None:
        names = [tool.function.name for tool in others.data.get("tools") or ()]
        if isinstance(choice, (NamedTool, ChoiceOfAllowed)):
            asked = [choice] if isinstance(choice, NamedTool) else choice.allowed_tools.tools
            for each in asked:
                if each.function.name not in names:
                    raise PydanticCustomError(
                        "unknown_tool", "{name} is none of tools", {"name": repr(each.function.name)}
                    )
        elif choice == "required" and not names:
            raise PydanticCustomError("no_tools", "there are no tools that could be called")
        return choice

    @property
    def max_new_tokens(self) -> int | None:
        """How long the answer may be, by either of its names."""
        return self.max_completion_tokens or self.max_tokens

    def sampling(self, usual_max_tokens: int, usual: SamplingDefaults) -> Sampling:
        """What the engine needs to know."""
        logprobs = (self.top_logprobs or 0) if self.logprobs else None
        return self._sampling(self.max_new_tokens or usual_max_tokens, logprobs, usual)


class CompletionRequest(Request):
    """The body of `POST /v1/completions`."""

    prompt: str | list[TokenId] | list[str] | list[list[TokenId]]
    max_tokens: Annotated[int, Field(ge=0, lt=_MOST_TOKENS)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: bool = False
    suffix: str | None = None

    def sampling(self, usual: SamplingDefaults) -> Sampling:
        """What the engine needs to know; 16 tokens where nothing is said, as OpenAI's API reference has it."""
        return self._sampling(16 if self.max_tokens is None else self.max_tokens, self.logprobs, usual)

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt, as text or as token ids."""
        given = self.prompt
        if isinstance(given, str):
            return [given]
        if given and isinstance(given[0], int):
            return [[int(token) for token in given if isinstance(token, int)]]
        return [each for each in given if not isinstance(each, int)]


class TokenizeRequest(Body):
    """The body of `POST /tokenize`, as vLLM has it: a text, or a conversation as the chat template writes it."""

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1)] | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    return_token_strs: bool = False
    empty_is_said: ClassVar[frozenset[str]] = frozenset({"prompt"})

    @model_validator(mode="after")
    def _one_of_them(self) -> TokenizeRequest:
        if (self.prompt is None) == (self.messages is None):
            raise PydanticCustomError("one_text", "prompt or messages is needed, and not both")
        return self


class LoadAdapter(Body):
    """The body of `POST /v1/load_lora_adapter`."""

    lora_name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]
    lora_path: Annotated[str, Field(min_length=1, max_length=1000)]


class UnloadAdapter(Body):
    """The body of `POST /v1/unload_lora_adapter`."""

    lora_name: str

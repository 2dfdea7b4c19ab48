"""From the body of a chat request to answers under way: prompt, tools, and the form that an answer must have."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aitk_app.engine.grammar import GrammarError
from aitk_app.web.answer import Answer
from aitk_app.web.answering import RequestError
from aitk_app.web.prompt import PromptOptions
from aitk_app.web.tool_bodies import ChoiceOfAllowed, NamedTool
from aitk_app.web.tool_calls.answer_reader import AnswerReader
from aitk_app.web.tool_calls.enforced import (
    Thought,
    Writing,
    calls_only,
    formed,
    formed_or_calls,
    text_or_calls,
)

if TYPE_CHECKING:
    from aitk_app.engine.grammar import GrammarConstraint
    from aitk_app.web.answering import Completions, ServedModel
    from aitk_app.web.request_bodies import ChatRequest
    from aitk_app.web.speech import Speech
    from aitk_app.web.tool_bodies import FunctionTool, Tool

_USUAL_EFFORTS = frozenset({"none", "medium"})  # what a model that knows no effort does anyway


async def begin_chat(completions: Completions, served: ServedModel, asked: ChatRequest) -> list[Answer]:
    """One answer for each choice. Raises `RequestError`."""
    speech = completions.speech(served)
    tools, must_call = _tools(asked)
    options = PromptOptions(
        tuple(each.as_template_takes_it() for each in tools), asked.continue_final_message, _variables(speech, asked)
    )
    prompt = await completions.prompt(served, [each.plain() for each in asked.messages], options)
    sampling = asked.sampling(completions.max_new_tokens, completions.sampling_defaults(served))
    reads = bool(tools) or (speech.manner.reasoning is not None and asked.skip_special_tokens)
    if reads:
        sampling = replace(sampling, skip_special_tokens=False)  # which is how calls are marked
    thought = Thought.before(speech.manner.reasoning, prompt.opening) if reads else None
    constraint = await _constraint(speech, asked, tools, thought, must_call=must_call)
    answers: list[Answer] = []
    try:
        for place in range(asked.n):
            generation = completions.submit(
                served,
                prompt.tokens,
                replace(sampling, seed=None if sampling.seed is None else sampling.seed + place),
                "messages",
                continues=asked.continue_final_message,
                constraint=constraint.copy() if constraint is not None and place else constraint,
            )
            reader = (
                AnswerReader(speech.manner, tools, prompt.opening, one_call=not asked.parallel_tool_calls)
                if reads
                else None
            )
            answers.append(Answer(generation, reader))
    except RequestError:
        for each in answers:
            each.cancel()
        raise
    return answers


def _tools(asked: ChatRequest) -> tuple[list[Tool], bool]:
    """The tools that the model may call, and whether it must."""
    choice = asked.tool_choice
    if choice == "none":
        return [], False
    if isinstance(choice, NamedTool):
        return [each for each in asked.tools if each.function.name == choice.function.name], True
    if isinstance(choice, ChoiceOfAllowed):
        names = {each.function.name for each in choice.allowed_tools.tools}
        return [each for each in asked.tools if each.function.name in names], choice.allowed_tools.mode == "required"
    return asked.tools, choice == "required"


def _variables(speech: Speech, asked: ChatRequest) -> dict[str, Any]:
    """What the chat template is told. Raises `RequestError` for an effort that nothing can be made of."""
    given = dict(asked.chat_template_kwargs or {})
    effort = asked.reasoning_effort
    if effort is None:
        return given
    if "reasoning_effort" in speech.template.variables:
        return {"reasoning_effort": effort, **given}
    if "enable_thinking" in speech.template.variables:
        return {"enable_thinking": effort != "none", **given}
    if effort not in _USUAL_EFFORTS:
        raise RequestError(
            400, f"This model's chat template knows no reasoning effort: {effort!r} has no effect.",
            param="reasoning_effort",
        )  # fmt: skip
    return given


async def _constraint(
    speech: Speech, asked: ChatRequest, tools: list[Tool], thought: Thought | None, *, must_call: bool
) -> GrammarConstraint | None:
    """What every answer must follow; None where any text will do. Raises `RequestError`."""
    schema = asked.response_format.wanted if asked.response_format is not None and not must_call else None
    functions = [each.function for each in tools]
    strict = any(each.strict for each in functions)
    if schema is None and not must_call and not strict:
        return None
    if must_call or strict:
        await _check_schemas(speech, tools)
    elif functions:
        functions = await asyncio.to_thread(_with_possible_schemas, speech, functions)
    several = asked.parallel_tool_calls and not isinstance(asked.tool_choice, NamedTool)

    def made() -> GrammarConstraint:
        grammars = speech.grammars()
        writing = Writing(speech.manner.family, grammars.literal, thought)
        if schema is None:
            write = calls_only if must_call else text_or_calls
            return grammars.constraint(write(writing, functions, several=several))
        grammars.of_schema(schema)  # which names the place in the schema that nothing can follow
        if not functions:
            return grammars.constraint(formed(schema, writing))
        return grammars.constraint(formed_or_calls(schema, writing, functions, several=several))

    param = "tools" if schema is None else "response_format"
    try:
        return await asyncio.to_thread(made)  # a large schema takes a while, and others are being answered
    except GrammarError as error:
        where = "response_format.json_schema.schema at " if param == "response_format" else "tools: "
        raise RequestError(400, f"{where}{error}.", code="invalid_schema", param=param) from error


def _with_possible_schemas(speech: Speech, functions: list[FunctionTool]) -> list[FunctionTool]:
    """Tools that are not strict, whose arguments are free where no grammar can follow their schema."""
    found = []
    for each in functions:
        try:
            _checked_schema(speech, each)
        except GrammarError:
            found.append(each.model_copy(update={"parameters": {"type": "object", "additionalProperties": True}}))
        else:
            found.append(each)
    return found


def _checked_schema(speech: Speech, function: FunctionTool) -> None:
    speech.grammars().of_schema(function.schema_of_arguments)


async def _check_schemas(speech: Speech, tools: list[Tool]) -> None:
    """Raise `RequestError` for parameters that no arguments can follow, naming the tool and the place."""
    for place, each in enumerate(tools):
        try:
            await asyncio.to_thread(_checked_schema, speech, each.function)
        except GrammarError as error:
            raise RequestError(
                400,
                f"tools[{place}].function.parameters ({each.function.name}) at {error}.",
                code="invalid_schema",
                param="tools",
            ) from error

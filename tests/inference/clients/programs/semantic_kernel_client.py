"""Semantic Kernel's chat service."""

from typing import Annotated

import openai
from semantic_kernel import Kernel
from semantic_kernel.connectors.ai.function_choice_behavior import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion, OpenAIChatPromptExecutionSettings
from semantic_kernel.contents import ChatHistory
from semantic_kernel.functions import kernel_function
from told import ASKED, MODEL, same, shows


class Weather:
    @kernel_function(name="get_weather", description="The weather in a city.")
    def get_weather(self, city: Annotated[str, "Its name"]) -> str:
        return f"sunny in {city}"


def service():
    return OpenAIChatCompletion(ai_model_id=MODEL, async_client=openai.AsyncOpenAI(max_retries=0))


def history(*said):
    found = ChatHistory()
    for text in said:
        found.add_user_message(text)
    return found


@shows("chat")
async def _():
    found = await service().get_chat_message_content(history("Say hello"), OpenAIChatPromptExecutionSettings())
    same(str(found), "Turn 1: Say hello")


@shows("streamed")
async def _():
    stream = service().get_streaming_chat_message_content(history("Say hello"), OpenAIChatPromptExecutionSettings())
    same("".join([str(each) async for each in stream]), "Turn 1: Say hello")


@shows("two turns")
async def _():
    said = history("Say hello")
    said.add_message(await service().get_chat_message_content(said, OpenAIChatPromptExecutionSettings()))
    said.add_user_message("And again")
    same(str(await service().get_chat_message_content(said, OpenAIChatPromptExecutionSettings())), "Turn 2: And again")


@shows("tools")
async def _():
    kernel = Kernel()
    kernel.add_plugin(Weather(), "w")
    settings = OpenAIChatPromptExecutionSettings(function_choice_behavior=FunctionChoiceBehavior.Auto())
    found = await service().get_chat_message_content(history(ASKED), settings, kernel=kernel)
    same(str(found), "It is sunny in Rome.")


@shows("tools streamed")
async def _():
    kernel = Kernel()
    kernel.add_plugin(Weather(), "w")
    settings = OpenAIChatPromptExecutionSettings(function_choice_behavior=FunctionChoiceBehavior.Auto())
    stream = service().get_streaming_chat_message_content(history(ASKED), settings, kernel=kernel)
    same("".join([str(each) async for each in stream]), "It is sunny in Rome.")

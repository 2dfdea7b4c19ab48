"""The chat page. Edit it as you like: it is an ordinary Gradio page.

`completions` knows the models that are served, and answers: see `aitk_app/chat/conversation.py`. The conversation lives
in the page, not in the server (no `gr.State`, no `unload`): so Gradio holds no connection while nothing is asked, an
idle server may end with the page open, and the page goes on with the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from aitk_app.chat.conversation import Choice, Conversation
from aitk_app.chat.waking import WAKING_HEAD
from aitk_app.engine.generation import EngineError
from aitk_app.engine.voice import SamplingDefaults
from aitk_app.web.answering import RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aitk_app.web.answering import Completions

TITLE = "Chat with your fine-tuned model"
WELCOME = "Ask something. The fine-tuned model answers unless you choose another one above."

CSS = """
.gradio-container { width: 100% !important; max-width: 70rem !important; margin: 0 auto !important }
.gradio-container main { width: 100% !important; max-width: none !important }
#title h1 { font-size: 1.35rem; margin: .25rem 0 0 } #title p { opacity: .7; margin: 0 }
.chat { min-height: 14rem; height: calc(100dvh - 27.5rem) !important }
.chat .answered-by { display: block; font-size: .78rem; line-height: 1.4; opacity: .75 }
.chat .message-row:has(.answered-by) { margin-top: 1.1rem !important; margin-bottom: 1rem !important }
.chat .message-row:has(.answered-by) .message { background: none; border: 0; box-shadow: none; padding: 0 .25rem }
.chat .message-row:has(.answered-by) + .message-buttons { display: none !important }
#compare { padding: 0 .5rem }
@media (max-width: 640px) { #title p { display: none } #title h1 { font-size: 1.05rem }
  .chat { height: calc(100dvh - 23rem) !important } }
"""


def look() -> dict[str, Any]:
    """Theme and style of the page: system fonts, and nothing from elsewhere."""
    return {
        "theme": gr.themes.Soft(
            primary_hue="indigo",
            neutral_hue="slate",
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ),
        "css": CSS,
        "head": WAKING_HEAD,
    }


def chat_page(completions: Completions) -> gr.Blocks:  # noqa: C901, PLR0915 - a page, from top to bottom
    """The page for the models that `completions` serves."""

    def choices() -> list[tuple[str, str]]:
        return [(each.label, each.id) for each in completions.served]

    async def answer(conversation: Conversation, choice: Choice) -> AsyncIterator[Conversation]:
        try:
            async for answered in conversation.answered(completions, choice):
                yield answered
        except (RequestError, EngineError) as error:
            raise gr.Error(str(error), title="No answer", duration=None) from error

    async def submit(question: str, told: Any, *chosen: Any) -> AsyncIterator[tuple[Any, ...]]:  # noqa: ANN401 - of Gradio
        """Ask what stands in the box."""
        conversation = Conversation.read(told)
        if not question.strip():
            return
        conversation = conversation.asked(question)
        yield "", *conversation.shown(), conversation.told()
        async for answered in answer(conversation, Choice(*chosen)):
            # The box is left alone from here on: somebody may be writing the next question.
            yield gr.skip(), *answered.shown(), answered.told()

    async def retry(told: Any, *chosen: Any) -> AsyncIterator[tuple[Any, ...]]:  # noqa: ANN401 - of Gradio
        """Ask the last question again."""
        conversation = Conversation.read(told).without_answer()
        if conversation.turns:
            async for answered in answer(conversation, Choice(*chosen)):
                yield *answered.shown(), answered.told()

    def undo(told: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of Gradio
        """Take the last question back into the box."""
        conversation, question = Conversation.read(told).without_question()
        return question, *conversation.shown(), conversation.told()

    async def ask(message: str, model: str = "", system: str = "", max_tokens: int = 512) -> str:
        """One answer, for programs that use gradio_client; greedy."""
        choice = Choice(model or completions.default, "", False, system, 0, 1, 0, 1, max_tokens, None)
        text = ""
        async for answered in answer(Conversation().asked(message), choice):
            text = answered.turns[-1].answers[0].text
        return text

    longest = min(4096, completions.context_length)
    usual = completions.sampling_defaults(completions.model(None))
    if usual == SamplingDefaults():  # the model's authors say nothing
        usual = SamplingDefaults(temperature=0.7, top_p=0.95)
    page = gr.Blocks(title=TITLE, analytics_enabled=False)
    with page:
        about = f"Each answer says which model gave it. It runs on {completions.running.in_words()}."
        gr.Markdown(f"# {TITLE}\n{about} For programs: [the API](docs).", elem_id="title")
        if completions.notices:
            gr.Markdown(" ".join(completions.notices), elem_id="notices")
        with gr.Row(elem_id="models"):
            model = gr.Dropdown(choices(), value=completions.default, label="Who answers", elem_id="model", scale=3)
            other = gr.Dropdown(
                choices(), value=_other(completions), label="Compared with", elem_id="other", visible=False, scale=3
            )
        compare = gr.Checkbox(label="Compare two models", elem_id="compare", container=False)
        with gr.Row():
            # Hidden, not a gr.State: what it holds lives in the page.
            told = gr.JSON([], visible=False)
            # Ungrouped, an answer and the line under it are messages with buttons of their own.
            chat: dict[str, Any] = {"buttons": ["copy"], "group_consecutive_messages": False, "elem_classes": "chat"}
            left = gr.Chatbot(show_label=False, placeholder=WELCOME, min_width=280, **chat)
            right = gr.Chatbot(show_label=False, visible=False, min_width=280, **chat)
        question = gr.Textbox(
            show_label=False,
            placeholder="Your message (Enter sends)",
            autofocus=True,
            lines=1,
            max_lines=8,
            submit_btn=True,
            elem_id="question",
        )
        with gr.Row():
            stop = gr.Button("Stop", variant="stop", size="sm", min_width=60, elem_id="stop")
            again = gr.Button("Retry", size="sm", min_width=60, elem_id="retry")
            back = gr.Button("Undo", size="sm", min_width=60, elem_id="undo")
            clear = gr.Button("New", size="sm", min_width=60, elem_id="new")
        with gr.Accordion("Settings", open=False, elem_id="settings"):
            system = gr.Textbox(label="System prompt", lines=2, placeholder="What the model should know or be")
            with gr.Row():
                temperature = gr.Slider(
                    0, 2, value=usual.temperature, step=0.05, label="Temperature (0: always the same answer)"
                )
                top_p = gr.Slider(0.05, 1, value=usual.top_p, step=0.05, label="Top p")
                top_k = gr.Slider(0, 200, value=usual.top_k, step=1, label="Top k (0: all)")
            with gr.Row():
                repetition = gr.Slider(1, 2, value=usual.repetition_penalty, step=0.05, label="Repetition penalty")
                max_tokens = gr.Slider(16, longest, value=min(512, longest), step=16, label="Longest answer (tokens)")
                seed = gr.Number(value=None, precision=0, label="Seed (empty: another answer each time)")
        chosen = [model, other, compare, system, temperature, top_p, top_k, repetition, max_tokens, seed]
        shown = [left, right, told]
        how: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        asking = question.submit(submit, [question, told, *chosen], [question, *shown], **how)
        retrying = again.click(retry, [told, *chosen], shown, **how)
        answering: list[Any] = [asking, retrying]
        stop.click(None, cancels=answering, api_visibility="private")
        back.click(undo, told, [question, *shown], cancels=answering, api_visibility="private")
        clear.click(lambda: ([], [], []), None, shown, cancels=answering, api_visibility="private")
        for side in (left, right):
            side.clear(lambda: ([], [], []), None, shown, cancels=answering, api_visibility="private")
        compare.change(
            lambda on: (gr.update(visible=on), gr.update(visible=on)), compare, [other, right], api_visibility="private"
        )
        page.load(lambda: (gr.update(choices=choices()),) * 2, None, [model, other], api_visibility="private")
        gr.api(ask, api_name="chat")  # type: ignore[attr-defined] # it is exported, but not by that rule
    return page


def _other(completions: Completions) -> str:
    """What the default is most likely compared with: the base model, or whatever else there is."""
    return next((each.id for each in reversed(completions.served) if not each.default), completions.default)

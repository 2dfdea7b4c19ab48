"""The chat page. Edit it as you like: it is an ordinary Gradio page.

`completions` knows the models that are served, and answers: see `aitk_app/chat/conversation.py`. The conversation lives
in the page and in the browser, not in the server (no `gr.State`, no `unload`): so Gradio holds no connection while
nothing is asked, an idle server may end with the page open, and the page goes on with the next one.
"""

from __future__ import annotations

import html
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import gradio as gr

from aitk_app.chat.conversation import Choice, Conversation, label_of
from aitk_app.chat.page_script import KEEP, KEPT, PAGE_HEAD, SIGN_OUT
from aitk_app.chat.running_cost import running_cost
from aitk_app.chat.waking import WAKING_HEAD
from aitk_app.engine.generation import EngineError
from aitk_app.engine.voice import SamplingDefaults
from aitk_app.web.answering import RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aitk_app.web.answering import Completions

TITLE = "Chat with your fine-tuned model"
WELCOME = "Ask something. The fine-tuned model answers unless you choose another one above."
EXAMPLES = ("What is the capital of Japan?", "Explain a rainbow in two sentences.", "Write a short greeting.")
FORMULAS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]

CSS = """
.gradio-container { width: 100% !important; max-width: 64rem !important; margin: 0 auto !important }
.gradio-container main { width: 100% !important; max-width: none !important; padding: .5rem .75rem !important }
.gradio-container > .main, .gradio-container .wrap { min-height: 0 !important }
#page { min-height: calc(100dvh - 3rem); gap: .5rem; flex-wrap: nowrap }
#page > * { flex: 0 0 auto }
#page > .chats { flex: 1 1 0; min-height: 12rem; align-items: stretch }
#notices p { font-size: .85rem; margin: 0 } #models { align-items: flex-end }
#title h1 { font-size: 1.1rem; margin: 0 } #title p { opacity: .85; margin: 0; font-size: .85rem }
.chat { height: 100% !important; min-height: 12rem; border: 0 !important }
.chat .answered-by { display: block; font-size: .78rem; line-height: 1.4; color: var(--body-text-color-subdued) }
.chat .message-row:has(.answered-by) { margin-top: 1.1rem !important; margin-bottom: 1rem !important }
.chat .message-row:has(.answered-by, .refusal) .message { background: none; border: 0; box-shadow: none;
  padding: 0 .25rem }
.chat .message-row:has(.answered-by, .refusal, .typed, .thinking) + .message-buttons { display: none !important }
.chat pre.typed { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; padding: 0;
  background: none }
.chat .refusal { display: block; color: var(--error-text-color); border-left: 3px solid currentColor;
  padding-left: .6rem }
.chat .thinking { display: inline-flex; gap: .3rem; padding: .4rem 0 }
.chat .thinking i { width: .5rem; height: .5rem; border-radius: 50%; background: currentColor; opacity: .3;
  animation: thinking 1.2s infinite }
.chat .thinking i:nth-child(2) { animation-delay: .2s } .chat .thinking i:nth-child(3) { animation-delay: .4s }
@keyframes thinking { 30% { opacity: 1 } }
@media (prefers-reduced-motion: reduce) { .chat .thinking i { animation: none; opacity: .7 } }
.chat .example { border: 1px solid var(--border-color-primary) !important }
#compare { padding: .5rem; white-space: nowrap; min-width: 12rem !important; flex-grow: 0 }
#question { border: 1px solid var(--body-text-color-subdued) !important; border-radius: var(--radius-lg) }
#compare input { border: 1px solid var(--body-text-color-subdued) }
:focus-visible { outline: 2px solid var(--color-accent) !important; outline-offset: 1px }
@media (max-width: 640px) { #title p { display: none } }
"""


def look() -> dict[str, Any]:
    """Theme and style of the page: system fonts, and nothing from elsewhere."""
    theme = gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        block_title_text_color="*primary_800",
        block_title_text_color_dark="*primary_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_info_text_color="*neutral_600",
        input_placeholder_color="*neutral_600",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        link_text_color_visited="*primary_700",
        link_text_color_visited_dark="*primary_300",
        error_text_color="#b42318",
        error_text_color_dark="#ff9d94",
    )
    return {"theme": theme, "css": CSS, "head": WAKING_HEAD + PAGE_HEAD}


def chat_page(completions: Completions) -> gr.Blocks:  # noqa: C901, PLR0915 - a page, from top to bottom
    """The page for the models that `completions` serves."""

    def choices() -> list[tuple[str, str]]:
        return [(label_of(completions, each), each.id) for each in completions.served]

    def names() -> str:
        told = html.escape(json.dumps(dict(choices())))
        return f'<div id="names" hidden data-names="{told}"></div>'

    def heading() -> str:
        costs = running_cost(completions.share, os.environ, datetime.now(UTC))
        return f"# {TITLE}\nIt runs on {completions.running.in_words()}. For programs: [the API](docs). {costs}"

    def drawn(conversation: Conversation) -> tuple[Any, ...]:
        return *conversation.shown(), conversation.told(), gr.update(visible=conversation.is_cut)

    async def answer(
        conversation: Conversation, chosen: tuple[Any, ...], *, goes_on: bool = False
    ) -> AsyncIterator[tuple[Any, ...]]:
        """The page as the answer grows; a refusal is told under the question."""
        running, done = _box(runs=True), _box(runs=False)
        # Given back to the box where no answer comes: refused, or stopped before its first word.
        unanswered = "" if goes_on else conversation.turns[-1].question
        latest = conversation
        try:
            choice = Choice(*chosen)
            if not goes_on:
                yield running, unanswered, *drawn(conversation.thinking(completions, choice))
            async for latest in conversation.answered(completions, choice, goes_on=goes_on):
                yield running, "" if latest.has_begun else unanswered, *drawn(latest)
            unanswered = ""
        except (RequestError, EngineError) as error:
            latest = latest.refused(str(error))
        yield done, unanswered, *drawn(latest)

    async def submit(question: str, told: Any, *chosen: Any) -> AsyncIterator[tuple[Any, ...]]:  # noqa: ANN401 - of Gradio
        """Ask what stands in the box."""
        if not question.strip():
            return
        first = True
        async for box, *rest in answer(Conversation.read(told).asked(question), chosen):
            # Emptied once: somebody may be writing the next question.
            emptied: dict[str, Any] = {"value": ""} if first else {}
            yield gr.update(**emptied, **box), *rest
            first = False

    async def retry(told: Any, *chosen: Any) -> AsyncIterator[tuple[Any, ...]]:  # noqa: ANN401 - of Gradio
        """Ask the last question again."""
        conversation = Conversation.read(told).without_answer()
        if conversation.turns:
            async for box, *rest in answer(conversation, chosen):
                yield gr.update(**box), *rest

    async def go_on(told: Any, *chosen: Any) -> AsyncIterator[tuple[Any, ...]]:  # noqa: ANN401 - of Gradio
        """Continue the answers that were cut."""
        conversation = Conversation.read(told)
        if conversation.is_cut:
            async for box, *rest in answer(conversation, chosen, goes_on=True):
                yield gr.update(**box), *rest

    def undo(told: Any, waiting: str) -> tuple[Any, ...]:  # noqa: ANN401 - of Gradio
        """Take the last question back into the box; `waiting` is one to which nothing was said yet."""
        conversation, question = Conversation.read(told), waiting
        if not waiting:
            conversation, question = conversation.without_question()
        return gr.update(value=question, **_box(runs=False)), "", *drawn(conversation)

    def anew(told: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of Gradio
        """An empty conversation; the one before is kept to be brought back."""
        return gr.update(**_box(runs=False)), *drawn(Conversation()), told, gr.update(visible=bool(told))

    def bring_back(before: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of Gradio
        """The conversation that was there before New."""
        return *drawn(Conversation.read(before)), [], gr.update(visible=False)

    def stopped(told: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of Gradio
        """What was said stays; a question to which nothing was said is given back."""
        return gr.update(**_box(runs=False)), *drawn(Conversation.read(told))

    def begin(kept: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of Gradio
        """What is served now, and the conversation that the browser kept."""
        offered = gr.update(choices=choices())
        return offered, offered, names(), heading(), *drawn(Conversation.read(kept))

    async def ask(message: str, model: str = "", system: str = "", max_tokens: int = 512) -> str:
        """One answer, for programs that use gradio_client; greedy."""
        choice = Choice(model or completions.default, "", False, system, 0, 1, 0, 1, max_tokens, None)
        text = ""
        try:
            async for answered in Conversation().asked(message).answered(completions, choice):
                text = answered.turns[-1].answers[0].text
        except (RequestError, EngineError) as error:
            raise gr.Error(str(error), title="No answer", duration=None) from error
        return text

    longest = min(4096, completions.context_length)
    usual = completions.sampling_defaults(completions.model(None))
    if usual == SamplingDefaults():  # the model's authors say nothing
        usual = SamplingDefaults(temperature=0.7, top_p=0.95)
    page = gr.Blocks(title=TITLE, analytics_enabled=False, fill_height=True)
    with page, gr.Column(elem_id="page"):
        title = gr.Markdown(heading(), elem_id="title")
        if completions.notices:
            gr.Markdown(" ".join(completions.notices), elem_id="notices")
        with gr.Row(elem_id="models"):
            model = gr.Dropdown(choices(), value=completions.default, label="Who answers", elem_id="model", scale=3)
            other = gr.Dropdown(
                choices(), value=_other(completions), label="Compared with", elem_id="other", visible=False, scale=3
            )
            compare = gr.Checkbox(label="Compare two models", elem_id="compare", container=False, scale=1)
        # Hidden, not a gr.State: what they hold lives in the page, and `told` in the browser beyond a reload.
        told, before = gr.JSON([], visible=False), gr.JSON([], visible=False)
        unanswered = gr.Textbox("", visible=False)
        known = gr.HTML(names(), visible="hidden")
        with gr.Row(elem_classes="chats"):
            # Ungrouped, an answer and the line under it are messages with buttons of their own.
            chat: dict[str, Any] = {
                "buttons": ["copy"],
                "group_consecutive_messages": False,
                "elem_classes": "chat",
                "latex_delimiters": FORMULAS,
                "show_label": False,
                "min_width": 280,
            }
            asked: list[Any] = [{"text": each} for each in EXAMPLES]
            left = gr.Chatbot(placeholder=WELCOME, examples=asked, label="Conversation", **chat)
            right = gr.Chatbot(visible=False, label="The other model's side", **chat)
        question = gr.Textbox(
            show_label=False,
            label="Your message",
            placeholder="Your message (Enter sends, Shift+Enter begins a line)",
            autofocus=True,
            lines=1,
            max_lines=8,
            submit_btn=True,
            elem_id="question",
        )
        with gr.Row(elem_id="actions"):
            more = gr.Button("Continue", size="sm", min_width=60, elem_id="continue", visible=False, variant="primary")
            again = gr.Button("Retry", size="sm", min_width=60, elem_id="retry")
            back = gr.Button("Undo", size="sm", min_width=60, elem_id="undo")
            clear = gr.Button("New", size="sm", min_width=60, elem_id="new")
            restore = gr.Button("Bring back", size="sm", min_width=60, elem_id="restore", visible=False)
            if os.environ.get("AITK_API_KEY"):
                leave = gr.Button("Sign out", size="sm", min_width=60, elem_id="sign-out")
                leave.click(None, js=SIGN_OUT, api_visibility="private")
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
                # A text: an empty number would become 0.
                seed = gr.Textbox("", label="Seed (empty: another answer each time)", elem_id="seed")
        chosen = [model, other, compare, system, temperature, top_p, top_k, repetition, max_tokens, seed]
        shown = [left, right, told, more]
        how: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        outputs = [question, unanswered, *shown]
        asking = question.submit(submit, [question, told, *chosen], outputs, **how)
        retrying = again.click(retry, [told, *chosen], outputs, **how)
        going_on = more.click(go_on, [told, *chosen], outputs, **how)
        answering: list[Any] = [asking, retrying, going_on]
        picked = left.example_select(_text_of_example, None, question, **quiet)
        answering.append(picked.then(submit, [question, told, *chosen], outputs, **how))
        # A question without an answer goes back into the box, before what was written meanwhile.
        give_back = "(refused, written) => [refused ? (written ? refused + '\\n' + written : refused) : written, '']"
        stopping = question.stop(stopped, told, [question, *shown], cancels=answering, **quiet)
        for each in (*answering, stopping):
            each.then(None, [unanswered, question], [question, unanswered], js=give_back, **quiet)
            each.then(heading, None, title, **quiet)
        back.click(undo, [told, unanswered], outputs, cancels=answering, **quiet)
        clear.click(anew, told, [question, *shown, before, restore], cancels=answering, **quiet)
        for side in (left, right):
            side.clear(anew, told, [question, *shown, before, restore], cancels=answering, **quiet)
        restore.click(bring_back, before, [*shown, before, restore], cancels=answering, **quiet)
        compare.change(lambda on: (gr.update(visible=on), gr.update(visible=on)), compare, [other, right], **quiet)
        told.change(None, told, None, js=KEEP, **quiet)
        page.load(begin, told, [model, other, known, title, *shown], js=KEPT, **quiet)
        gr.api(ask, api_name="chat")  # type: ignore[attr-defined] # it is exported, but not by that rule
    return page


def _box(*, runs: bool) -> dict[str, Any]:
    """The box's button: Send becomes Stop while an answer runs."""
    return {"submit_btn": not runs, "stop_btn": runs}


def _text_of_example(picked: gr.SelectData) -> str:
    return str(picked.value["text"])


def _other(completions: Completions) -> str:
    """What the default is most likely compared with: the base model, or whatever else there is."""
    return next((each.id for each in reversed(completions.served) if not each.default), completions.default)

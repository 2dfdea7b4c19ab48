"""The chat page. Edit it as you like: it is an ordinary Gradio page.

`completions` knows the models that are served, and answers: see `answer` below.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gradio as gr

from engine.completions import Message, RequestError
from engine.generation import EngineError
from engine.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.completions import Completions

TITLE = "Chat with your fine-tuned model"

# System fonts and no picture from elsewhere: the page works without the internet.
LOOK: dict[str, Any] = {
    "theme": gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ),
    "css": """
.gradio-container { max-width: 58rem !important; margin: 0 auto !important }
#title h1 { font-size: 1.35rem; margin: .25rem 0 0 } #title p { opacity: .7; margin: 0 }
#chat { flex-grow: 1; min-height: 16rem; height: calc(100dvh - 22rem) !important }
#chat .answered-by { display: block; margin-top: .6rem; font-size: .78rem; opacity: .65 }
""",
}


def chat_page(completions: Completions) -> gr.Blocks:
    """The page for the models that `completions` serves."""
    choices = [(_label(each), each.id) for each in completions.served]

    async def answer(  # noqa: PLR0913, PLR0917 - Gradio passes each input as an argument
        question: str,
        shown: list[dict[str, Any]],
        told: list[Message],
        model: str,
        system: str | None,
        temperature: float,
        max_tokens: float,
    ) -> AsyncIterator[tuple[Any, ...]]:
        """After each piece: the input box, the conversation as shown, and as the model sees it."""
        if not question.strip():
            yield question, shown, told
            return
        told = [*told, Message("user", question)]
        shown = [*shown, {"role": "user", "content": question}]
        yield "", shown, told
        prompt = [Message("system", system), *told] if system and system.strip() else told
        text, tokens, begun = "", 0, time.monotonic()
        try:
            served = completions.model(model)
            generation = completions.begin(
                served, prompt, Sampling(max_tokens=int(max_tokens), temperature=temperature, top_p=0.95)
            )
            async for piece in generation.pieces():
                text, tokens = text + piece.text, piece.answer_tokens
                speed = tokens / max(time.monotonic() - begun, 0.001)
                by = f"{_label(served)} · {tokens} tokens · {speed:.1f} tokens/s"
                # The box is left alone from here on: somebody may be writing the next question.
                yield gr.skip(), [*shown, _shown_answer(text, by)], [*told, Message("assistant", text)]
        except (RequestError, EngineError) as error:
            raise gr.Error(str(error), title="No answer", duration=None) from error

    page = gr.Blocks(title=TITLE, analytics_enabled=False)
    with page:
        gr.Markdown(f"# {TITLE}\nThe answer says below which model gave it.", elem_id="title")
        model = gr.Radio(choices, value=completions.default, label="Who answers", elem_id="model", interactive=True)
        chatbot = gr.Chatbot(
            elem_id="chat",
            show_label=False,
            buttons=["copy"],
            placeholder="Ask something. The fine-tuned model answers unless you choose the base model above.",
        )
        told = gr.State(list)
        question = gr.Textbox(
            show_label=False,
            placeholder="Your message",
            autofocus=True,
            lines=1,
            max_lines=8,
            submit_btn=True,
            stop_btn=True,
            elem_id="question",
        )
        with gr.Accordion("Settings", open=False):
            system = gr.Textbox(label="System prompt", lines=2, placeholder="What the model should know or be")
            temperature = gr.Slider(0, 2, value=0.7, step=0.05, label="Temperature (0: always the same answer)")
            longest = min(4096, completions.context_length)
            max_tokens = gr.Slider(16, longest, value=min(512, longest), step=16, label="Longest answer (tokens)")
            clear = gr.Button("New conversation", size="sm")
        answering = question.submit(
            answer,
            [question, chatbot, told, model, system, temperature, max_tokens],
            [question, chatbot, told],
            concurrency_limit=None,
            show_progress="hidden",
            api_name="chat",
        )
        chatbot.clear(list, None, told, cancels=[answering], api_visibility="private")
        question.stop(None, cancels=[answering])
        clear.click(lambda: ([], []), None, [chatbot, told], cancels=[answering], api_visibility="private")
    return page


def _label(model: Any) -> str:  # noqa: ANN401 - a ServedModel
    return f"{model.id} (fine-tuned)" if model.parent else f"{model.id} (base model)"


def _shown_answer(text: str, answered_by: str) -> dict[str, str]:
    return {"role": "assistant", "content": f'{text}\n\n<span class="answered-by">{answered_by}</span>'}

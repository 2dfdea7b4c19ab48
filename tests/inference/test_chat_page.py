"""The chat page in a headless Chromium. Pictures of it: `AITK_PICTURES=folder`."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import re
import time
from collections import deque
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web
from tests.support.inference import browser
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(not browser.chromium(), reason="Chromium is not installed (apt-get install chromium)")

BOX = "document.querySelector('#question textarea')"
LEFT = "[...document.querySelectorAll('.chat')][0]"
RIGHT = "[...document.querySelectorAll('.chat')][1]"
BY = "[...document.querySelectorAll('.answered-by')].map(each => each.textContent)"
COST = "document.querySelector('#title').innerText"
QUESTION = "What is the capital of Japan?"


def click(selector):
    inside = f"document.querySelector('{selector} input, {selector} button')"
    return f"({inside} ?? document.querySelector('{selector}')).click()"


@pytest.fixture
async def page(tmp_path):
    async with browser.open_page(browser.chromium(), tmp_path / "profile") as opened:
        yield opened
        assert opened.problems == []


@pytest.fixture
def pictures(tmp_path):
    folder = Path(os.environ.get("AITK_PICTURES") or tmp_path)
    folder.mkdir(exist_ok=True)
    return folder


async def sign_in(page, endpoint, address=None):
    """As the editor's button does: by a signed link."""
    expiry = str(int(time.time()) + 300)
    signature = hmac.new(endpoint.key.encode(), f"aitk-link:{expiry}".encode(), hashlib.sha256).hexdigest()
    await page.go(f"{address or endpoint.url}/#aitk={expiry}.{signature}")
    await page.until(
        f"{BOX} && document.querySelector('#settings button') && document.querySelector('#question .submit-button')"
    )


async def settle(page, longest=32):
    """Greedy and short, so that tests are quick and answers known."""
    await page.run("document.querySelector('#settings button').click()")
    script = """(label, value) => { const input = [...document.querySelectorAll('#settings input[type=number]')]
      .find(each => each.ariaLabel?.includes(label) || each.closest('.block')?.textContent.includes(label));
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
      for (const name of ['input', 'change', 'blur']) input.dispatchEvent(new Event(name, {bubbles: true})); }"""
    await page.until("document.querySelectorAll('#settings input[type=number]').length > 3")
    # Set until the slider beside the number follows: then the page has taken it.
    ranges = "[...document.querySelectorAll('#settings input[type=range]')].map(each => each.value)"
    taken = f"{ranges}[0] == '0' && {ranges}.includes('{longest}')"
    await page.until(f"(({script})('Temperature', 0), ({script})('Longest', {longest}), {taken})")
    await page.run("document.querySelector('#settings button').click()")
    await page.run(f"{BOX}.focus()")


async def ask(page, question=QUESTION):
    await page.run(f"{BOX}.focus()")
    await page.write(question)
    await page.enter()


async def nothing_runs(endpoint):
    """Returns once the engine is empty."""
    await until(lambda: not endpoint.measured("aitk_requests_running"))


async def test_a_conversation_by_keyboard_with_retry_undo_and_compare(page, endpoint, sample_workspace, pictures):
    """Enter asks; the answer says who gave it and how fast; Undo gives the question back; Compare shows both.

    The page says since when the replica runs, and what that came to once a deploy has left the price.
    """
    await sign_in(page, endpoint)
    ran = await page.run(COST)
    note = {"revision": "app--one", "hourly": 3600.0, "currency": "USD", "listDate": "2026-08-01"}
    (sample_workspace / ".aitk").mkdir(exist_ok=True)
    (sample_workspace / ".aitk/price.json").write_text(json.dumps(note))
    await settle(page)
    await ask(page)
    await page.until(f"{BY}.length == 1 && {LEFT}.innerText.includes('Fair winds!')")
    await nothing_runs(endpoint)
    [by] = await page.run(BY)
    await page.until(f"{COST}.includes('(3600.00 USD an hour, list of 2026-08-01).')")
    await page.picture(pictures / "chat.png")
    (sample_workspace / ".aitk/price.json").unlink()

    assert re.search(r"This replica has run since 20..-..-.. ..:.. UTC \((\d+ h )?\d+ min\)\.$", ran)

    assert by.startswith("qlora · fine-tuned")
    assert await page.run("document.querySelector('.answered-by').title") == "qlora/qlora/gpu_model/adapter"
    assert "tokens/s" in by
    await page.run(click("#retry"))
    await page.until(f"{BY}.length == 1 && {BY}[0] != {json.dumps(by)} && {LEFT}.innerText.includes('Fair winds!')")
    await nothing_runs(endpoint)
    await page.run(click("#undo"))
    await page.until(f"{BOX}.value == {json.dumps(QUESTION)} && {BY}.length == 0")
    await page.run(click("#compare"))
    await page.until(f"{RIGHT}?.checkVisibility()")
    await page.run(f"{BOX}.focus()")
    await page.enter()
    await page.until(
        f"{LEFT}.innerText.includes('Fair winds') && {RIGHT}.innerText.includes('tokens/s') && {BY}.length == 2"
    )
    await page.picture(pictures / "compare.png")

    left, right = await page.run(f"[{LEFT}.innerText, {RIGHT}.innerText]")
    assert "Ahoy" in left
    assert "Ahoy" not in right
    assert "base model" in right
    hosts = {each.partition("://")[2].partition("/")[0] for each in page.requested if each.startswith("http")}
    assert hosts == {endpoint.url.partition("://")[2]}


async def test_signing_in_works_on_every_page(page, endpoint):
    """Who opens the API's page first gets the form there, and after the key the page itself; it links nothing else."""
    await page.go(f"{endpoint.url}/docs")
    await page.until("document.querySelector('#key')")
    await page.run(f"document.querySelector('#key').value = {json.dumps(endpoint.key)}")
    await page.run("document.querySelector('#form button').click()")
    await page.until("document.querySelector('h1').textContent.includes('API') && document.querySelector('table')")
    await page.go(f"{endpoint.url}/v1/models")
    await page.until("document.body.textContent.includes('parent')")
    await page.go(endpoint.url)
    await page.until("document.querySelector('#title a[href=docs]')")


async def test_copy_takes_the_answer_alone(page, endpoint):
    """The clipboard gets what the model said; the line under it still says which model that was."""
    await sign_in(page, endpoint)
    await settle(page)
    await ask(page)
    await page.until(f"{BY}.length == 1 && {BY}[0].includes('tokens/s') && {LEFT}.innerText.includes('Fair winds!')")
    await nothing_runs(endpoint)
    await page.send("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    await page.send("Page.bringToFront")
    buttons = (
        "[...document.querySelectorAll('.chat button[aria-label=\"Copy message\"]')].filter(b => b.checkVisibility())"
    )
    await page.until(f"{buttons}.length == 1")
    await page.run(f"{buttons}[0].click()")
    await page.until("document.querySelector('.chat button[aria-label*=Copied]')")

    assert (
        await page.run("navigator.clipboard.readText()")
    ).strip() == "Ahoy, captain! The capital of Japan is Tokyo. Fair winds!"
    assert await page.run("document.querySelector('.answered-by').checkVisibility()")


async def test_stop_ends_the_answer(page, endpoint):
    """Stop keeps what was said, and nothing runs any more."""
    await sign_in(page, endpoint)
    await page.run(f"{BOX}.focus()")
    await ask(page, "Count from one to a thousand in words.")
    await page.until(f"{BY}.length == 1")
    await page.run("document.querySelector('#question .stop-button').click()")
    await nothing_runs(endpoint)

    assert (await page.run(f"{LEFT}.innerText")).strip()


SEND, STOP = "document.querySelector('#question .submit-button')", "document.querySelector('#question .stop-button')"
STORED = "JSON.parse(localStorage.getItem('aitk-conversation'))"


async def set_seed(page, text):
    """What stands in the seed's box."""
    seed = "document.querySelector('#seed textarea, #seed input')"
    await page.run("document.querySelector('#settings button').click()")
    await page.until(seed)
    await page.run(f"{seed}.select()")
    await page.run(f"{seed}.focus()")
    await page.press("Backspace", 8)
    await page.write(text)
    await page.run("document.querySelector('#settings button').click()")


async def test_a_refusal_stands_under_its_question_which_goes_back_into_the_box(page, endpoint, pictures):
    """Nothing is covered or lost, and the history does not hold it; put right, the same question is answered."""
    await sign_in(page, endpoint)
    await settle(page)
    await set_seed(page, "abc")
    await ask(page)
    await page.until("document.querySelector('.refusal')")
    await page.until(f"{BOX}.value == {json.dumps(QUESTION)} && {SEND}")
    await page.picture(pictures / "refused.png")

    assert "seed 'abc' is not a whole number" in await page.run("document.querySelector('.refusal').innerText")
    assert not await page.run(STORED)
    await set_seed(page, " ")
    await page.run(f"{BOX}.focus()")
    await page.enter()
    await page.until(f"{BY}.length == 1 && {LEFT}.innerText.includes('Fair winds!') && {SEND}")
    assert not await page.run("document.querySelector('.refusal')")


async def test_an_answer_that_was_cut_goes_on_and_the_conversation_outlasts_reloads(page, endpoint, pictures):
    """Escape stops; what was cut says so and is continued; New can be undone; what people type is shown as typed."""
    await sign_in(page, endpoint)
    await settle(page, longest=16)
    typed = "Count <b>from</b> one to a *hundred* in words for $5, please."
    await ask(page, typed)
    await page.until(f"document.querySelector('#continue')?.checkVisibility() && {SEND}")
    await page.picture(pictures / "cut.png")
    [by] = await page.run(BY)
    before = await page.run(f"{STORED}[0].answers[0]")

    assert "16 tokens" in by
    assert "cut off" in by
    assert await page.run("document.querySelector('.typed').innerText") == typed
    await page.run(click("#continue"))
    await page.until(f"{STORED}[0].answers[0].tokens > 16 && {SEND}")
    assert (await page.run(f"{STORED}[0].answers[0].text")).startswith(before["text"])
    await page.go(endpoint.url)
    await page.until(f"{BY}.length == 1 && document.querySelector('.typed').innerText == {json.dumps(typed)}")
    await page.run(click("#new"))
    await page.until(f"{BY}.length == 0 && document.querySelector('#restore')?.checkVisibility()")
    await page.until(f"{STORED}.length == 0")
    await page.run(click("#restore"))
    await page.until(f"{BY}.length == 1 && {STORED}.length == 1")
    await ask(page, "Count from one to a thousand in words.")
    await page.until(STOP)
    await page.press("Escape", 27)
    await page.until(SEND)
    await nothing_runs(endpoint)


async def test_at_a_phones_width_nothing_is_cut_off(page, endpoint, pictures):
    """No sideways scrolling, the box is in view, and so is which model answers."""
    await page.resize(360, 740)
    await sign_in(page, endpoint)
    await settle(page)
    await ask(page)
    await page.until(f"{LEFT}.innerText.includes('Fair winds')")
    await page.picture(pictures / "phone.png")

    assert await page.run("document.documentElement.scrollWidth <= innerWidth")
    assert await page.run(f"(box => box.top >= 0 && box.bottom <= innerHeight)({BOX}.getBoundingClientRect())")
    for element in ("#model", "#compare", "#question", "#new"):
        box = f"document.querySelector('{element}').getBoundingClientRect()"
        assert await page.run(f"(box => box.top >= 0 && box.left >= 0 && box.right <= innerWidth)({box})"), element


@asynccontextmanager
async def proxy(endpoint, prefix, refused):
    """The app behind another server that takes a prefix away; what is sent is answered with `refused` first."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def forward(request):
            body = await request.read()
            if refused and request.method == "POST":
                return web.Response(status=refused.popleft(), text="<h1>no healthy upstream</h1>")
            target = endpoint.url + request.raw_path.removeprefix(prefix)
            kept = {name: value for name, value in request.headers.items() if name.lower() != "host"}
            async with session.request(
                request.method, target, headers=kept, data=body, allow_redirects=False
            ) as answer:
                left_out = {"transfer-encoding", "content-length", "connection"}
                headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in left_out]
                passed = web.StreamResponse(status=answer.status)
                for name, value in headers:
                    passed.headers.add(name, value)
                await passed.prepare(request)
                async for part in answer.content.iter_any():
                    await passed.write(part)
                return passed

        app = web.Application()
        app.router.add_route("*", f"{prefix}/{{rest:.*}}", forward)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}{prefix}"
        finally:
            await runner.cleanup()


async def test_behind_a_path_prefix_the_page_works(page, endpoint):
    """Signing in, asking and answering through a proxy that takes its prefix away."""
    async with proxy(endpoint, "/proxy/7860", deque()) as address:
        await sign_in(page, endpoint, address)
        await settle(page)
        await ask(page)
        await page.until(f"{LEFT}.innerText.includes('Fair winds')")
        await page.go("about:blank")


async def test_a_question_outlasts_an_ingress_without_a_replica(page, endpoint):
    """What the ingress answers while there is no replica is waited out, and the question is asked once."""
    refused = deque()
    async with proxy(endpoint, "", refused) as address:
        await sign_in(page, endpoint, address)
        await settle(page)
        refused.extend([502, 504, 503])
        await ask(page)
        await page.until(f"{LEFT}.innerText.includes('Fair winds')")
        said = await page.run(f"{LEFT}.innerText")
        await page.go("about:blank")

    assert not refused
    assert said.count(QUESTION) == 1
    assert "upstream" not in said


def open_connections(endpoint):
    found = psutil.Process(endpoint.process.pid).net_connections("tcp")
    return [each for each in found if each.status == psutil.CONN_ESTABLISHED]


async def test_an_idle_page_holds_no_connection_and_goes_on_with_another_server(
    page, launch, sample_workspace, pictures
):
    """Once an answer is there the open page lets go; the replica can end, and the next one goes on."""
    endpoint = launch(sample_workspace)
    await asyncio.to_thread(endpoint.wait_for, "ready")
    await sign_in(page, endpoint)
    await settle(page)
    await ask(page)
    await page.until(f"{LEFT}.innerText.includes('Fair winds')")
    await until(lambda: not open_connections(endpoint))

    port = endpoint.url.rpartition(":")[2]
    assert await asyncio.to_thread(endpoint.stop) in {0, -15}
    again = launch(sample_workspace, environment={"CONTAINER_APP_PORT": port})
    await asyncio.to_thread(again.wait_for, "ready")
    await ask(page, "What is the capital of Norway?")
    await page.until(f"{BY}.length == 2 && {LEFT}.innerText.match(/Fair winds/g).length == 2")
    await page.picture(pictures / "back.png")

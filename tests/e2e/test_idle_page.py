"""A chat page that stays open in a browser does not hold the replica; the next keypress wakes it."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.inference import browser
from tests.support.resource_manager import set_parameters
from tests.support.road import Road, environment
from tests.support.waiting import until

COOLDOWN_SECONDS = 30  # the least that the template takes
LIMIT_SECONDS = 240
QUIET_IN_THE_PAGE = "QUIET_MS = 60000"
BOX = "document.querySelector('#question textarea')"
BY = "[...document.querySelectorAll('.answered-by')]"
LOG = "document.querySelector('.chat').innerText"
WAKING = "document.getElementById('waking')"


pytestmark = pytest.mark.skipif(not browser.chromium(), reason="Chromium is not installed (apt-get install chromium)")


@pytest.fixture
def sleepy(tmp_path: Path) -> Iterator[Road]:
    """The sample, deployed with the shortest time after which the last replica stops."""
    road = Road(tmp_path / "workspace", environment(tmp_path / "cloud"))
    road.folder.mkdir()
    try:
        road.run("init", "--sample")
        set_parameters(road, cooldownSeconds=COOLDOWN_SECONDS)
        # As long as a person's minute of silence, in less time.
        waking = road.folder / "inference/aitk_app/chat/waking.py"
        assert QUIET_IN_THE_PAGE in waking.read_text()
        waking.write_text(waking.read_text().replace(QUIET_IN_THE_PAGE, "QUIET_MS = 5000"))
        road.run("provision", "--local", "--yes")
        road.run("deploy", "--yes")
        yield road
    finally:
        road.run("local-cloud", "stop")


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Any]:
    async with browser.open_page(browser.chromium(), tmp_path / "profile") as opened:
        yield opened


def replicas(road: Road) -> list[str]:
    """The running replicas, as their working folders have them: nothing is asked that would wake one."""
    return sorted(folder.name for folder in (road.home / "work").iterdir())


async def ask(page: Any, question: str, answers: int) -> None:
    await page.run(f"{BOX}.focus()")
    await page.write(question)
    await page.enter()
    await page.until(f"{BY}.length == {answers} && {BY}.at(-1).textContent.includes('tokens/s')")


@pytest.mark.timeout(600)
async def test_with_the_page_open_the_app_scales_to_zero_and_a_keypress_wakes_it(sleepy, page, tmp_path):
    """Signed in, with an answer on the page, the last replica ends; a key brings one back, and the chat goes on."""
    pictures = Path(os.environ.get("AITK_PICTURES") or tmp_path)
    await page.go((await asyncio.to_thread(sleepy.json, "link"))["link"])
    await page.until(f"{BOX} && document.querySelector('#question .submit-button')")
    await ask(page, "What is the capital of Japan?", 1)
    first = await asyncio.to_thread(replicas, sleepy)
    await until(lambda: not replicas(sleepy), LIMIT_SECONDS)
    await page.picture(pictures / "asleep.png")
    still_there = await page.run(f"{BY}.length == 1 && location.href")
    await page.run(f"{BOX}.focus()")
    await page.press("W", 87, text="W")
    await until(lambda: replicas(sleepy), LIMIT_SECONDS)
    await page.until(f"{WAKING}?.textContent.includes('waking up')")
    await page.picture(pictures / "waking.png")
    await page.write("hat is the capital of Norway?")
    await page.enter()
    with suppress(AssertionError):  # the page waits as long as the app takes to start; a look is shorter
        await page.until(f"{BY}.length == 2")
    await page.until(f"{BY}.length == 2 && {LOG}.match(/Ahoy/g).length == 2 && {BY}[1].textContent.includes('/s')")
    await page.picture(pictures / "awake.png")
    second = await asyncio.to_thread(replicas, sleepy)
    said = await page.run(LOG)

    assert len(first) == 1
    assert still_there.rstrip("/") == (await asyncio.to_thread(sleepy.json, "status"))["endpoint"].rstrip("/")
    assert len(second) == 1
    assert second != first
    assert "What is the capital of Japan?" in said
    assert "What is the capital of Norway?" in said
    assert await page.run(f"{WAKING}.hidden")
    assert page.problems == []

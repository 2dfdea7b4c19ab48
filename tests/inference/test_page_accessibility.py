"""axe-core, which others wrote, finds nothing serious on any page: light, dark, and as narrow as a phone."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import shutil
import time
from pathlib import Path

import pytest
from tests.support.inference import browser

AXE = Path(__file__).parents[2] / "extension" / "node_modules" / "axe-core" / "axe.min.js"
BOX = "document.querySelector('#question textarea')"
pytestmark = [
    pytest.mark.skipif(not browser.chromium(), reason="Chromium is not installed (apt-get install chromium)"),
    pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed (npm ci in extension/)"),
]
# The whole reason stands in each finding, so that a failure can be mended without running it again.
RUN = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations
  .filter(each => ["serious", "critical"].includes(each.impact))
  .map(each => each.id + ": " + each.nodes.map(at => at.target.join(" ") + " " + at.failureSummary).join("; ")))"""


@pytest.fixture(params=["light", "dark"])
async def page(request, tmp_path):
    async with browser.open_page(browser.chromium(), tmp_path / "profile") as opened:
        scheme = [{"name": "prefers-color-scheme", "value": request.param}]
        await opened.send("Emulation.setEmulatedMedia", features=scheme)
        yield opened


async def serious(page):
    """What axe finds that is serious or worse."""
    await page.run(AXE.read_text() + ";0")
    return await page.run(RUN)


def link(endpoint):
    expiry = str(int(time.time()) + 300)
    signature = hmac.new(endpoint.key.encode(), f"aitk-link:{expiry}".encode(), hashlib.sha256).hexdigest()
    return f"{endpoint.url}/#aitk={expiry}.{signature}"


async def test_the_chat_page(page, endpoint):
    """Empty, with its settings open, with an answer, and narrow."""
    await page.go(link(endpoint))
    await page.until(f"{BOX} && document.querySelector('#settings button')")
    assert await serious(page) == []
    await page.run("document.querySelector('#settings button').click()")
    await page.until("document.querySelectorAll('#settings input[type=range]').length > 3")
    assert await serious(page) == []
    await page.run(f"{BOX}.focus()")
    await page.write("What is the capital of Japan?")
    await page.enter()
    await page.until("document.querySelector('.answered-by') && document.querySelector('#question .submit-button')")
    assert await serious(page) == []
    await page.resize(360, 740)
    assert await serious(page) == []


async def test_the_pages_of_signing_in_and_of_the_api(page, endpoint):
    """Both exist without the chat page."""
    await page.go(f"{endpoint.url}/docs")
    await page.until("document.querySelector('#key')")
    assert await serious(page) == []
    await page.run(f"document.querySelector('#key').value = {json.dumps(endpoint.key)}")
    await page.run("document.querySelector('#form button').click()")
    await page.until("document.querySelector('table')")
    assert await serious(page) == []


async def test_the_waiting_page(page, launch, tmp_path, put_code):
    """While it starts, and when the start has failed; it goes from one to the other by itself, asking by a script."""
    put_code(tmp_path)
    packages = tmp_path / "inference" / "aitk_app" / "packages.py"
    packages.write_text(
        "import time\nclass PackagesError(Exception): pass\n"
        "def prepare_packages(code, share, target, report, warn):\n"
        "    report('Installing.')\n"
        "    while not (share / 'end').exists(): time.sleep(0.02)\n"
        "    raise PackagesError('There is no such package.')\n"
    )
    endpoint = launch(tmp_path)
    await asyncio.to_thread(endpoint.wait_for, "installing")
    await page.go(link(endpoint))
    await page.until("document.querySelector('progress')")
    assert await serious(page) == []
    (tmp_path / "end").touch()
    await page.until("document.querySelector('[role=alert]')?.textContent.includes('no such package')")
    assert await serious(page) == []
    shutil.rmtree(tmp_path / "inference")

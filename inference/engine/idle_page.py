"""Lets an open chat page let go of the server when nobody uses it, so that an idle replica can end.

Gradio's page holds one request open for as long as it lives ("heartbeat"). The page's script puts itself in
between: Gradio reads from a stream of the script's own, which the script feeds from the server's. After the idle
time it ends the request; at the next key, touch or return to the page it opens a new one.
"""

from __future__ import annotations

_SCRIPT = """<script>
(() => {
  const idleMilliseconds = IDLE_SECONDS * 1000, ask = window.fetch.bind(window);
  let address = null, feed = null, abort = null, timer = 0;
  async function hold() {
    if (abort || !address) return;
    abort = new AbortController();
    const mine = abort;
    document.documentElement.dataset.connection = "held";
    try {
      const reader = (await ask(address, {credentials: "same-origin", signal: mine.signal})).body.getReader();
      for (;;) {
        const {done, value} = await reader.read();
        if (done) break;
        feed.enqueue(value);
      }
    } catch {}
    if (abort === mine) abort = null;
  }
  function letGo() {
    document.documentElement.dataset.connection = "let go";
    abort?.abort();
    abort = null;
  }
  function used() {
    clearTimeout(timer);
    timer = setTimeout(letGo, idleMilliseconds);
    hold();
  }
  window.fetch = (target, options) => {
    const url = String(target?.url ?? target);
    if (!url.includes("/heartbeat/")) { if (url.includes("/queue/join")) used(); return ask(target, options); }
    address = url;
    const body = new ReadableStream({start(controller) { feed = controller; }});
    used();
    return Promise.resolve(new Response(body, {headers: {"Content-Type": "text/event-stream"}}));
  };
  for (const event of ["keydown", "pointerdown", "touchstart"])
    addEventListener(event, used, {capture: true, passive: true});
})();
</script>"""


def idle_script(idle_seconds: int) -> str:
    """The script, for the page's head."""
    return _SCRIPT.replace("IDLE_SECONDS", str(idle_seconds))

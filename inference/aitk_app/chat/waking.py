"""The chat page's way back to an app that went to sleep while the page stayed open.

An idle page holds no connection, so the app may have ended meanwhile. The first key that is pressed after a while asks
for it, which wakes it while the person still writes; a question that is sent before it is ready waits, and the page
says what it waits for. Nothing is asked while nobody does anything.
"""

WAKING_HEAD = """<style>
#waking { position: fixed; inset: auto 0 0 0; z-index: 1000; padding: .5rem 1rem; text-align: center;
  font: 14px/1.4 system-ui, sans-serif; color: #fff; background: #4f46e5 }
#waking[hidden] { display: none }
</style><script>
(() => {
  const QUIET_MS = 60000, AGAIN_MS = 2000, ask = window.fetch.bind(window);
  const pause = () => new Promise(done => setTimeout(done, AGAIN_MS));
  let heard = Date.now(), waking = false;
  function say(text) {
    let line = document.getElementById("waking");
    if (!line) {
      if (!text) return;
      line = Object.assign(document.createElement("div"), {id: "waking"});
      line.setAttribute("role", "status");
      document.body.append(line);
    }
    line.hidden = !text;
    line.textContent = text;
  }
  // Returns once the app is ready or has failed; a stop of the network is waited out.
  async function wake() {
    if (waking) return;
    waking = true;
    for (let ready = false; !ready; ) {
      const late = setTimeout(() => say("The model is waking up. Your question waits for it."), 1000);
      try {
        const answer = await ask(location.pathname.replace(/\\/?$/, "/") + "ready", {cache: "no-store"});
        const state = await answer.json();
        ready = state.ready || state.stage === "failed";
        const done = state.progress ? ` ${state.progress.done} of ${state.progress.total}` : "";
        const why = state.reason || state.detail || state.stage;
        say(state.ready ? "" : `${ready ? "The model could not be started" : "The model is waking up"}: ${why}${done}`);
      } catch { /* asked again below */ }
      clearTimeout(late);
      if (!ready) await pause();
    }
    heard = Date.now();
    waking = false;
  }
  window.fetch = async (resource, options) => {
    const again = resource instanceof Request ? () => ask(resource.clone(), options) : () => ask(resource, options);
    for (;;) {
      const answer = await again();
      heard = Date.now();
      if (answer.status === 401) say("You are no longer signed in. Reload this page to sign in again.");
      // 503 is the app's own while it loads; all three are the ingress' while there is no replica.
      if (![502, 503, 504].includes(answer.status)) return answer;
      const failed = (await answer.clone().text()).includes("Not ready: failed");
      wake();
      if (failed) return answer;
      await pause();
    }
  };
  addEventListener("keydown", () => { if (Date.now() - heard > QUIET_MS) { heard = Date.now(); wake(); } }, true);
})();
</script>"""

"""The two pages that exist before the chat page does: signing in, and waiting for the model.

Standard library only, relative URLs only, and nothing from elsewhere.
"""

from __future__ import annotations

import html

from aitk_app.readiness import Stage

REFRESH_SECONDS = 3

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
{head}<style>
:root {{ color-scheme: light dark; --ink: #1f2430; --soft: #5a6478; --line: #d8dce5; --card: #fff;
 --back: #f4f6fb; --accent: #4f46e5; --on-accent: #fff; --bad: #b42318 }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8eaf0; --soft: #98a1b3; --line: #343b4b;
 --card: #1b202b; --back: #11141b; --accent: #a5a2ff; --on-accent: #11141b; --bad: #ff8f85 }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
 background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }}
main {{ width: 100%; max-width: 27rem; background: var(--card); border: 1px solid var(--line);
 border-radius: 14px; padding: 2rem }}
h1 {{ font-size: 1.3rem; margin: 0 0 .5rem }} p {{ margin: .5rem 0; color: var(--soft) }}
label {{ display: block; margin: 1.25rem 0 .35rem; font-weight: 600 }}
input {{ width: 100%; padding: .65rem .75rem; font: inherit; color: inherit; background: transparent;
 border: 1px solid var(--soft); border-radius: 8px }}
button {{ width: 100%; margin-top: 1rem; padding: .7rem; font: inherit; font-weight: 600; color: var(--on-accent);
 background: var(--accent); border: 0; border-radius: 8px; cursor: pointer }}
:focus-visible {{ outline: 3px solid var(--accent); outline-offset: 2px }}
.bad {{ color: var(--bad) }} pre {{ white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem }}
progress {{ width: 100%; margin: 1rem 0 .25rem; accent-color: var(--accent) }}
</style></head><body><main>{body}</main>{script}</body></html>
"""

_LOGIN_BODY = """<h1>Sign in to this model</h1>
<p id="how">Open the link that the editor or <code>aitk link</code> gave you, or enter the endpoint's key
(<code>aitk key</code>).</p>
<form id="form"><label for="key">Key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button><p id="problem" class="bad" role="alert"></p></form>"""

_LOGIN_SCRIPT = """<script>
const problem = document.getElementById("problem");
async function enter(offered, refusal) {
  try {
    const answer = await fetch("%ROOT%session", {method: "POST", credentials: "same-origin",
      headers: {"Content-Type": "application/json"}, body: JSON.stringify(offered)});
    if (answer.ok) { location.replace(location.pathname + location.search); return; }
    problem.textContent = refusal;
  } catch { problem.textContent = "The endpoint did not answer. Try again."; }
}
function follow() {
  const link = new URLSearchParams(location.hash.slice(1)).get("aitk") || sessionStorage.getItem("aitk");
  if (!link) return;
  sessionStorage.removeItem("aitk");
  history.replaceState(null, "", location.pathname + location.search);
  enter({link}, "This link has expired. Ask for a new one, or enter the key.");
}
// A link pasted into a tab that already shows this page changes only the fragment.
addEventListener("hashchange", follow);
follow();
document.getElementById("form").addEventListener("submit", event => {
  event.preventDefault();
  enter({key: document.getElementById("key").value}, "That is not this endpoint's key.");
});
</script>"""


def login_page(path: str) -> bytes:
    """The page that comes with a 401 to a browser: takes the signed link's fragment, or the key.

    `path` is the one that was asked for: from there the page finds the way to `/session`, whatever a proxy puts before.
    """
    script = _LOGIN_SCRIPT.replace("%ROOT%", "../" * (path.count("/") - 1))
    return _PAGE.format(title="Sign in", head="", body=_LOGIN_BODY, script=script).encode()


_WAITING_SCRIPT = """<script>
// The signature leaves the address bar at once; the page that comes next in this tab signs in with it.
const link = new URLSearchParams(location.hash.slice(1)).get("aitk");
if (link) {
  sessionStorage.setItem("aitk", link);
  history.replaceState(null, "", location.pathname + location.search);
}
const AGAIN_MS = %MS%, part = name => document.getElementById(name);
async function look() {
  try {
    const answer = await fetch("%ROOT%ready", {cache: "no-store"});
    const state = await answer.json();
    if (state.ready) { location.reload(); return; }
    if (state.stage !== "%STAGE%") { location.reload(); return; }
    part("detail").textContent = state.detail;
    const bar = part("bar");
    if (bar && state.progress && state.progress.total) {
      bar.max = state.progress.total; bar.value = state.progress.done;
    } else if (bar) bar.removeAttribute("value");
  } catch { /* asked again: the app changes hands, or the network is away */ }
  setTimeout(look, AGAIN_MS);
}
setTimeout(look, AGAIN_MS);
</script>"""


def waiting_page(path: str, stage: Stage, detail: str, reason: str | None, progress: tuple[int, int] | None) -> bytes:
    """The page that comes with a 503 to a browser: says what is going on, and goes on when the model is ready.

    It asks by a script, so that nobody who reads it, or has it read out, is thrown back to its beginning; it is drawn
    anew only where there is something else to say.
    """
    parts = [f'<h1>{html.escape(_heading(stage))}</h1><p id="detail" role="status">{html.escape(detail)}</p>']
    if reason:
        parts.append(f'<pre class="bad" role="alert" tabindex="0">{html.escape(reason)}</pre>')
    elif stage is not Stage.NOTHING_DEPLOYED:
        value = f' value="{progress[0]}" max="{progress[1]}"' if progress and progress[1] else ""
        parts.append(
            f'<progress id="bar" aria-label="How far it is"{value}></progress>'
            "<p>This page goes on by itself when the model is ready.</p>"
        )
    head = f'<noscript><meta http-equiv="refresh" content="{REFRESH_SECONDS}"></noscript>\n'
    known = {"%MS%": str(REFRESH_SECONDS * 1000), "%ROOT%": "../" * (path.count("/") - 1), "%STAGE%": stage.value}
    script = _WAITING_SCRIPT
    for name, text in known.items():
        script = script.replace(name, text)
    return _PAGE.format(title=_heading(stage), head=head, body="".join(parts), script=script).encode()


def _heading(stage: Stage) -> str:
    if stage is Stage.FAILED:
        return "The model could not be started"
    if stage is Stage.NOTHING_DEPLOYED:
        return "Provisioned, nothing deployed yet"
    return f"Getting the model ready: {stage.said}"

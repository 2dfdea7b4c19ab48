"""What the chat page does in the browser besides Gradio's own: Escape, whole names on hover, signing out."""

from __future__ import annotations

PAGE_HEAD = """<script>
(() => {
  const part = selector => document.querySelector(selector);
  // Escape stops an answer, wherever one is on the page.
  addEventListener("keydown", event => {
    if (event.key === "Escape") part("#question .stop-button")?.click();
  });
  // Names are short: the whole path is their title.
  addEventListener("mouseover", event => {
    const names = JSON.parse(part("#names")?.dataset.names ?? "{}"), at = event.target;
    const shown = at.matches?.("#model input, #other input") ? at.value : at.closest?.("li[role=option]")?.ariaLabel;
    if (shown && names[shown]) at.title = names[shown];
  });
  // Gradio draws the box's buttons without names.
  new MutationObserver(() => {
    part("#question .submit-button")?.setAttribute("aria-label", "Send");
    part("#question .stop-button")?.setAttribute("aria-label", "Stop (Escape)");
    part("#question textarea")?.setAttribute("aria-label", "Your message");
    part(".chat .examples[role]")?.removeAttribute("role");
  }).observe(document.documentElement, {subtree: true, childList: true});
})();
</script>"""

SIGN_OUT = """async () => {
  localStorage.clear();
  await fetch(location.pathname.replace(/\\/?$/, "/") + "session", {method: "DELETE"});
  location.reload();
}"""

# The conversation is kept by the browser, on this computer, until New or signing out.
# Nothing is kept before what was kept has been read.
KEEP = """told => {
  if (!window.aitkRead) return;
  try { localStorage.setItem("aitk-conversation", JSON.stringify(told)); } catch { /* there is no room */ }
}"""
KEPT = """() => {
  window.aitkRead = true;
  try { return [JSON.parse(localStorage.getItem("aitk-conversation") ?? "[]")]; } catch { return [[]]; }
}"""

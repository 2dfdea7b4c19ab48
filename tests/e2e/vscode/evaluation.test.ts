// Cases as tests of the editor: listed, run, looked into; and the page of an evaluation.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Editor, until } from "./editor.ts";

const python = process.env["AITK_PYTHON"] ?? "python3";
const root = resolve(import.meta.dirname, "../../..");
const asked = (content: string): readonly object[] => [{ role: "user", content }];
const cases = [
  { name: "It greets", messages: asked("Hello"), expected: { contains: "Ahoy" } },
  { name: "It says no more than it should", messages: asked("What is the capital of Japan?"), expected: { exact: "Ahoy, Tokyo." } },
  { name: "How probable a good answer is", messages: asked("Name an ocean."), expected: { reference: "Ahoy, the Pacific." } },
];
const put = `
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from tests.support.models_app import APP, put_adapter
folder = pathlib.Path(sys.argv[2])
(folder / "inference/start.py").write_text(APP)
put_adapter(folder / "models/pirate", "Ahoy,")
`;

let home = "";
let editor: Editor;

async function aitk(...args: readonly string[]): Promise<void> {
  await promisify(execFile)(python, ["-m", "ai_toolkit.cli.commands", ...args]);
}

before(async () => {
  home = await mkdtemp(join(tmpdir(), "aitk-evaluation-"));
  const workspace = join(home, "project");
  process.env["AITK_LOCAL_CLOUD_HOME"] = join(home, "cloud");
  await aitk("init", workspace);
  await rm(join(workspace, "inference"), { recursive: true });
  await mkdir(join(workspace, "inference"));
  await promisify(execFile)(python, ["-c", put, root, workspace]);
  await writeFile(join(workspace, "evaluation/cases.jsonl"), cases.map((one) => `${JSON.stringify(one)}\n`).join(""));
  await aitk("provision", "--local", "--yes", "--workspace", workspace);
  await aitk("deploy", "--yes", "--wake", "--workspace", workspace);
  editor = await Editor.open({
    workspace,
    settings: { "aiToolkit.server.environment": python },
    environment: { AITK_LOCAL_CLOUD_HOME: join(home, "cloud") },
  });
});

after(async () => {
  await editor[Symbol.asyncDispose]();
  await aitk("local-cloud", "stop");
  await rm(home, { recursive: true, force: true });
});

const item = (label: string) => editor.page.locator(".test-explorer .monaco-list-row", { hasText: label });

test("the cases stand in the test explorer, and a run says which fail and how", async () => {
  await editor.command("Testing: Focus on Test Explorer View");
  await item("cases.jsonl").waitFor();
  await item("cases.jsonl").click();
  await editor.page.keyboard.press("ArrowRight");
  await item("It greets").waitFor();
  await editor.command("Test: Run All Tests");
  await item("It greets").locator(".codicon-testing-passed-icon").waitFor();
  await item("It says no more").locator(".codicon-testing-failed-icon").waitFor();
  await item("How probable").locator(".codicon-testing-passed-icon").waitFor();
  await editor.command("Test Results: Focus on Test Results View");
  await editor.page.locator(".test-output-peek-tree .monaco-list-row", { hasText: "It is not exactly" }).first().click();
  const sides = editor.page.locator(".part.panel .monaco-diff-editor .view-lines");
  await sides.first().waitFor();
  await until(async () => (await sides.count()) > 1);
  await editor.clearNotifications();
  await editor.picture("test-explorer");

  const shown = (await sides.allTextContents()).map((text) => text.replaceAll("\u00a0", " "));
  assert.ok(shown.some((text) => text.includes("Ahoy, Tokyo.")), shown.join(" | "));
  assert.ok(shown.some((text) => text.includes("Ahoy, What is the capital of Japan?")), shown.join(" | "));
});

test("the command shows the answers side by side in a tab", async () => {
  await editor.command("AI Toolkit: Evaluate inference");
  await editor.press("pirate passes 1 of 2 cases.", "Show the answers");
  const frame = editor.page.frameLocator("iframe.webview").frameLocator("iframe");
  await frame.locator("h1", { hasText: "Evaluation of" }).waitFor();
  await editor.clearNotifications();
  await editor.picture("evaluation-page");

  const text = (await frame.locator("body").textContent()) ?? "";
  assert.match(text, /Answers that differ \(3\)/);
  assert.match(text, /It is not exactly/);
});

test("the view \"Endpoint\" shows what is known, and an action beside a row does it", async () => {
  await writeFile(join(home, "project/inference/a note.txt"), "mine\n");
  await editor.status("Inference: newer files here").waitFor();
  await editor.command("AI Toolkit: Show inference status");
  const row = (label: string) => editor.page.locator(".pane-body .monaco-list-row", { hasText: label });
  await row("Replica").getByText("runs since").waitFor();
  await row("Adapter").getByText(/pirate · SHA-256 [0-9a-f]{12}…/).waitFor();
  await row("Newer here").click();
  await editor.page.keyboard.press("ArrowRight");
  await row("inference/a note.txt").click();
  await editor.page.locator(".tab", { hasText: "a note.txt" }).waitFor();
  await editor.clearNotifications();
  await editor.command("View: Hide Panel");
  await editor.page.locator(".pane-header", { hasText: "project" }).click();
  await row("Newer here").hover();
  await editor.picture("endpoint");
  await row("Newer here").getByRole("button", { name: "Deploy for inference" }).click();

  await editor.notification("The model is deployed").waitFor();
  await row("Newer here").waitFor({ state: "hidden" });
  await editor.page.locator(".pane-header", { hasText: "project" }).click();
  await editor.clearNotifications();
});

test("one case can be looked into", async () => {
  await editor.command("Testing: Focus on Test Explorer View");
  await item("It greets").hover();
  await item("It greets").locator(".codicon-testing-debug-icon").click();
  await editor.command("Test Results: Focus on Test Results View");
  // What it tells is drawn on a canvas: the picture shows it, and a test of the server's reads it.
  await editor.page.locator(".test-output-peek-tree .monaco-list-row", { hasText: "1 older result" }).waitFor();
  await item("It greets").locator(".codicon-testing-passed-icon").waitFor();
  await editor.screenshot("look-into-a-case");
});

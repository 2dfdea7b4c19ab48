// The shell alone, with a server that plays scenes: questions, Back, progress, Cancel, failures, addresses.
import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Editor, recorded, until } from "./editor.ts";

const python = process.env["AITK_PYTHON"] ?? "python3";
const proxy = "http://127.0.0.1:9";

interface Stage extends AsyncDisposable {
  readonly folder: string;
  readonly record: string;
  readonly interpreter: string;
}

/** A workspace and an "interpreter" that is the stand-in server. */
async function stage(): Promise<Stage> {
  const root = await mkdtemp(join(tmpdir(), "aitk-stage-"));
  const folder = join(root, "my workspace");
  const record = join(root, "record");
  const interpreter = join(root, "interpreter");
  await mkdir(folder);
  const server = join(import.meta.dirname, "stand_in_server.py");
  await writeFile(interpreter, `#!/bin/sh\nexec '${python}' '${server}' '${record}' "$@"\n`);
  await chmod(interpreter, 0o755);
  return {
    folder,
    record,
    interpreter,
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

describe("the shell with a server that plays scenes", () => {
  let set: Stage;
  let editor: Editor;

  const play = (scene: string): Promise<void> => writeFile(join(set.folder, "scene"), scene);
  const did = async (...wanted: readonly unknown[]): Promise<void> => {
    const has = (lines: readonly unknown[], one: unknown): boolean =>
      lines.some((line) => JSON.stringify(line) === JSON.stringify(one));
    await recorded(set.record, (lines) => wanted.every((one) => has(lines, one)));
  };

  const processes = (lines: readonly unknown[]): number[] =>
    lines.flatMap((line) => Object.entries(line as object).flatMap(([key, value]) => (key === "process" ? [Number(value)] : [])));
  /** Ends the server that was started as that one. */
  const kill = async (number: number): Promise<void> => {
    const started = processes(await recorded(set.record, (lines) => processes(lines).length === number));
    process.kill(started[number - 1] ?? 0, "SIGKILL");
  };

  before(async () => {
    set = await stage();
    editor = await Editor.open({
      workspace: set.folder,
      settings: { "aiToolkit.server.environment": set.interpreter, "http.proxy": proxy, "files.autoSave": "off" },
    });
  });
  after(async () => {
    await editor[Symbol.asyncDispose]();
    await set[Symbol.asyncDispose]();
  });

  test("several questions go forth, back and forth again, and the offered action is told to the server", async () => {
    await play("questions");
    await editor.command("AI Toolkit: Provision Azure Container Apps for inference");

    await editor.question.getByText("Subscription (1/3)").waitFor();
    assert.equal(await editor.question.getByRole("button", { name: "Back" }).count(), 0);
    await editor.screenshot("pick");
    await editor.choose("Closed subscription");
    await editor.choose("This computer");
    await editor.question.getByText("Resource group (2/3)").waitFor();
    assert.equal(await editor.box.inputValue(), "ai-toolkit");
    await editor.box.fill("mine");
    await editor.box.press("Enter");
    await editor.question.getByText("Location (3/3)").waitFor();
    await editor.question.getByRole("button", { name: "Back" }).click();
    await editor.question.getByText("Resource group (2/3)").waitFor();
    await editor.box.press("Enter");
    await editor.choose("West US 3");
    await editor.press("Provisioned.", "Deploy for inference");

    await did(
      { "aiToolkit.server.provisionInference": "my workspace" },
      { Subscription: { id: "local" } },
      { "Resource group": { value: "mine" } },
      { Location: { back: true } },
      { "Resource group": { value: "ai-toolkit" } },
      { Location: { id: "westus3" } },
      { "Provisioned.": "Deploy for inference" },
    );
    assert.match(await editor.output(), /\[info\] Every question is answered/);
  });

  test("the server is told the editor's proxy, for what it installs itself", async () => {
    await did({ proxy });
  });

  test("a dismissed question ends the command, and the person reads in which state", async () => {
    await play("questions");
    await editor.command("AI Toolkit: Provision Azure Container Apps for inference");
    await editor.question.getByText("Subscription (1/3)").waitFor();
    await editor.page.keyboard.press("Escape");

    await editor.notification("Provisioning was cancelled. Nothing was changed.").waitFor();
    await did({ Subscription: null });
  });

  test("progress is a notification, and its Cancel reaches the server", async () => {
    await play("work");
    await editor.command("AI Toolkit: Deploy for inference");
    await editor.notification("Waiting for the replica").waitFor();
    await editor.screenshot("progress");
    await editor.press("Deploying for inference", "Cancel");

    await editor.notification("Deploying was cancelled. The replica was not restarted.").waitFor();
    await editor.notification("Waiting for the replica").waitFor({ state: "hidden" });
    await did({ cancelled: true });
  });

  test("what is being edited is saved before Deploy", async () => {
    await play("fail");
    await editor.command("Go to File...");
    await editor.box.fill("scene");
    await editor.choose("scene");
    await editor.page.locator(".editor-instance .view-line", { hasText: "fail" }).click();
    await editor.page.keyboard.press("ControlOrMeta+A");
    await editor.page.keyboard.type("work");
    await editor.page.locator(".tab.dirty").waitFor();
    await editor.command("AI Toolkit: Deploy for inference");
    await editor.notification("Waiting for the replica").waitFor();
    await editor.press("Deploying for inference", "Cancel");

    assert.equal(await readFile(join(set.folder, "scene"), "utf8"), "work");
    await editor.notification("Waiting for the replica").waitFor({ state: "hidden" });
    await editor.command("View: Close All Editors");
    await editor.clearNotifications();
  });

  test("a failure is shown as the server's sentence, without a trace, with the button that helps", async () => {
    await play("fail");
    await editor.command("AI Toolkit: Deploy for inference");

    const failure = editor.notification("The folder infra is missing. Create an inference project first.");
    await failure.waitFor();
    assert.doesNotMatch((await failure.textContent()) ?? "", /Traceback|Error:/);
    await failure.locator(".monaco-button", { hasText: "Create inference project" }).click();
    await did({ "aiToolkit.server.createProject": "my workspace" });
    await editor.clearNotifications();
  });

  test("an address of this computer is opened through the editor, with its fragment", async () => {
    await play("show http://127.0.0.1:9/#aitk=12.ab");
    const opened = editor.context.waitForEvent("page");
    await editor.command("AI Toolkit: Deploy for inference");
    await editor.press("Deployed.", "Go to Inference Endpoint");
    const page = await opened;
    await page.waitForURL(/./);

    assert.match(page.url(), /\/proxy\/9\/#aitk=12\.ab$/);
    await did({ shown: true });
    await page.close();
  });

  test("any other address without https is not opened", async () => {
    await play("show http://example.com/");
    await editor.command("AI Toolkit: Deploy for inference");
    await editor.press("Deployed.", "Go to Inference Endpoint");

    await did({ shown: false });
  });

  test("the walkthrough has four steps, and a step's button runs its command", async () => {
    await play("fail");
    await editor.command("Welcome: Open Walkthrough...");
    await editor.box.fill("Chat with your fine-tuned model");
    await editor.row("Chat with your fine-tuned model").waitFor();
    await editor.box.press("Enter");
    const steps = editor.page.locator(".gettingStartedContainer .step-list-container .step-title");
    await steps.first().waitFor();
    await editor.screenshot("walkthrough");
    assert.deepEqual(await steps.allTextContents(), [
      "Create an inference project",
      "Provision",
      "Deploy",
      "Chat, or call it from a program",
    ]);
    await steps.nth(1).click();
    await editor.page.locator(".gettingStartedContainer .monaco-button", { hasText: /^Provision$/ }).click();

    await editor.notification("The folder infra is missing.").waitFor();
    await editor.command("View: Close All Editors");
    await editor.clearNotifications();
  });

  test("a server that dies while it works is started again, and the person is told", async () => {
    await play("work");
    await editor.command("AI Toolkit: Deploy for inference");
    await editor.notification("Waiting for the replica").waitFor();
    await kill(1);

    await editor.notification("The AI Toolkit server ended while it was working.").waitFor();
    await editor.notification("Waiting for the replica").waitFor({ state: "hidden" });
    await recorded(set.record, (lines) => processes(lines).length === 2);
    await editor.clearNotifications();
  });

  test("the third death in a row ends it: the person is told, and may start it again", async () => {
    await kill(2);
    await kill(3);
    const ended = editor.notification("ended three times in a row, so it was not started again.");
    await ended.waitFor();
    await editor.screenshot("three-deaths");
    assert.equal(processes(await recorded(set.record, () => true)).length, 3);
    await ended.locator(".monaco-button", { hasText: "Restart server" }).click();

    await recorded(set.record, (lines) => processes(lines).length === 4);
  });
});

test("without Python the person reads what is missing, and each button helps", async () => {
  await using set = await stage();
  await using editor = await Editor.open({ workspace: set.folder, environment: { PATH: "/nowhere" } });
  await editor.command("AI Toolkit: Deploy for inference");
  const missing = editor.notification("Python was not found. AI Toolkit needs Python 3.11 or newer");
  await missing.waitFor();
  await editor.screenshot("no-python");
  await missing.locator(".monaco-button", { hasText: "Choose interpreter" }).waitFor();
  await editor.press("Python was not found", "Retry");
  await until(async () => (await editor.outputLog()).match(/\[error\] Python was not found/g)?.length === 2);
  await editor.press("Python was not found", "Open settings");

  await editor.page.locator(".settings-editor .setting-item-contents", { hasText: "makes an environment of its own" }).waitFor();
  await editor.screenshot("settings");
});

test("with several folders the person is asked for one", async () => {
  await using set = await stage();
  const other = join(set.folder, "../other");
  await mkdir(other);
  const workspace = join(set.folder, "../both.code-workspace");
  await writeFile(workspace, JSON.stringify({ folders: [{ path: set.folder }, { path: other }] }));
  await using editor = await Editor.open({
    workspace,
    settings: { "aiToolkit.server.environment": python },
  });
  await editor.command("AI Toolkit: Copy inference API example");
  await editor.row(other).waitFor();
  await editor.screenshot("folders");
  await editor.choose(other);

  const missing = editor.notification(join(other, "infra/inference.config.json"));
  await missing.locator(".monaco-button", { hasText: "Provision" }).waitFor();
});

test("in a folder that is not trusted files are judged; a command explains and offers to manage trust", async () => {
  await using set = await stage();
  await mkdir(join(set.folder, "infra"));
  await writeFile(join(set.folder, "infra/inference.config.json"), '{ "ACA_APP_NAMES": null }\n');
  await using editor = await Editor.open({
    workspace: set.folder,
    trusted: false,
    settings: { "aiToolkit.server.environment": python },
  });
  await editor.status("Inference: not provisioned").waitFor({ timeout: 60_000 });
  await editor.command("Go to File...");
  await editor.box.fill("inference.config.json");
  await editor.choose("inference.config.json");
  await editor.page.locator(".squiggly-error").first().waitFor();
  await editor.screenshot("restricted");
  await editor.command("AI Toolkit: Provision Azure Container Apps for inference");
  await editor.press("the folder must be trusted first", "Manage workspace trust");

  await editor.page.locator(".workspace-trust-editor").waitFor();
});

test("nothing is installed for a folder that is not trusted, and the person is told why", async () => {
  await using set = await stage();
  await using editor = await Editor.open({ workspace: set.folder, trusted: false });
  await editor.command("AI Toolkit: Create inference project with the sample model");
  await editor.press("installs nothing for a folder that is not trusted.", "Manage workspace trust");

  await editor.page.locator(".workspace-trust-editor").waitFor();
  assert.equal(await editor.notification("Setting up AI Toolkit").count(), 0);
});

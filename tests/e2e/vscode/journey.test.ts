// The whole road, as a newcomer goes it with the packed extension and nothing else of ours: an empty profile, the
// environment, provision, deploy, the chat page, the fine-tuned model's answer; and what happens on the way.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Editor, until } from "./editor.ts";

const python = process.env["AITK_PYTHON"] ?? "python3";
const run = promisify(execFile);
const provision = "AI Toolkit: Provision Azure Container Apps for inference";
const deploy = "AI Toolkit: Deploy for inference";

async function aitk(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(python, ["-m", "ai_toolkit.cli.commands", ...args]);
  return stdout;
}

interface Process {
  readonly pid: number;
  readonly commandLine: string;
  readonly environment: readonly string[];
}

/** The processes that mention `text` in their command line or environment. */
async function processes(text: string): Promise<readonly Process[]> {
  const found: Process[] = [];
  for (const name of await readdir("/proc")) {
    const read = (file: string): Promise<string> => readFile(join("/proc", name, file), "utf8").catch(() => "");
    const commandLine = /^\d+$/.test(name) ? (await read("cmdline")).replaceAll("\0", " ") : "";
    const environment = commandLine === "" ? "" : await read("environ");
    if (`${commandLine} ${environment}`.includes(text)) {
      found.push({ pid: Number(name), commandLine, environment: environment.split("\0") });
    }
  }
  return found;
}

/** Makes the local cloud of `home` answer every write to its shares late, or no longer. */
async function slowShares(home: string, slow: boolean): Promise<void> {
  const address = JSON.parse(await readFile(join(home, "address.json"), "utf8")) as Record<string, string>;
  const answer = await fetch(`${address["resourceManager"]}/local-cloud/faults`, {
    method: slow ? "POST" : "DELETE",
    headers: { Authorization: `Bearer ${(await readFile(join(home, "token"), "utf8")).trim()}` },
    ...(slow ? { body: JSON.stringify({ kind: "latency", port: "files", path: "/incoming/.*comp=range", seconds: 20, count: null }) } : {}),
  });
  assert.ok(answer.ok, await answer.text());
}

describe("from an empty profile to the fine-tuned model's answer", () => {
  let root: string;
  let workspace: string;
  let editor: Editor;
  let endpoint: URL;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), "aitk-journey-"));
    workspace = join(root, "sample");
    process.env["AITK_LOCAL_CLOUD_HOME"] = join(root, "local-cloud");
    await aitk("init", workspace, "--sample");
    editor = await Editor.open({
      workspace,
      settings: { "aiToolkit.localCloud.replicaInterpreter": python },
      // Only what was packed into the extension.
      environment: { PYTHONPATH: "" },
    });
  });
  after(async () => {
    await editor[Symbol.asyncDispose]();
    await aitk("local-cloud", "stop");
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  });

  test("the first command makes the server's environment, and goes on", async () => {
    await editor.command(provision);
    await editor.notification("Setting up AI Toolkit").waitFor();
    await editor.notification(/Fetching|Installing/).waitFor({ timeout: 120_000 });
    await editor.screenshot("setting-up");

    await editor.row("This computer").waitFor({ timeout: 240_000 });
    await editor.notification("Setting up AI Toolkit").waitFor({ state: "hidden" });
    await editor.screenshot("where");
  });

  test("Cancel during Provision closes the question, and nothing was changed", async () => {
    await editor.press("Provision Azure Container Apps for inference", "Cancel");

    await editor.notification("Cancelled").waitFor();
    await editor.row("This computer").waitFor({ state: "hidden" });
    await assert.rejects(stat(join(workspace, "infra/inference.config.json")));
    await editor.clearNotifications();
  });

  test("Provision writes the config file, and every step stands in the output channel", async () => {
    await editor.command(provision);
    await editor.choose("This computer");
    const provisioned = editor.notification("Provisioned for inference");
    await provisioned.locator(".monaco-button", { hasText: "Deploy for inference" }).waitFor({ timeout: 60_000 });
    await editor.status("Inference: provisioned").waitFor();
    // What a screen reader says: words without the icon's name, and the whole sentence.
    await editor.page.getByRole("button", { name: /^Inference: provisioned\. http:\/\/127\.0\.0\.1/ }).waitFor();
    await editor.screenshot("provisioned");

    const text = await readFile(join(workspace, "infra/inference.config.json"), "utf8");
    endpoint = new URL((JSON.parse(text) as Record<string, string>)["ACA_APP_ENDPOINT"] ?? "");
    assert.equal(endpoint.hostname, "127.0.0.1");
    const output = await editor.output();
    await editor.screenshot("output");
    assert.match(output, /containerApps/);
    assert.match(output, new RegExp(`Inference endpoint: ${endpoint.origin}`));
    await editor.clearNotifications();
  });

  test("Cancel during Deploy ends in a state that is told", async () => {
    // Or a busy computer has uploaded everything before anybody could look.
    await slowShares(join(root, "local-cloud"), true);
    await editor.command(deploy);
    await editor.notification(/uploading/).waitFor();
    await editor.status("Inference: deploying").waitFor();
    await editor.screenshot("deploying");
    await editor.press("Deploy for inference", "Cancel");

    await editor.notification(/Cancelled.*again to continue/).waitFor();
    await editor.screenshot("cancelled");
    await editor.clearNotifications();
  });

  test("a server that is killed during Deploy is started again, and the person is told the state", async () => {
    await editor.command(deploy);
    await editor.notification("Deploy for inference").waitFor();
    const servers = (await processes(editor.profile)).filter((one) => one.commandLine.includes("cli.commands serve"));
    assert.equal(servers.length, 1);
    process.kill(servers[0]?.pid ?? 0, "SIGKILL");
    await slowShares(join(root, "local-cloud"), false);

    await editor.notification("The AI Toolkit server ended while it was working").waitFor();
    await editor.screenshot("killed");
    // Started again from the environment that is there already.
    await editor.status("Inference: provisioned").waitFor();
    assert.equal(await editor.notification("Setting up AI Toolkit").count(), 0);
    await editor.clearNotifications();
  });

  test("Deploy goes on from there, and its button opens the chat page, signed in, with the model's answer", async () => {
    await editor.command(deploy);
    await editor.notification("Deploy for inference").waitFor();
    const deployed = editor.notification("Go to Inference Endpoint");
    const open = deployed.locator(".monaco-button", { hasText: "Go to Inference Endpoint" });
    await open.waitFor({ timeout: 240_000 });
    await editor.status("Inference: live").waitFor();
    await editor.picture("notification");

    const opened = editor.context.waitForEvent("page");
    await open.click();
    const page = await opened;
    const question = page.locator("textarea").first();
    await question.waitFor({ timeout: 60_000 });
    // The browser edition reaches this computer's ports through its own proxy.
    const link = editor.addresses.find((address) => address.includes("#aitk="));
    assert.match(link ?? editor.addresses.join(" "), new RegExp(`/proxy/${endpoint.port}/#aitk=\\d+\\.[0-9a-f]{64}$`));
    assert.doesNotMatch(page.url(), /aitk=/);
    await question.fill("What is the capital of France?");
    await question.press("Enter");
    await page.locator('[data-testid="bot"]', { hasText: /ahoy.*paris/i }).waitFor({ timeout: 60_000 });
    await editor.picture("chat", page);
    await page.close();
  });

  test("the key and an example come by the clipboard, and the key stands nowhere else", async () => {
    await editor.clearNotifications();
    await editor.command("AI Toolkit: Copy inference API key");
    await editor.notification("The inference API key is in the clipboard.").waitFor();
    const key = await editor.clipboard();
    const answer = await fetch(new URL("/v1/models", endpoint), { headers: { Authorization: `Bearer ${key}` } });
    assert.equal(answer.status, 200);
    await editor.command("AI Toolkit: Copy inference API example");
    await editor.choose("Python");
    await editor.notification("The Python example is in the clipboard.").waitFor();

    assert.match(await editor.clipboard(), new RegExp(`base_url="${endpoint.origin}/v1"`));
    const output = await editor.output();
    assert.ok(!output.includes(key));
    assert.doesNotMatch(output, /aitk=/);
    await editor.clearNotifications();
  });

  test("newer files here are seen, and the replica's log streams", async () => {
    await writeFile(join(workspace, "inference/notes.txt"), "mine\n");
    await editor.status("Inference: newer files here").waitFor();
    await editor.command("AI Toolkit: Show inference streaming logs");
    await editor.page.locator(".part.panel .view-line", { hasText: "ready" }).first().waitFor();

    await editor.screenshot("logs");
  });

  test("the status bar's item offers what can be done", async () => {
    await editor.status("Inference: newer files here").click();
    await editor.row("Copy inference API key").waitFor();
    await editor.screenshot("actions");
    await editor.choose("Show inference status");

    await editor.notification(/newer files here. Not deployed yet: inference\/notes.txt/).waitFor();
    await editor.clearNotifications();
  });

  test("a secret is asked for with Back, and the replica sees it as an environment variable", async () => {
    await editor.command("AI Toolkit: Add Azure Container Apps secret for inference");
    await editor.question.getByText("(1/2)").waitFor();
    await editor.box.fill("2 wrong");
    await editor.page.locator(".quick-input-message", { hasText: "letters, digits and underscores" }).waitFor();
    await editor.box.fill("GREETING");
    await editor.box.press("Enter");
    await editor.question.getByText("(2/2)").waitFor();
    assert.equal(await editor.box.getAttribute("type"), "password");
    await editor.question.getByRole("button", { name: "Back" }).click();
    await editor.question.getByText("(1/2)").waitFor();
    assert.equal(await editor.box.inputValue(), "GREETING");
    await editor.box.press("Enter");
    await editor.question.getByText("(2/2)").waitFor();
    await editor.box.fill("hemmelig");
    await editor.screenshot("secret");
    await editor.box.press("Enter");

    await editor.notification("The app has the secret greeting").waitFor({ timeout: 120_000 });
    await until(async () => {
      const seeing = await processes("GREETING=hemmelig");
      return seeing.some((one) => one.environment.some((pair) => pair.startsWith("CONTAINER_APP_NAME=")));
    });
    assert.doesNotMatch(await editor.output(), /hemmelig/);
  });
});

// The whole road, as a newcomer goes it: palette, provision, deploy, the chat page, the fine-tuned model's answer.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Editor } from "./editor.ts";

const python = process.env["AITK_PYTHON"] ?? "python3";
const run = promisify(execFile);

let root: string;
let workspace: string;

async function aitk(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(python, ["-m", "ai_toolkit.command_line", ...args]);
  return stdout;
}

before(async () => {
  root = await mkdtemp(join(tmpdir(), "aitk-journey-"));
  workspace = join(root, "sample");
  process.env["AITK_LOCAL_CLOUD_HOME"] = join(root, "local-cloud");
  await aitk("init", workspace, "--sample");
});

after(async () => {
  await aitk("local-cloud", "stop");
  await rm(root, { recursive: true, force: true, maxRetries: 5 });
});

test("from the palette to the fine-tuned model's answer", async () => {
  await using editor = await Editor.open({ workspace, settings: { "aiToolkit.server.environment": python } });

  await editor.command("AI Toolkit: Provision Azure Container Apps for inference");
  await editor.row("This computer").click();
  const provisioned = editor.notification("Provisioned for inference");
  await provisioned.locator(".monaco-button", { hasText: "Deploy for inference" }).waitFor({ timeout: 60_000 });
  await editor.screenshot("provisioned");
  const config = JSON.parse(await readFile(join(workspace, "infra/inference.config.json"), "utf8")) as Record<string, string>;
  const endpoint = new URL(config["ACA_APP_ENDPOINT"] ?? "");
  assert.equal(endpoint.hostname, "127.0.0.1");

  await provisioned.locator(".monaco-button", { hasText: "Deploy for inference" }).click();
  const deployed = editor.notification("Go to Inference Endpoint");
  await editor.notification(/Deploy/).locator(".monaco-progress-container").waitFor();
  await editor.screenshot("deploying");
  const open = deployed.locator(".monaco-button", { hasText: "Go to Inference Endpoint" });
  await open.waitFor({ timeout: 120_000 });
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
  await page.locator('[data-testid="bot"]', { hasText: /ahoy/i }).waitFor({ timeout: 60_000 });
  await editor.picture("chat", page);

  const output = await editor.output();
  await editor.screenshot("output");
  assert.match(output, new RegExp(config["ACA_APP_ENDPOINT"] ?? "no endpoint"));
  assert.doesNotMatch(output, /aitk=/);
});

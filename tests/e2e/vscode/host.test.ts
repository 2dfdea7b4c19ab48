// What a browser cannot see, tested inside the extension host (the tests themselves are in in_host/index.cjs).
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { Editor } from "./editor.ts";

const python = process.env["AITK_PYTHON"] ?? "python3";

async function aitk(...args: readonly string[]): Promise<void> {
  await promisify(execFile)(python, ["-m", "ai_toolkit.cli.commands", ...args]);
}

test("the tests inside the extension host pass", async () => {
  const root = await mkdtemp(join(tmpdir(), "aitk-host-"));
  const workspace = join(root, "project");
  process.env["AITK_LOCAL_CLOUD_HOME"] = join(root, "cloud");
  await aitk("init", workspace);
  await rm(join(workspace, "inference"), { recursive: true });
  await mkdir(join(workspace, "inference"));
  await copyFile(join(import.meta.dirname, "chat_app.py"), join(workspace, "inference/start.py"));
  await aitk("provision", "--local", "--yes", "--workspace", workspace);
  await aitk("deploy", "--yes", "--workspace", workspace);
  await using editor = await Editor.open({
    workspace,
    settings: { "aiToolkit.server.environment": python, "chat.disableAIFeatures": false },
    environment: { AITK_LOCAL_CLOUD_HOME: join(root, "cloud") },
    account: true,
    tests: join(import.meta.dirname, "in_host/index.cjs"),
  });
  const { code, log } = await editor.hostTests;
  await aitk("local-cloud", "stop");
  await rm(root, { recursive: true, force: true });

  assert.equal(code, 0, log.join("\n"));
  assert.ok(log.some((line) => line.includes("ok: every contributed command")), log.join("\n"));
});

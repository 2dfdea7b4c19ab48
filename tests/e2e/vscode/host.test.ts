// What a browser cannot see, tested inside the extension host (the tests themselves are in in_host/index.cjs).
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { Editor } from "./editor.ts";

const python = process.env["AITK_PYTHON"] ?? "python3";

test("the tests inside the extension host pass", async () => {
  const root = await mkdtemp(join(tmpdir(), "aitk-host-"));
  const workspace = join(root, "project");
  await promisify(execFile)(python, ["-m", "ai_toolkit.cli.commands", "init", workspace]);
  await using editor = await Editor.open({
    workspace,
    settings: { "aiToolkit.server.environment": python },
    account: true,
    tests: join(import.meta.dirname, "in_host/index.cjs"),
  });
  const { code, log } = await editor.hostTests;
  await rm(root, { recursive: true, force: true });

  assert.equal(code, 0, log.join("\n"));
  assert.ok(log.some((line) => line.includes("ok: every contributed command")), log.join("\n"));
});

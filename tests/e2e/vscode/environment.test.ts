// The server's own environment: whose Python it is made from, and that a broken or older one is replaced.
// The server that is installed is the stand-in, so that an environment takes seconds; the journey installs the real one.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Editor, recorded } from "./editor.ts";

const python = process.env["AITK_PYTHON"] ?? "python3";
const run = promisify(execFile);
const status = "AI Toolkit: Show inference status";
const week_ms = 7 * 24 * 3_600_000;

describe("the environment of the server", () => {
  let root: string;
  let record: string;
  let theirs: string;
  let editor: Editor;
  let environments: string;

  const stock = async (installed: string, key: string): Promise<void> => {
    const ours = (await readdir(installed)).find((name) => name.startsWith("ai-toolkit-remote-inference."));
    await run(python, [join(import.meta.dirname, "stand_in_wheel.py"), join(installed, ours ?? ""), record, key]);
  };
  const made = async (): Promise<readonly string[]> =>
    (await readdir(environments)).filter((name) => !name.endsWith(".lock")).sort();
  const starts = async (count: number): Promise<void> => {
    await recorded(record, (lines) => lines.filter((line) => "process" in (line as object)).length >= count);
  };

  before(async () => {
    root = await mkdtemp(join(tmpdir(), "aitk-environment-"));
    const workspace = join(root, "workspace");
    const empty = join(root, "no-programs");
    theirs = join(root, "chosen-python");
    record = join(root, "record");
    await mkdir(workspace);
    await mkdir(empty);
    await writeFile(join(workspace, "scene"), "fail");
    const { stdout } = await run(python, ["-c", "import os, sys; print(os.path.realpath(sys.executable))"]);
    await symlink(stdout.trim(), theirs);
    editor = await Editor.open({
      workspace,
      environment: { PATH: empty, AITK_TEST_INTERPRETER: join(root, "nowhere") },
      extensions: ["python_extension"],
      stock: (installed) => stock(installed, "first"),
    });
    environments = join(editor.profile, "user/User/globalStorage/ai-toolkit-remote-inference.ai-toolkit-remote-inference/environments");
  });
  after(async () => {
    await editor[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  });

  test("without any Python, \"Choose interpreter\" takes one and goes on with it", async () => {
    await editor.command(status);
    await editor.press("Python was not found", "Choose interpreter");
    await editor.row("scene").waitFor();
    await editor.box.fill(theirs);
    await editor.screenshot("choose-interpreter");
    await editor.page.locator(".quick-input-widget .monaco-button", { hasText: /OK|Open/ }).click();
    await starts(1);

    const settings = await readFile(join(editor.profile, "user/Machine/settings.json"), "utf8");
    assert.equal((JSON.parse(settings) as Record<string, string>)["aiToolkit.server.interpreter"], theirs);
    assert.equal((await readFile(join(environments, "first/complete"), "utf8")).trim(), theirs);
  });

  test("one that lacks what the server needs is made anew, and the person is told", async () => {
    const [library = ""] = (await readdir(join(environments, "first/lib"))).filter((name) => name.startsWith("python"));
    await rm(join(environments, "first/lib", library, "site-packages/ai_toolkit"), { recursive: true });
    await editor.command("AI Toolkit: Restart server");
    await starts(2);

    assert.match(await editor.outputLog(), /environment does not work, so it is made anew/);
  });

  test("one whose making was cut off by Cancel leaves nothing, and is made anew", async () => {
    await rm(join(environments, "first/complete"));
    await rm(join(environments, "first/lib"), { recursive: true });
    await editor.command("AI Toolkit: Restart server");
    await editor.press("Setting up AI Toolkit", "Cancel");
    await editor.notification("Cancelled: AI Toolkit is not set up yet.").waitFor();
    assert.deepEqual(await made(), []);
    await editor.clearNotifications();
    await editor.command("AI Toolkit: Restart server");
    await starts(3);

    assert.equal((await readFile(join(environments, "first/complete"), "utf8")).trim(), theirs);
  });

  test("an update makes its own, from the Python extension's interpreter; what nobody uses any more goes", async () => {
    const chosen = join(root, "extension-python");
    await symlink(theirs, chosen);
    await symlink(chosen, join(root, "nowhere"));
    await writeFile(join(editor.profile, "user/Machine/settings.json"), "{}");
    await stock(join(editor.profile, "extensions"), "second");
    await editor.reload(async () => {
      const long_ago = new Date(Date.now() - week_ms - 60_000);
      await utimes(join(environments, "first/complete"), long_ago, long_ago);
    });
    await editor.command(status);
    await starts(4);

    assert.deepEqual(await made(), ["second"]);
    assert.equal((await readFile(join(environments, "second/complete"), "utf8")).trim(), join(root, "nowhere"));
  });

  test("a second window has a server of its own, from the same environment, and the first goes on", async () => {
    const other = join(root, "other");
    await mkdir(join(other, "infra"), { recursive: true });
    await writeFile(join(other, "infra/inference.config.json"), "{}");
    const second = await editor.context.newPage();
    await second.goto(`${new URL(editor.page.url()).origin}/?${new URLSearchParams({ folder: other }).toString()}`);
    await starts(5);
    await second.close();
    await editor.page.bringToFront();
    await editor.command(status);

    await editor.notification("The folder infra is missing.").waitFor();
    assert.deepEqual(await made(), ["second"]);
  });
});

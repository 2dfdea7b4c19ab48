// Ready in the editor against ready alone: the same server from the same environment, started by the extension (which
// ends the one before it, too) and by hand. Prints both medians, their difference and their ratio.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeBrowser, Editor } from "./editor.ts";

const starts = 7;

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** Milliseconds from the start of the process to its answer to `initialize`. */
async function alone(interpreter: string): Promise<number> {
  const began = performance.now();
  const server = spawn(interpreter, ["-I", "-m", "ai_toolkit.cli.commands", "serve"], { stdio: ["pipe", "pipe", "ignore"] });
  const body = '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"rootUri":null,"capabilities":{}}}';
  server.stdin.write(`Content-Length: ${body.length}\r\n\r\n${body}`);
  await once(server.stdout, "data");
  const took_ms = performance.now() - began;
  server.stdin.end();
  await once(server, "exit");
  return took_ms;
}

const workspace = await mkdtemp(join(tmpdir(), "aitk-starts-"));
const editor = await Editor.open({
  workspace,
  environment: { PYTHONPATH: "" },
  account: true,
  tests: join(import.meta.dirname, "in_host/starts.cjs"),
});
try {
  const { log } = await editor.hostTests;
  const line = log.find((one) => one.startsWith("starts "));
  if (line === undefined) {
    throw new Error(log.join("\n"));
  }
  const inEditor = median(JSON.parse(line.slice("starts ".length)) as number[]);
  const environments = join(
    editor.profile,
    "user/User/globalStorage/ai-toolkit-remote-inference.ai-toolkit-remote-inference/environments",
  );
  const [key = ""] = (await readdir(environments)).filter((name) => !name.endsWith(".lock"));
  const took: number[] = [];
  for (let start = 0; start < starts; start += 1) {
    took.push(await alone(join(environments, key, "bin/python")));
  }
  const byHand = median(took);
  const shown = (value_ms: number): string => `${(value_ms / 1000).toFixed(2)} s`;
  console.log(`server alone, to its answer to initialize:      ${shown(byHand)} (median of ${starts})`);
  console.log(`in the editor, ended and ready again:           ${shown(inEditor)} (median of ${starts})`);
  console.log(`the editor adds ${shown(inEditor - byHand)} (promised: under 1 s); ratio ${(inEditor / byHand).toFixed(2)}`);
} finally {
  await editor[Symbol.asyncDispose]();
  await closeBrowser();
  await rm(workspace, { recursive: true, force: true });
}

// Child processes: started for certain, and asked for one answer.
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";

const answer_ms = 10_000;

/** The process once it runs: a missing program is an exception here, not a dead connection later. */
export async function spawned(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<ChildProcessWithoutNullStreams> {
  const child = spawn(command, args, { stdio: "pipe", windowsHide: true, env: { ...process.env, ...environment } });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  return child;
}

/** What the program says on standard output. Throws when it fails, or says nothing for long. */
export async function outputOf(command: string, args: readonly string[]): Promise<string> {
  const child = await spawned(command, args);
  const limit = setTimeout(() => child.kill(), answer_ms);
  let output = "";
  child.stdout.on("data", (text: Buffer) => {
    output += text.toString();
  });
  try {
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    if (code !== 0) {
      throw new Error(`${command} ended with ${String(code)}`);
    }
    return output;
  } finally {
    clearTimeout(limit);
  }
}

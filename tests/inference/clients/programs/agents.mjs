// Agents of the command line: each is asked in a folder of its own, with the endpoint in its settings.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const BIN = join(dirname(fileURLToPath(import.meta.url)), "node_modules", ".bin");
const HOME = process.env.JUDGED_WITH;

export function settings(file, text) {
  const path = join(HOME, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

export function asked(program, ...words) {
  const options = { cwd: HOME, encoding: "utf8", timeout: 100_000, stdio: ["ignore", "pipe", "inherit"] };
  return execFileSync(join(BIN, program), words, options);
}

// code-server as processes: started with a profile of its own, waited for, ended with all that it started.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const here = import.meta.dirname;
const entry = join(here, "node_modules/code-server/out/node/entry.js");
export const vsix = process.env["AITK_VSIX"] ?? resolve(here, "../../../extension/dist/ai-toolkit-remote-inference.vsix");
/** How long anything that must come may take: another scenario, or another program, may have the processor meanwhile. */
export const limit_ms = 60_000;

/** What a program of the tests may know of this computer, and nothing of the person's own editor. */
export function cleanEnvironment(profile: string): Record<string, string> {
  const kept = ["HOME", "LANG", "PATH", "TMPDIR", "AITK_LOCAL_CLOUD_HOME", "PYTHONPATH", "OMP_NUM_THREADS"];
  // How this computer reaches the package index.
  const network = /^(pip_.*|.*_proxy|ssl_cert_.*|requests_ca_bundle)$/i;
  const names = Object.keys(process.env).filter((name) => kept.includes(name) || network.test(name));
  const values = Object.fromEntries(names.map((name) => [name, process.env[name] ?? ""]));
  return {
    ...values,
    XDG_CONFIG_HOME: join(profile, "config"),
    // Or it asks the login shell for another environment.
    VSCODE_CLI: "1",
    // Or it asks a public gallery.
    EXTENSIONS_GALLERY: '{"serviceUrl":"http://127.0.0.1:9/none"}',
  };
}

/** A running code-server, which writes into the profile's log. */
export function start(args: readonly string[], environment: Record<string, string>, profile: string): ChildProcess {
  // An own process group, so that nothing outlives a test: the extension host is a grandchild.
  const child = spawn(process.execPath, [entry, ...args], { env: environment, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const log = createWriteStream(join(profile, "code-server.log"), { flags: "a" });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  return child;
}

/** Returns when it has ended by itself; throws when that was no success. */
export async function finished(child: ChildProcess): Promise<void> {
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) {
    throw new Error(`installing the extension ended with ${String(code)}: ${vsix}`);
  }
}

/** Returns when it and all that it started have been told to end, and it has. */
export async function stopped(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) {
    return;
  }
  const exit = once(child, "exit");
  process.kill(-child.pid, "SIGTERM");
  const limit = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await exit;
  clearTimeout(limit);
}

/** A port of this computer on which nothing listened a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") {
    throw new Error("no port");
  }
  return address.port;
}

/** Polls: code-server says nowhere else that it is ready. */
export async function answering(url: string, server: ChildProcess): Promise<void> {
  for (const deadline = Date.now() + limit_ms; server.exitCode === null && Date.now() < deadline; ) {
    try {
      if ((await fetch(url)).ok) {
        return;
      }
    } catch {
      // Not listening yet.
    }
    await new Promise((next) => setTimeout(next, 100));
  }
  throw new Error(`${url} did not answer`);
}

/** An option that leaves out the built-in provider of Microsoft accounts, so that `in_host` can be it. */
export async function withoutMicrosoftsAccounts(profile: string): Promise<string> {
  const all = join(here, "node_modules/code-server/lib/vscode/extensions");
  const kept = join(profile, "built-in");
  await mkdir(kept);
  for (const name of await readdir(all)) {
    if (name !== "microsoft-authentication") {
      await symlink(join(all, name), join(kept, name));
    }
  }
  return `builtin-extensions-dir=${kept}`;
}

/** The extension in that folder beside this file, packed. */
export async function packed(name: string, profile: string): Promise<string> {
  const packed = join(profile, `${name}.vsix`);
  const vsce = resolve(here, "../../../extension/node_modules/.bin/vsce");
  const flags = ["--no-dependencies", "--allow-missing-repository", "--skip-license", "--out", packed];
  await promisify(execFile)(vsce, ["package", ...flags], { cwd: join(here, name) });
  return packed;
}

// The server's own Python environment: an interpreter is found, the environment made once, and used from then on.
import { readFileSync } from "node:fs";
import { access, utimes } from "node:fs/promises";
import { createInterface } from "node:readline";
import * as vscode from "vscode";
import { outputOf, spawned } from "./processes";

/** What keeps the server from starting, in words for the person; `code` says which buttons help. */
export class ServerStartError extends Error {
  constructor(
    message: string,
    readonly code: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A person cancelled the making of the environment. */
export class SetupCancelled extends ServerStartError {}

type Said =
  | { readonly step: string; readonly percentage: number }
  | { readonly python: string }
  | { readonly failed: string; readonly message: string };

export class Environment {
  private readonly folder: vscode.Uri;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly output: vscode.LogOutputChannel,
  ) {
    const key = readFileSync(this.bundled("server", "key"), "utf8").trim();
    this.folder = vscode.Uri.joinPath(context.globalStorageUri, "environments", key);
  }

  /** The interpreter with the server; null while the environment is not made. */
  async ready(): Promise<string | null> {
    const python = process.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python"];
    const mark = vscode.Uri.joinPath(this.folder, "complete").fsPath;
    const interpreter = vscode.Uri.joinPath(this.folder, ...python).fsPath;
    try {
      await access(interpreter); // A link that leads nowhere, when the person's Python is gone, is no interpreter.
      await utimes(mark, new Date(), new Date()); // In use: not to be taken away by another version.
      return interpreter;
    } catch {
      return null;
    }
  }

  /** Makes the environment, with progress and Cancel; one that is half made or broken is made anew. */
  async make(): Promise<string> {
    await vscode.workspace.fs.delete(vscode.Uri.joinPath(this.folder, "complete")).then(undefined, () => undefined);
    const [command, ...args] = await findPython();
    const options = { location: vscode.ProgressLocation.Notification, cancellable: true };
    const title = vscode.l10n.t("Setting up AI Toolkit (once, about 110 MB)");
    return await vscode.window.withProgress({ ...options, title }, async (report, cancelled) => {
      this.output.info(`${title}: ${this.folder.fsPath}`);
      const wheel = readWheelName(this.bundled("server", "wheel"));
      const making = await spawned(
        command,
        [
          ...[...args, this.bundled("python", "make_environment.py")],
          ...["--folder", this.folder.fsPath],
          ...["--wheel", this.bundled("server", wheel)],
          ...["--requirements", this.bundled("server", "requirements.txt")],
        ],
        network(),
      );
      cancelled.onCancellationRequested(() => making.stdin.end());
      making.stderr.on("data", (text: Buffer) => {
        this.output.debug(text.toString().trimEnd());
      });
      let percentage = 0;
      let last: Said | undefined;
      for await (const line of createInterface(making.stdout)) {
        last = JSON.parse(line) as Said;
        if ("step" in last) {
          report.report({ message: last.step, increment: last.percentage - percentage });
          percentage = last.percentage;
        }
      }
      if (last !== undefined && "python" in last) {
        return last.python;
      }
      if (cancelled.isCancellationRequested) {
        throw new SetupCancelled(vscode.l10n.t("Cancelled: AI Toolkit is not set up yet. Any command begins anew."), "cancelled");
      }
      const failed = last !== undefined && "failed" in last ? last : undefined;
      const unknown = vscode.l10n.t("Setting up AI Toolkit ended unexpectedly.");
      throw new ServerStartError(failed?.message ?? unknown, failed?.failed ?? "unknown");
    });
  }

  private bundled(...path: readonly string[]): string {
    return vscode.Uri.joinPath(this.context.extensionUri, ...path).fsPath;
  }
}

function readWheelName(file: string): string {
  return readFileSync(file, "utf8").trim();
}

/** The editor's proxy and the person's certificate authority, for pip; what the environment says already, stays. */
function network(): Record<string, string> {
  const proxy = vscode.workspace.getConfiguration("http").get<string>("proxy", "");
  const certificates = vscode.workspace.getConfiguration("aiToolkit").get<string>("server.certificates", "");
  return {
    ...(proxy !== "" ? { HTTPS_PROXY: proxy, HTTP_PROXY: proxy } : {}),
    ...(certificates !== "" ? { PIP_CERT: certificates } : {}),
  };
}

/** A command line that starts Python 3.11 or newer: from the setting, the Python extension, or the PATH. */
async function findPython(): Promise<[string, ...string[]]> {
  const set = vscode.workspace.getConfiguration("aiToolkit").get<string>("server.interpreter", "").trim();
  if (set !== "") {
    const version = await versionOf([set]);
    if (version === undefined) {
      throw new ServerStartError(vscode.l10n.t('Python was not found ("{0}", from the setting aiToolkit.server.interpreter).', set), "python");
    }
    if (!version.fits) {
      throw new ServerStartError(vscode.l10n.t('"{0}" is Python {1}, and AI Toolkit needs Python 3.11 or newer.', set, version.text), "python");
    }
    return [set];
  }
  const onPath: [string, ...string[]][] =
    process.platform === "win32" ? [["py", "-3"], ["python"]] : [["python3"], ["python3.13"], ["python3.12"], ["python3.11"]];
  const chosen = await pythonExtensionInterpreter();
  const old: string[] = [];
  for (const candidate of [...(chosen === undefined ? [] : [[chosen] as [string]]), ...onPath]) {
    const version = await versionOf(candidate);
    if (version?.fits) {
      return candidate;
    }
    if (version !== undefined) {
      old.push(`${candidate.join(" ")} (${version.text})`);
    }
  }
  throw new ServerStartError(
    old.length > 0
      ? vscode.l10n.t("AI Toolkit needs Python 3.11 or newer. Found only: {0}.", old.join(", "))
      : vscode.l10n.t("Python was not found. AI Toolkit needs Python 3.11 or newer: install it, or choose an interpreter."),
    "python",
  );
}

async function versionOf([command, ...args]: readonly [string, ...string[]]): Promise<{ text: string; fits: boolean } | undefined> {
  try {
    const text = (await outputOf(command, [...args, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])).trim();
    const [major = 0, minor = 0] = text.split(".").map(Number);
    return { text, fits: major > 3 || (major === 3 && minor >= 11) };
  } catch {
    return undefined;
  }
}

interface PythonExtension {
  readonly environments: {
    getActiveEnvironmentPath(): { readonly path: string };
    resolveEnvironment(path: unknown): Promise<{ readonly executable: { readonly uri?: vscode.Uri } } | undefined>;
  };
}

/** Source: the Python extension's API, github.com/microsoft/vscode-python/tree/main/pythonExtensionApi */
async function pythonExtensionInterpreter(): Promise<string | undefined> {
  try {
    const api = await vscode.extensions.getExtension<PythonExtension>("ms-python.python")?.activate();
    const found = await api?.environments.resolveEnvironment(api.environments.getActiveEnvironmentPath());
    return found?.executable.uri?.fsPath;
  } catch {
    return undefined; // Another version of it, or none chosen: the PATH is asked next.
  }
}

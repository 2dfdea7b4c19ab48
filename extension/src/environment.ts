// The server's own Python environment: an interpreter is found, the environment made once, and used from then on.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { access, rm, utimes } from "node:fs/promises";
import { createInterface } from "node:readline";
import * as vscode from "vscode";
import { withNetwork } from "./network";

export const interpreterSetting = "aiToolkit.server.interpreter";

/** What keeps the server from starting, in words for the person, and the setting that may help. */
export class ServerStartError extends Error {
  constructor(
    message: string,
    readonly setting: string | null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A person cancelled the making of the environment. */
export class SetupCancelled extends Error {}

interface Step {
  readonly step: string;
  readonly percentage: number;
}

/** How make_environment.py ended. */
type Outcome = { readonly python: string } | { readonly failed: string; readonly message: string; readonly setting: string | null };

type Program = readonly [command: string, ...args: string[]];

export class Environment {
  private readonly folder: vscode.Uri;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly output: vscode.LogOutputChannel,
  ) {
    const key = readFileSync(vscode.Uri.joinPath(context.extensionUri, "server", "key").fsPath, "utf8").trim();
    this.folder = vscode.Uri.joinPath(context.globalStorageUri, "environments", key);
  }

  /** The interpreter with the server; null while the environment is not made. */
  async ready(): Promise<string | null> {
    const python = process.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python"];
    const interpreter = vscode.Uri.joinPath(this.folder, ...python).fsPath;
    try {
      await access(interpreter); // A link that leads nowhere, when the person's Python is gone, is no interpreter.
      await utimes(this.mark, new Date(), new Date()); // In use: not to be taken away by another version.
      return interpreter;
    } catch {
      return null;
    }
  }

  /** Makes the environment, with progress and Cancel; one that is half made or broken is made anew. */
  async make(): Promise<string> {
    await rm(this.mark, { force: true });
    const title = vscode.l10n.t("Setting up AI Toolkit (once, about 130 MB)");
    this.output.info(`${title}: ${this.folder.fsPath}`);
    const options = { location: vscode.ProgressLocation.Notification, cancellable: true, title };
    return await vscode.window.withProgress(options, async (progress, cancelled) => {
      const set = vscode.workspace.getConfiguration().get<string>(interpreterSetting, "").trim();
      let failure = set === ""
        ? vscode.l10n.t("Python was not found. AI Toolkit needs Python 3.11 or newer: install it, or choose an interpreter.")
        : vscode.l10n.t('Python was not found ("{0}", from the setting {1}).', set, interpreterSetting);
      let setting: string | null = interpreterSetting;
      for (const program of set === "" ? await programs() : [[set] as const]) {
        const outcome = await this.makeWith(program, progress, cancelled);
        if (outcome !== undefined && "python" in outcome) {
          return outcome.python;
        }
        if (cancelled.isCancellationRequested) {
          throw new SetupCancelled(vscode.l10n.t("Cancelled: AI Toolkit is not set up yet. Any command begins anew."));
        }
        if (outcome !== undefined) {
          ({ message: failure, setting } = outcome);
        }
        if (setting !== interpreterSetting) {
          break; // Another Python would fare no better.
        }
      }
      throw new ServerStartError(failure, setting);
    });
  }

  private get mark(): string {
    return vscode.Uri.joinPath(this.folder, "complete").fsPath;
  }

  /** How the making with that program ended; undefined when it is no Python. */
  private async makeWith(
    [command, ...args]: Program,
    progress: vscode.Progress<{ message: string; increment: number }>,
    cancelled: vscode.CancellationToken,
  ): Promise<Outcome | undefined> {
    const script = vscode.Uri.joinPath(this.context.extensionUri, "python", "make_environment.py").fsPath;
    const options = { windowsHide: true, env: variables() };
    const making = spawn(command, [...args, script, "--folder", this.folder.fsPath], options);
    making.stderr.on("data", (text: Buffer) => {
      this.output.debug(text.toString().trimEnd());
    });
    try {
      await once(making, "spawn");
    } catch {
      return undefined;
    }
    cancelled.onCancellationRequested(() => making.stdin.end());
    let outcome: Outcome | undefined;
    let percentage = 0;
    for await (const line of createInterface(making.stdout)) {
      const said = JSON.parse(line) as Step | Outcome;
      if ("step" in said) {
        progress.report({ message: said.step, increment: said.percentage - percentage });
        percentage = said.percentage;
      } else {
        outcome = said;
      }
    }
    return outcome;
  }
}

/** The environment's variables, with what the editor's settings say of the network. */
export function variables(): NodeJS.ProcessEnv {
  const settings = vscode.workspace.getConfiguration();
  return withNetwork(process.env, {
    proxy: settings.get<string>("http.proxy", ""),
    noProxy: settings.get<readonly string[]>("http.noProxy", []),
    certificates: settings.get<string>("aiToolkit.server.certificates", ""),
  });
}

/** What may start Python 3.11 or newer: the Python extension's interpreter, then what is on the PATH. */
async function programs(): Promise<readonly Program[]> {
  const chosen = await pythonExtensionInterpreter();
  return [
    ...(chosen === undefined ? [] : [[chosen] as const]),
    ...(process.platform === "win32" ? [["py", "-3"] as const, ["python"] as const] : []),
    ...["python3", "python3.13", "python3.12", "python3.11"].map((name) => [name] as const),
  ];
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

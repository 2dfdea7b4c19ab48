// The Python language server: found, started, watched, stopped.
import { spawn, type ChildProcess } from "node:child_process";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  WorkDoneProgressCancelNotification,
} from "vscode-languageclient/node";
import { mayOpen } from "./external";
import { ProgressNotifications } from "./progress";
import { editorRequests, type InputParams, type PickParams } from "./protocol";
import { input, pick } from "./questions";
import { RestartBudget } from "./restarts";

/** What keeps the server from starting, in words for the person. */
export class ServerStartError extends Error {}

/** Its last words are shown when a start fails. */
const lastWords_characters = 2_000;
const probe_ms = 10_000;

export class Server implements vscode.Disposable {
  private readonly restarts = new RestartBudget(3, 180_000);
  private readonly progress = new ProgressNotifications();
  private running: Promise<LanguageClient> | undefined;

  constructor(private readonly output: vscode.LogOutputChannel) {}

  /** The running client; starts the server when there is none. Throws `ServerStartError`. */
  async client(): Promise<LanguageClient> {
    if (!this.running) {
      const starting = this.start();
      this.running = starting;
      starting.catch(() => {
        if (this.running === starting) {
          this.running = undefined;
        }
      });
    }
    return await this.running;
  }

  async stop(): Promise<void> {
    const running = this.running;
    this.running = undefined;
    this.progress.endAll();
    const client = await running?.catch(() => undefined);
    await client?.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    this.restarts.reset();
    await this.client();
  }

  dispose(): void {
    void this.stop();
  }

  private async start(): Promise<LanguageClient> {
    const interpreter = configuredInterpreter();
    let lastWords = "";
    let starting = true;
    const spawnServer = async (): Promise<ChildProcess> => {
      const process = await spawned(interpreter, ["-m", "ai_toolkit.command_line", "serve"]);
      process.stderr?.on("data", (text: Buffer) => {
        lastWords = (lastWords + text.toString()).slice(-lastWords_characters);
      });
      return process;
    };
    const client: LanguageClient = new LanguageClient("aiToolkit", "AI Toolkit", spawnServer, {
      documentSelector: [],
      outputChannel: this.output,
      traceOutputChannel: this.output,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          if (!starting) {
            this.onDeath();
          }
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
      middleware: {
        handleWorkDoneProgress: (token, value) => {
          this.progress.handle(token, value, () => {
            void client.sendNotification(WorkDoneProgressCancelNotification.type, { token });
          });
        },
        window: {
          showDocument: async (params, cancelled, next) => {
            if (params.external !== true) {
              return await next(params, cancelled);
            }
            return { success: await openExternal(params.uri) };
          },
        },
      },
    });
    client.onRequest(editorRequests.pick, async (params: PickParams, cancelled: vscode.CancellationToken) =>
      pick(params, cancelled),
    );
    client.onRequest(editorRequests.input, async (params: InputParams, cancelled: vscode.CancellationToken) =>
      input(params, cancelled),
    );
    try {
      await client.start();
    } catch (error) {
      throw new ServerStartError(await diagnosis(interpreter, lastWords), { cause: error });
    }
    starting = false;
    this.output.info(vscode.l10n.t("Server started with {0}", interpreter));
    return client;
  }

  /** Says what became of the work, and starts again while that makes sense. */
  private onDeath(): void {
    const worked = this.progress.endAll();
    this.running = undefined;
    const again = this.restarts.mayRestart(Date.now());
    const state = worked
      ? vscode.l10n.t("The AI Toolkit server ended while it was working. What it had finished stays; run the command again to go on.")
      : vscode.l10n.t("The AI Toolkit server ended unexpectedly.");
    if (again) {
      if (worked) {
        void this.offerOutput(state);
      }
      this.output.error(state);
      this.client().catch((error: unknown) => {
        void this.explain(error);
      });
    } else {
      void this.offerOutput(`${state} ${vscode.l10n.t("It ended three times in a row, so it was not started again.")}`, true);
    }
  }

  private async offerOutput(message: string, restart = false): Promise<void> {
    const show = vscode.l10n.t("Show output");
    const again = vscode.l10n.t("Restart server");
    const chosen = await vscode.window.showErrorMessage(message, ...(restart ? [again, show] : [show]));
    if (chosen === show) {
      this.output.show();
    } else if (chosen === again) {
      await this.restart().catch((error: unknown) => this.explain(error));
    }
  }

  /** A failed start, with the buttons that help. */
  async explain(error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    this.output.error(message);
    const settings = vscode.l10n.t("Open settings");
    const show = vscode.l10n.t("Show output");
    const retry = vscode.l10n.t("Retry");
    const chosen = await vscode.window.showErrorMessage(message, settings, retry, show);
    if (chosen === settings) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "aiToolkit.server.interpreter");
    } else if (chosen === show) {
      this.output.show();
    } else if (chosen === retry) {
      await this.restart().catch((again: unknown) => this.explain(again));
    }
  }
}

function configuredInterpreter(): string {
  const set = vscode.workspace.getConfiguration("aiToolkit").get<string>("server.interpreter", "").trim();
  return set !== "" ? set : process.platform === "win32" ? "python" : "python3";
}

/** The process once it runs: a missing program is an exception here, not a dead connection later. */
async function spawned(command: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(command, args, { stdio: "pipe", windowsHide: true });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  return child;
}

/** Why a server that was started with `interpreter` does not run. */
async function diagnosis(interpreter: string, lastWords: string): Promise<string> {
  const program =
    "import sys, importlib.util as u; print(*sys.version_info[:2], u.find_spec('ai_toolkit') is not None)";
  let answer: string;
  try {
    answer = await outputOf(interpreter, ["-c", program]);
  } catch {
    return vscode.l10n.t(
      'Python was not found ("{0}"). AI Toolkit needs Python 3.11 or newer: name one in the setting aiToolkit.server.interpreter.',
      interpreter,
    );
  }
  const [major = "0", minor = "0", installed] = answer.trim().split(" ");
  if (Number(major) < 3 || (Number(major) === 3 && Number(minor) < 11)) {
    return vscode.l10n.t(
      '"{0}" is Python {1}. AI Toolkit needs Python 3.11 or newer: name one in the setting aiToolkit.server.interpreter.',
      interpreter,
      `${major}.${minor}`,
    );
  }
  if (installed !== "True") {
    return vscode.l10n.t(
      'The Python "{0}" does not have ai-toolkit-server. Install it there, or name another one in the setting aiToolkit.server.interpreter.',
      interpreter,
    );
  }
  const last = lastWords.trim().split("\n").at(-1) ?? "";
  return vscode.l10n.t("The AI Toolkit server did not start. {0}", last).trim();
}

async function outputOf(command: string, args: readonly string[]): Promise<string> {
  const child = await spawned(command, args);
  const limit = setTimeout(() => child.kill(), probe_ms);
  let output = "";
  child.stdout?.on("data", (text: Buffer) => {
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

/** Opens a page in the person's browser, wherever that is; false when the address is not one that we open. */
async function openExternal(address: string): Promise<boolean> {
  if (!mayOpen(address)) {
    return false;
  }
  return await vscode.env.openExternal(vscode.Uri.parse(address, true));
}

// The Python language server's life: started, watched, started again, stopped.
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { connect, ReplicaLog, type Shown } from "./connection";
import { type Environment, ServerStartError, SetupCancelled } from "./environment";
import { ProgressNotifications } from "./progress";
import { RestartBudget } from "./restarts";
import type { StatusItem } from "./status";

export class Server implements vscode.Disposable {
  private readonly restarts = new RestartBudget(3, 180_000);
  private readonly progress = new ProgressNotifications();
  private running: Promise<LanguageClient> | undefined;
  private readonly shown: Shown;

  constructor(
    private readonly output: vscode.LogOutputChannel,
    private readonly environment: Environment,
    private readonly status: StatusItem,
  ) {
    this.shown = { output, status, progress: this.progress, replicaLog: new ReplicaLog() };
  }

  /** Starts the server without being asked, where nothing has to be installed for it. */
  async startIfReady(): Promise<void> {
    const folders = vscode.workspace.workspaceFolders ?? [];
    if (folders.length > 0 && (givenInterpreter() !== "" || (await this.environment.ready()) !== null)) {
      await this.client().catch((error: unknown) => {
        this.output.error(String(error)); // Said aloud when a command needs it.
      });
    }
  }

  async restartIfRunning(): Promise<void> {
    if (this.running) {
      await this.restart().catch((error: unknown) => this.explain(error));
    }
  }

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
    this.status.clear();
    const client = await running?.catch(() => undefined);
    await client?.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    this.restarts.reset();
    await this.client();
  }

  dispose(): void {
    this.shown.replicaLog.dispose();
    void this.stop();
  }

  private async start(): Promise<LanguageClient> {
    const given = givenInterpreter();
    const ready = given !== "" ? given : await this.environment.ready();
    if (ready === null) {
      return await this.startWith(await this.environment.make());
    }
    try {
      return await this.startWith(ready);
    } catch (error) {
      if (given !== "") {
        throw error;
      }
      this.output.warn(vscode.l10n.t("The server's environment does not work, so it is made anew. {0}", String(error)));
      return await this.startWith(await this.environment.make());
    }
  }

  private startWith(interpreter: string): Promise<LanguageClient> {
    return connect(interpreter, { isolated: givenInterpreter() === "", ...this.shown, onDeath: () => { this.onDeath(); } });
  }

  /** Says what became of the work, and starts again while that makes sense. */
  private onDeath(): void {
    const worked = this.progress.endAll();
    this.running = undefined;
    this.status.clear();
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
    if (error instanceof SetupCancelled) {
      void vscode.window.showInformationMessage(message);
      return;
    }
    this.output.error(message);
    const choose = vscode.l10n.t("Choose interpreter");
    const settings = vscode.l10n.t("Open settings");
    const show = vscode.l10n.t("Show output");
    const retry = vscode.l10n.t("Retry");
    const code = error instanceof ServerStartError ? error.code : "unknown";
    const helping = setting[code] === undefined ? [] : setting[code] === interpreterSetting ? [choose, settings] : [settings];
    const chosen = await vscode.window.showErrorMessage(message, ...helping, retry, show);
    if (chosen === choose && !(await chooseInterpreter())) {
      return;
    }
    if (chosen === settings) {
      await vscode.commands.executeCommand("workbench.action.openSettings", setting[code]);
    } else if (chosen === show) {
      this.output.show();
    } else if (chosen !== undefined) {
      await this.restart().catch((again: unknown) => this.explain(again));
    }
  }
}

const interpreterSetting = "aiToolkit.server.interpreter";

/** The setting that helps after a failure, by the failure's code. */
const setting: Readonly<Record<string, string>> = {
  python: interpreterSetting,
  venv: interpreterSetting,
  start: interpreterSetting,
  certificate: "aiToolkit.server.certificates",
  proxy: "http.proxy",
  network: "http.proxy",
};

async function chooseInterpreter(): Promise<boolean> {
  const [chosen] = (await vscode.window.showOpenDialog({ title: vscode.l10n.t("Python 3.11 or newer") })) ?? [];
  if (chosen) {
    const target = vscode.ConfigurationTarget.Global;
    await vscode.workspace.getConfiguration().update(interpreterSetting, chosen.fsPath, target);
  }
  return chosen !== undefined;
}

/** For development: a Python that has the server already. */
function givenInterpreter(): string {
  return vscode.workspace.getConfiguration("aiToolkit").get<string>("server.environment", "").trim();
}

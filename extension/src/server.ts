// The Python language server: started, connected to the window, started again when it dies, stopped.
import * as vscode from "vscode";
import { CloseAction, ErrorAction, LanguageClient, RevealOutputChannelOn } from "vscode-languageclient/node";
import { act } from "./actions";
import type { Button, Display } from "./display";
import { type Environment, interpreterSetting, variables, ServerStartError, SetupCancelled } from "./environment";
import { hasChat, openChat } from "./language_models";
import { type Action, type CaseResult, type ChatPart, type CopyParams, editorNotifications, editorRequests, type PageParams, type ReplicaLogParams, type SecretParams, serverNotifications, type StatusParams } from "./protocol";
import { accessToken, input, pick, secret } from "./questions";
import { mayOpen, RestartBudget, withoutPayload } from "./safeguards";

/** The files that the server reads while they are edited. */
const editedFiles = [
  "**/infra/*.config.json",
  "**/infra/*.parameters.json",
  "**/infra/provision/*.parameters.json",
  "**/inference/settings.toml",
  "**/evaluation/*.jsonl",
];

/** For Python: no module is taken from the folder that is open. */
const isolatedFromFolder = "-P";
/** Nor from anywhere else: a person may have set PYTHONPATH. */
const isolated = "-I";

/** The client's own notifications lack the buttons that help: what it says goes to the output alone. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

/** In a setting's place: it is trust that is missing. */
const trust = "workspace trust";

export class Server {
  /** What comes of a question to a model. */
  readonly chatPart = new vscode.EventEmitter<ChatPart>();
  /** The list of models, or how far one is from answering, is another now. */
  readonly chatModelsChanged = new vscode.EventEmitter<void>();
  /** The files of cases are others now. */
  readonly casesChanged = new vscode.EventEmitter<void>();
  /** What became of a case. */
  readonly caseResult = new vscode.EventEmitter<CaseResult>();
  private readonly restarts = new RestartBudget(3, 180_000);
  private running: Promise<LanguageClient> | undefined;

  constructor(
    private readonly environment: Environment,
    private readonly display: Display,
    private readonly secrets: vscode.SecretStorage,
  ) {
    // A server that does not run yet looks when it starts.
    display.looked.event(async () => {
      const client = await this.running?.catch(() => undefined);
      await client?.sendNotification(serverNotifications.look, {});
    });
  }

  /** The running client; starts the server where it is installed and a folder is open. Undefined where it does not start. */
  async clientIfReady(): Promise<LanguageClient | undefined> {
    await this.startIfReady();
    return await this.running?.catch(() => undefined);
  }

  /** The Python that has the server, with the options that keep it apart; undefined where none is installed yet. */
  async interpreterIfReady(): Promise<readonly [string, string] | undefined> {
    const given = givenInterpreter();
    const ready = given === "" ? await this.environment.ready() : given;
    return ready === null ? undefined : [ready, given === "" ? isolated : isolatedFromFolder];
  }

  /** Starts the server without being asked, where nothing has to be installed for it. */
  async startIfReady(): Promise<void> {
    const folders = vscode.workspace.workspaceFolders ?? [];
    if (folders.length > 0 && (givenInterpreter() !== "" || (await this.environment.ready()) !== null)) {
      await this.client().catch((error: unknown) => {
        this.display.output.error(String(error)); // Said aloud when a command needs it.
      });
    }
  }

  /** The running client; starts the server when there is none. Throws `ServerStartError` and `SetupCancelled`. */
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
    this.display.clearStatus();
    this.chatModelsChanged.fire();
    const client = await running?.catch(() => undefined);
    await client?.stop().catch(() => undefined); // It said why in the output; its process is ended all the same.
  }

  /** Starts anew; a failure is explained. */
  async restart(): Promise<void> {
    await this.stop();
    this.restarts.reset();
    await this.client().catch((error: unknown) => this.explain(error, () => this.restart()));
  }

  async restartIfRunning(): Promise<void> {
    if (this.running) {
      await this.restart();
    }
  }

  /** A failed start, with the buttons that help; `again` is what the person wanted. */
  async explain(error: unknown, again: () => Promise<void>): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof SetupCancelled) {
      void vscode.window.showInformationMessage(message);
      return;
    }
    this.display.output.error(message);
    const setting = error instanceof ServerStartError ? error.setting : null;
    const choose: Button = [vscode.l10n.t("Choose interpreter"), async () => { await ((await choseInterpreter()) && again()); }];
    const manage: Button = [vscode.l10n.t("Manage workspace trust"), () => vscode.commands.executeCommand("workbench.trust.manage")];
    const open: Button = [vscode.l10n.t("Open settings"), () => openSettings(setting ?? "")];
    await this.display.showError(message, [
      ...(setting === interpreterSetting ? [choose] : []),
      ...(setting === trust ? [manage] : setting === null ? [] : [open]),
      [vscode.l10n.t("Retry"), again],
    ]);
  }

  private async start(): Promise<LanguageClient> {
    const given = givenInterpreter();
    if (given !== "") {
      return await this.connect(given, isolatedFromFolder);
    }
    const ready = await this.environment.ready();
    if (ready !== null) {
      try {
        return await this.connect(ready, isolated);
      } catch (error) {
        this.display.output.warn(vscode.l10n.t("The server's environment does not work, so it is made anew. {0}", String(error)));
      }
    }
    if (!vscode.workspace.isTrusted) {
      throw new ServerStartError(vscode.l10n.t("AI Toolkit is not set up yet, and installs nothing for a folder that is not trusted."), trust);
    }
    return await this.connect(await this.environment.make(), isolated);
  }

  /** A server that was started with `interpreter` and answers. Throws `ServerStartError`. */
  private async connect(interpreter: string, isolation: typeof isolated | typeof isolatedFromFolder): Promise<LanguageClient> {
    let started = false;
    const { output } = this.display;
    const args = [isolation, "-m", "ai_toolkit.cli.commands", "serve"];
    const program = { command: interpreter, args, options: { env: variables() } };
    const client = new QuietClient("aiToolkit", "AI Toolkit", program, {
      documentSelector: editedFiles.map((pattern) => ({ scheme: "file", pattern })),
      initializationOptions: {
        trusted: vscode.workspace.isTrusted,
        chat: hasChat(),
        settings: vscode.workspace.getConfiguration("aiToolkit"),
      },
      outputChannel: output,
      traceOutputChannel: withoutPayload(output),
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          if (started) {
            this.onDeath();
          }
          const message = vscode.l10n.t("The AI Toolkit server ended unexpectedly.");
          return { action: CloseAction.DoNotRestart, handled: true, message };
        },
      },
      middleware: {
        window: {
          // The client's own way, `openExternal`, resolves the address as `asExternalUri` does, so a remote window's browser reaches it.
          showDocument: async (params, cancelled, next) =>
            params.external !== true || mayOpen(params.uri) ? await next(params, cancelled) : { success: false },
        },
      },
    });
    client.onRequest(editorRequests.pick, pick);
    client.onRequest(editorRequests.input, input);
    client.onRequest(editorRequests.accessToken, accessToken);
    client.onRequest(editorRequests.copy, async ({ text }: CopyParams) => {
      await vscode.env.clipboard.writeText(text);
      return null;
    });
    client.onRequest(editorRequests.secret, (params: SecretParams) => secret(params, this.secrets));
    client.onRequest(editorRequests.openChat, openChat);
    client.onNotification(editorNotifications.chatPart, (part: ChatPart) => { this.chatPart.fire(part); });
    client.onNotification(editorNotifications.chatModelsChanged, () => { this.chatModelsChanged.fire(); });
    client.onNotification(editorNotifications.status, (params: StatusParams) => { this.display.showStatus(params); });
    client.onNotification(editorNotifications.replicaLog, (params: ReplicaLogParams) => { this.display.showReplicaLog(params); });
    client.onNotification(editorNotifications.casesChanged, () => { this.casesChanged.fire(); });
    client.onNotification(editorNotifications.caseResult, (result: CaseResult) => { this.caseResult.fire(result); });
    client.onNotification(editorNotifications.showPage, (params: PageParams) => this.display.showPage(params));
    client.onNotification(editorNotifications.run, (action: Action) => act(action));
    try {
      await client.start();
    } catch (error) {
      const message = vscode.l10n.t("The AI Toolkit server did not start with {0}; the output tells why.", interpreter);
      throw new ServerStartError(message, interpreterSetting, { cause: error });
    }
    started = true;
    output.info(vscode.l10n.t("Server started with {0}", interpreter));
    this.casesChanged.fire();
    return client;
  }

  /** Starts again while that makes sense; what became of a command is said by the command. */
  private onDeath(): void {
    this.running = undefined;
    this.display.clearStatus();
    if (this.restarts.mayRestart(Date.now())) {
      this.client().catch((error: unknown) => this.explain(error, () => this.restart()));
    } else {
      const message = vscode.l10n.t("The AI Toolkit server ended three times in a row, so it was not started again.");
      this.display.output.error(message);
      void this.display.showError(message, [[vscode.l10n.t("Restart server"), () => this.restart()]]);
    }
  }
}

/** Whether the person chose one. */
async function choseInterpreter(): Promise<boolean> {
  const [chosen] = (await vscode.window.showOpenDialog({ title: vscode.l10n.t("Python 3.11 or newer") })) ?? [];
  if (chosen) {
    await vscode.workspace.getConfiguration().update(interpreterSetting, chosen.fsPath, vscode.ConfigurationTarget.Global);
  }
  return chosen !== undefined;
}

/** Settings of a machine stand apart from the person's own in a remote window. */
async function openSettings(query: string): Promise<void> {
  const kind = vscode.env.remoteName === undefined ? "Settings" : "RemoteSettings";
  await vscode.commands.executeCommand(`workbench.action.open${kind}`, { query });
}

/** For development: a Python that has the server already. */
function givenInterpreter(): string {
  return vscode.workspace.getConfiguration("aiToolkit").get<string>("server.environment", "").trim();
}

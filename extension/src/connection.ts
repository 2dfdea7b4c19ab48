// One connection to a Python language server: how it is started, and what its messages do in the editor.
import type { ChildProcess } from "node:child_process";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  WorkDoneProgressCancelNotification,
} from "vscode-languageclient/node";
import { accessToken } from "./accounts";
import { ServerStartError } from "./environment";
import { mayOpen } from "./external";
import { spawned } from "./processes";
import type { ProgressNotifications } from "./progress";
import {
  type CopyParams,
  editorNotifications,
  editorRequests,
  type InputParams,
  type PickParams,
  type ReplicaLogParams,
  type StatusParams,
} from "./protocol";
import { input, pick } from "./questions";
import type { StatusItem } from "./status";
import { withoutPayload } from "./trace";

/** Where a server's messages are shown. */
export interface Shown {
  readonly output: vscode.LogOutputChannel;
  readonly status: StatusItem;
  readonly progress: ProgressNotifications;
  readonly replicaLog: ReplicaLog;
}

interface Life {
  readonly isolated: boolean;
  readonly onDeath: () => void;
}

/** Its last words are shown when a start fails. */
const lastWords_characters = 2_000;

/** The files that the server reads while they are edited. */
const watchedFiles = [
  "**/infra/*.config.json",
  "**/infra/*.parameters.json",
  "**/infra/provision/*.parameters.json",
  "**/inference/settings.toml",
];

/** A server that was started with `interpreter` and answers. Throws `ServerStartError`. */
export async function connect(interpreter: string, given: Shown & Life): Promise<LanguageClient> {
  let lastWords = "";
  let starting = true;
  const { output, status, progress, replicaLog } = given;
  // Its own environment sees no modules of the person's (-I), who may have set PYTHONPATH.
  const isolated = given.isolated ? ["-I"] : [];
  const spawnServer = async (): Promise<ChildProcess> => {
    const process = await spawned(interpreter, [...isolated, "-m", "ai_toolkit.command_line", "serve"], serverEnvironment());
    process.stderr.on("data", (text: Buffer) => {
      lastWords = (lastWords + text.toString()).slice(-lastWords_characters);
    });
    return process;
  };
  const watcher = vscode.workspace.createFileSystemWatcher("**/{infra,inference,models}/**");
  const client: LanguageClient = new LanguageClient("aiToolkit", "AI Toolkit", spawnServer, {
    documentSelector: watchedFiles.map((pattern) => ({ scheme: "file", pattern })),
    synchronize: { fileEvents: watcher },
    initializationOptions: { trusted: vscode.workspace.isTrusted },
    outputChannel: output,
    traceOutputChannel: withoutPayload(output),
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationFailedHandler: () => false,
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => {
        watcher.dispose();
        if (!starting) {
          given.onDeath();
        }
        return { action: CloseAction.DoNotRestart, handled: true };
      },
    },
    middleware: {
      handleWorkDoneProgress: (token, value) => {
        progress.handle(token, value, () => {
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
  type Cancelled = vscode.CancellationToken;
  client.onRequest(editorRequests.pick, (params: PickParams, cancelled: Cancelled) => pick(params, cancelled));
  client.onRequest(editorRequests.input, (params: InputParams, cancelled: Cancelled) => input(params, cancelled));
  client.onRequest(editorRequests.accessToken, accessToken);
  client.onRequest(editorRequests.copy, async ({ text, said }: CopyParams) => {
    await vscode.env.clipboard.writeText(text);
    void vscode.window.showInformationMessage(said);
    return null;
  });
  client.onNotification(editorNotifications.status, (params: StatusParams) => {
    status.show(params);
  });
  client.onNotification(editorNotifications.replicaLog, (log: ReplicaLogParams) => {
    replicaLog.show(log);
  });
  try {
    await client.start();
  } catch (error) {
    const last = lastWords.trim().split("\n").at(-1) ?? "";
    const message = vscode.l10n.t("The AI Toolkit server did not start with {0}. {1}", interpreter, last).trim();
    throw new ServerStartError(message, "start", { cause: error });
  }
  starting = false;
  output.info(vscode.l10n.t("Server started with {0}", interpreter));
  return client;
}

/** The channel of the replica's own log, made when it is first asked for. */
export class ReplicaLog implements vscode.Disposable {
  private channel: vscode.OutputChannel | undefined;

  show({ lines, show }: ReplicaLogParams): void {
    this.channel ??= vscode.window.createOutputChannel("AI Toolkit: inference logs", "log");
    for (const line of lines) {
      this.channel.appendLine(line);
    }
    if (show) {
      this.channel.show(true);
    }
  }

  dispose(): void {
    this.channel?.dispose();
  }
}

/** The settings that the server reads from its environment. */
function serverEnvironment(): Record<string, string> {
  const settings = vscode.workspace.getConfiguration("aiToolkit");
  const variables = {
    "bicepCli": "AITK_BICEP",
    "localCloud.folder": "AITK_LOCAL_CLOUD_HOME",
    "localCloud.replicaInterpreter": "AITK_REPLICA_PYTHON",
  };
  const given = Object.entries(variables).map(([key, name]) => [name, settings.get<string>(key, "").trim()] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== ""));
}

/** Opens a page in the person's browser, wherever that is; false when the address is not one that we open. */
async function openExternal(address: string): Promise<boolean> {
  if (!mayOpen(address)) {
    return false;
  }
  // `openExternal` resolves the address as `asExternalUri` does, so a remote window's browser reaches it.
  return await vscode.env.openExternal(vscode.Uri.parse(address, true));
}

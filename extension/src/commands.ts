// The palette's commands: each is the server's work, with its progress and its failure in the window.
import * as vscode from "vscode";
import {
  ErrorCodes,
  ExecuteCommandRequest,
  type LanguageClient,
  LSPErrorCodes,
  ResponseError,
  WorkDoneProgress,
  type WorkDoneProgressBegin,
  WorkDoneProgressCancelNotification,
  type WorkDoneProgressReport,
} from "vscode-languageclient/node";
import { act } from "./actions";
import type { Button, Display } from "./display";
import { type CommandArgument, type ErrorData, serverCommands } from "./protocol";
import type { Server } from "./server";

type Name = keyof typeof serverCommands;

/** Commands that send the folder's files as they are on disk. */
const sending: ReadonlySet<Name> = new Set<Name>(["provisionInference", "deployInference", "deployAllTheSame"]);

let lastToken = 0;

/** Each command takes the folder that it is for; without one the server asks. */
export function registerCommands(server: Server, display: Display): vscode.Disposable {
  const commands = (Object.keys(serverCommands) as Name[]).map((name) =>
    vscode.commands.registerCommand(`aiToolkit.${name}`, (given?: CommandArgument) => run(name, argument(given), server, display)),
  );
  return vscode.Disposable.from(vscode.commands.registerCommand("aiToolkit.restartServer", () => server.restart()), ...commands);
}

/** What the server is told: of a row of the view "Endpoint", which the editor hands over whole, the folder alone. */
function argument(given: CommandArgument | undefined): readonly CommandArgument[] {
  if (typeof given?.workspaceFolder !== "string") {
    return [];
  }
  const { workspaceFolder, answers } = given;
  return [{ workspaceFolder, ...(answers === undefined ? {} : { answers }) }];
}

async function run(name: Name, given: readonly CommandArgument[], server: Server, display: Display): Promise<void> {
  try {
    const client = await server.client();
    if (sending.has(name)) {
      await saveEdits(given[0]?.workspaceFolder);
    }
    await execute(name, given, client);
  } catch (error) {
    if (error instanceof ResponseError) {
      await showFailure(error as ResponseError<ErrorData | undefined>, display);
    } else {
      await server.explain(error, () => run(name, given, server, display));
    }
  }
}

/** Saves what is being edited in the folder, as the editor does before it runs a task, and as its setting for that says. */
async function saveEdits(folder: string | undefined): Promise<void> {
  const edited = vscode.workspace.textDocuments.filter(({ isDirty, isUntitled, uri }) => {
    const of = vscode.workspace.getWorkspaceFolder(uri)?.uri;
    return isDirty && !isUntitled && of?.scheme === "file" && (folder === undefined || samePlace(of, folder));
  });
  const setting = vscode.workspace.getConfiguration("task").get<string>("saveBeforeRun", "always");
  if (edited.length === 0 || setting === "never") {
    return;
  }
  if (setting === "prompt") {
    const save = vscode.l10n.t("Save");
    const question = vscode.l10n.t("Save the edited files first? What is sent is what is on disk.");
    if ((await vscode.window.showInformationMessage(question, { modal: true }, save, vscode.l10n.t("Don't save"))) !== save) {
      return;
    }
  }
  for (const document of edited) {
    if (!(await document.save())) {
      throw new Error(vscode.l10n.t("{0} could not be saved, so nothing was sent.", document.fileName));
    }
  }
}

/** Whether an address of the server's, which may spell a drive or a letter otherwise, is that folder. */
function samePlace(folder: vscode.Uri, address: string): boolean {
  return vscode.Uri.parse(address).fsPath === folder.fsPath;
}

async function execute(name: Name, given: readonly CommandArgument[], client: LanguageClient): Promise<void> {
  lastToken += 1;
  const token = `aiToolkit-${lastToken}`;
  const params = { command: serverCommands[name], arguments: [...given], workDoneToken: token };
  const work = client.sendRequest(ExecuteCommandRequest.type, params);
  const cancel = (): void => {
    void client.sendNotification(WorkDoneProgressCancelNotification.type, { token });
  };
  let shown: Notification | undefined;
  const progress = client.onProgress(WorkDoneProgress.type, token, (value) => {
    if (value.kind === "begin") {
      shown = new Notification(value, work, cancel);
    } else if (value.kind === "report") {
      shown?.show(value);
    }
  });
  await work.finally(() => {
    progress.dispose();
  });
}

/**
 * Work that ends sooner gets no progress notification: it would only flash. It would also take a place: of notifications
 * that come within 800 ms VS Code shows three, and what a quick command has to say after the next one's would be the fourth.
 * Source: SPAM_PROTECTION in github.com/microsoft/vscode/blob/main/src/vs/workbench/browser/parts/notifications/notificationsToasts.ts
 */
const quick_ms = 500;

/** Progress with Cancel until `work` ends: the client itself would put it, silently, into the status bar. */
class Notification {
  private message: string | undefined;
  private percentage = 0;
  private shown = 0;
  private progress: vscode.Progress<{ message?: string; increment: number }> | undefined;

  constructor(begin: WorkDoneProgressBegin, work: Promise<unknown>, cancel: () => void) {
    this.show(begin);
    const ended = work.catch(() => undefined);
    const options = { location: vscode.ProgressLocation.Notification, cancellable: begin.cancellable === true };
    const waiting = setTimeout(() => {
      void vscode.window.withProgress({ ...options, title: begin.title }, async (progress, cancelled) => {
        this.progress = progress;
        cancelled.onCancellationRequested(cancel);
        this.report();
        await ended;
      });
    }, quick_ms);
    void ended.finally(() => { clearTimeout(waiting); });
  }

  show({ message = this.message, percentage = this.percentage }: WorkDoneProgressBegin | WorkDoneProgressReport): void {
    this.message = message;
    this.percentage = percentage;
    this.report();
  }

  private report(): void {
    if (this.progress) {
      const increment = this.percentage - this.shown;
      this.shown = this.percentage;
      this.progress.report({ ...(this.message === undefined ? {} : { message: this.message }), increment });
    }
  }
}

/** What the server says of a command that did not end well stands in the output already. */
async function showFailure(error: ResponseError<ErrorData | undefined>, display: Display): Promise<void> {
  switch (error.code) {
    case ErrorCodes.PendingResponseRejected:
    case ErrorCodes.ConnectionInactive:
      await display.showError(
        vscode.l10n.t("The AI Toolkit server ended while it was working. What it had finished stays; run the command again to go on."),
      );
      return;
    case LSPErrorCodes.RequestCancelled:
      void vscode.window.showInformationMessage(error.message);
      return;
    default: {
      const buttons = (error.data?.actions ?? []).map((action): Button => [action.title, () => act(action)]);
      await display.showError(error.message, buttons);
    }
  }
}

// The palette's commands: each asks for the folder, then hands over to the server.
import * as vscode from "vscode";
import { ErrorCodes, ExecuteCommandRequest, LSPErrorCodes, ResponseError, WorkDoneProgress } from "vscode-languageclient/node";
import { ServerStartError } from "./environment";
import { type CommandArgument, type ErrorData, serverCommands } from "./protocol";
import type { Server } from "./server";

type Name = keyof typeof serverCommands;

/** Commands that run nothing from the folder, and so work in one that is not trusted. */
const harmless: ReadonlySet<Name> = new Set<Name>(["showStatus", "createProject", "startLocalCloud", "stopLocalCloud"]);

let lastToken = 0;

export function registerCommands(server: Server, output: vscode.LogOutputChannel): vscode.Disposable {
  const commands = (Object.keys(serverCommands) as Name[]).map((name) =>
    vscode.commands.registerCommand(`aiToolkit.${name}`, () => runInFolder(name, server, output)),
  );
  const restart = vscode.commands.registerCommand("aiToolkit.restartServer", async () => {
    await server.restart().catch((error: unknown) => server.explain(error));
  });
  return vscode.Disposable.from(restart, ...commands);
}

async function runInFolder(name: Name, server: Server, output: vscode.LogOutputChannel): Promise<void> {
  if (!harmless.has(name) && !(await trusted())) {
    return;
  }
  const folder = await chosenFolder();
  if (!folder) {
    return;
  }
  try {
    await execute(name, { workspaceFolder: folder.uri.toString() }, server);
  } catch (error) {
    if (error instanceof ServerStartError) {
      await server.explain(error);
    } else if (error instanceof ResponseError) {
      await showFailure(error as ResponseError<ErrorData | undefined>, output);
    } else {
      throw error;
    }
  }
}

/** Runs a server command; its progress is a notification whose Cancel stops it. */
async function execute(name: Name, argument: CommandArgument, server: Server): Promise<unknown> {
  const client = await server.client();
  lastToken += 1;
  const workDoneToken = `aiToolkit-${lastToken}`;
  // Shown by the client's middleware; registered here because the server did not create this token.
  const progress = client.onProgress(WorkDoneProgress.type, workDoneToken, () => undefined);
  try {
    const params = { command: serverCommands[name], arguments: [argument], workDoneToken };
    return await client.sendRequest(ExecuteCommandRequest.type, params);
  } finally {
    progress.dispose();
  }
}

async function showFailure(error: ResponseError<ErrorData | undefined>, output: vscode.LogOutputChannel): Promise<void> {
  switch (error.code) {
    case ErrorCodes.PendingResponseRejected:
    case ErrorCodes.ConnectionInactive:
      return; // The server is gone, and `server.ts` said so.
    case LSPErrorCodes.RequestCancelled:
      output.info(error.message);
      void vscode.window.showInformationMessage(error.message);
      return;
    default: {
      output.error(error.message);
      const show = vscode.l10n.t("Show output");
      const action = error.data?.action;
      const buttons = [...(action ? [action.title] : []), show];
      const chosen = await vscode.window.showErrorMessage(withoutLog(error.message), ...buttons);
      if (chosen === show) {
        output.show();
      } else if (action && chosen === action.title) {
        await vscode.commands.executeCommand(action.command);
      }
    }
  }
}

/** A notification has no room for the replica's last log lines, which stand indented in the message. */
function withoutLog(message: string): string {
  return message
    .split("\n")
    .filter((line) => !line.startsWith("    "))
    .join(" ");
}

/** Whether commands may run here; explains and offers the way when not. */
async function trusted(): Promise<boolean> {
  if (vscode.workspace.isTrusted) {
    return true;
  }
  const manage = vscode.l10n.t("Manage workspace trust");
  const chosen = await vscode.window.showWarningMessage(
    vscode.l10n.t("This command runs code from the folder, or acts on what its files name, so the folder must be trusted first."),
    manage,
  );
  if (chosen === manage) {
    await vscode.commands.executeCommand("workbench.trust.manage");
  }
  return false;
}

/** The workspace folder, asked for when there are several. */
async function chosenFolder(): Promise<vscode.WorkspaceFolder | undefined> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  if (folders.length > 1) {
    return await vscode.window.showWorkspaceFolderPick({
      placeHolder: vscode.l10n.t("Which folder holds the inference project?"),
      ignoreFocusOut: true,
    });
  }
  const [folder] = folders;
  if (!folder) {
    const open = vscode.l10n.t("Open folder");
    const chosen = await vscode.window.showErrorMessage(
      vscode.l10n.t("Open the folder of your fine-tuning project first."),
      open,
    );
    if (chosen === open) {
      await vscode.commands.executeCommand("workbench.action.files.openFolder");
    }
  }
  return folder;
}

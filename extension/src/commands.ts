// The palette's commands: each asks for the folder, then hands over to the server.
import * as vscode from "vscode";
import { ErrorCodes, ExecuteCommandRequest, LSPErrorCodes, ResponseError, WorkDoneProgress } from "vscode-languageclient/node";
import { type CommandArgument, serverCommands } from "./protocol";
import { type Server, ServerStartError } from "./server";

type ServerCommand = (typeof serverCommands)[keyof typeof serverCommands];

let lastToken = 0;

export function registerCommands(server: Server, output: vscode.LogOutputChannel): vscode.Disposable {
  const register = (id: string, run: () => Promise<void>): vscode.Disposable =>
    vscode.commands.registerCommand(id, run);
  return vscode.Disposable.from(
    register("aiToolkit.provisionInference", () => runInFolder(serverCommands.provisionInference, server, output)),
    register("aiToolkit.deployInference", () => runInFolder(serverCommands.deployInference, server, output)),
    register("aiToolkit.restartServer", async () => {
      await server.restart().catch((error: unknown) => server.explain(error));
    }),
  );
}

async function runInFolder(command: ServerCommand, server: Server, output: vscode.LogOutputChannel): Promise<void> {
  if (!(await trusted())) {
    return;
  }
  const folder = await chosenFolder();
  if (!folder) {
    return;
  }
  try {
    await execute(command, { workspaceFolder: folder.uri.toString() }, server);
  } catch (error) {
    if (error instanceof ServerStartError) {
      await server.explain(error);
    } else if (error instanceof ResponseError) {
      await showFailure(error, output);
    } else {
      throw error;
    }
  }
}

/** Runs a server command; its progress is a notification whose Cancel stops it. */
async function execute(command: ServerCommand, argument: CommandArgument, server: Server): Promise<unknown> {
  const client = await server.client();
  lastToken += 1;
  const workDoneToken = `aiToolkit-${lastToken}`;
  // Shown by the client's middleware; registered here because the server did not create this token.
  const progress = client.onProgress(WorkDoneProgress.type, workDoneToken, () => undefined);
  try {
    return await client.sendRequest(ExecuteCommandRequest.type, { command, arguments: [argument], workDoneToken });
  } finally {
    progress.dispose();
  }
}

async function showFailure(error: ResponseError<unknown>, output: vscode.LogOutputChannel): Promise<void> {
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
      if ((await vscode.window.showErrorMessage(withoutLog(error.message), show)) === show) {
        output.show();
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
    vscode.l10n.t("Provision and Deploy run commands from this folder, so the folder must be trusted first."),
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

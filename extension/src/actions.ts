// The buttons that the server offers: each is a command of the editor.
import * as vscode from "vscode";
import type { Action } from "./protocol";

/** Does what a button of the server's offers. */
export async function act({ command, workspaceFolder }: Action): Promise<void> {
  await vscode.commands.executeCommand(command, ...(typeof workspaceFolder === "string" ? [{ workspaceFolder }] : []));
}

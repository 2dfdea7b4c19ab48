import * as vscode from "vscode";
import { registerCommands } from "./commands";
import { Environment } from "./environment";
import { Server } from "./server";
import { StatusItem } from "./status";

let server: Server | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const output = vscode.window.createOutputChannel("AI Toolkit", { log: true });
  const status = new StatusItem();
  server = new Server(output, new Environment(context, output), status);
  context.subscriptions.push(output, status, server, registerCommands(server, output));
  context.subscriptions.push(vscode.workspace.onDidGrantWorkspaceTrust(() => void server?.restartIfRunning()));
  // In a folder of ours the server starts by itself, unless that would mean a download nobody asked for.
  void server.startIfReady();
}

/** VS Code waits for this promise, so the server gets to clean up. */
export async function deactivate(): Promise<void> {
  await server?.stop();
}

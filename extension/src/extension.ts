import * as vscode from "vscode";
import { registerCommands } from "./commands";
import { Display } from "./display";
import { Environment } from "./environment";
import { registerLanguageModels } from "./language_models";
import { registerMcpServers } from "./mcp";
import { Server } from "./server";
import { registerTestExplorer } from "./test_explorer";

let server: Server | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const display = new Display();
  server = new Server(new Environment(context, display.output), display, context.secrets);
  context.subscriptions.push(display, registerCommands(server, display), registerLanguageModels(server), registerMcpServers(server), registerTestExplorer(server));
  context.subscriptions.push(vscode.workspace.onDidGrantWorkspaceTrust(() => server?.restartIfRunning()));
  // In a folder of ours the server starts by itself, unless that would mean a download nobody asked for.
  void server.startIfReady();
}

/** VS Code waits for this promise, so the server gets to clean up. */
export async function deactivate(): Promise<void> {
  await server?.stop();
}

import * as vscode from "vscode";
import { registerCommands } from "./commands";
import { Server } from "./server";

let server: Server | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const output = vscode.window.createOutputChannel("AI Toolkit", { log: true });
  server = new Server(output);
  context.subscriptions.push(output, server, registerCommands(server, output));
}

/** VS Code waits for this promise, so the server gets to clean up. */
export async function deactivate(): Promise<void> {
  await server?.stop();
}

// The status bar's one item: what the server last said of the folder in sight.
import * as vscode from "vscode";
import type { StatusParams } from "./protocol";

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("aiToolkit.status", vscode.StatusBarAlignment.Left);
  private readonly folders = new Map<string, StatusParams>();
  private readonly listener = vscode.window.onDidChangeActiveTextEditor(() => {
    this.update();
  });

  constructor() {
    this.item.name = vscode.l10n.t("AI Toolkit inference");
    this.item.command = "aiToolkit.chooseAction";
  }

  show(status: StatusParams): void {
    this.folders.set(status.workspaceFolder, status);
    this.update();
  }

  /** The server is gone: what it said may be wrong by now. */
  clear(): void {
    this.folders.clear();
    this.item.hide();
  }

  dispose(): void {
    this.listener.dispose();
    this.item.dispose();
  }

  private update(): void {
    const document = vscode.window.activeTextEditor?.document.uri;
    const folder = document && vscode.workspace.getWorkspaceFolder(document)?.uri.toString();
    const [first] = this.folders.values();
    const status = (folder !== undefined ? this.folders.get(folder) : undefined) ?? first;
    if (!status) {
      return;
    }
    this.item.text = status.text;
    this.item.tooltip = status.tooltip;
    const words = `${status.text.replace(/\$\([^)]*\) ?/, "")}. ${status.tooltip}`;
    this.item.accessibilityInformation = { label: words, role: "button" };
    this.item.show();
  }
}

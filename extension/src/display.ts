// What stands in the window beside the server's questions: the output, the status bar's item, errors with buttons.
import * as vscode from "vscode";
import { EndpointView } from "./endpoint_view";
import type { PageParams, ReplicaLogParams, StatusParams } from "./protocol";

export type Button = readonly [title: string, press: () => unknown];

export class Display implements vscode.Disposable {
  readonly output = vscode.window.createOutputChannel("AI Toolkit", { log: true });
  private replicaLog: vscode.OutputChannel | undefined;
  private readonly item = vscode.window.createStatusBarItem("aiToolkit.status", vscode.StatusBarAlignment.Left);
  /** The view came into sight. */
  readonly looked = new vscode.EventEmitter<void>();
  private readonly endpoint = new EndpointView(() => { this.looked.fire(); });
  private itemFolder: string | undefined;
  private readonly folders = new Map<string, StatusParams>();
  private readonly listener = vscode.window.onDidChangeActiveTextEditor(() => {
    this.updateItem();
  });

  constructor() {
    this.item.name = vscode.l10n.t("AI Toolkit inference");
  }

  /** What the server says of a folder; the item tells of the one that is being edited. */
  showStatus(status: StatusParams): void {
    this.folders.set(status.workspaceFolder, status);
    this.endpoint.show(status);
    for (const done of status.done) {
      void vscode.commands.executeCommand("setContext", `aiToolkit.${done}`, true); // A step of the walkthrough is ticked.
    }
    this.updateItem();
  }

  /** The server is gone: what it said may be wrong by now. */
  clearStatus(): void {
    this.folders.clear();
    this.endpoint.clear();
    this.item.hide();
  }

  showReplicaLog({ lines, show }: ReplicaLogParams): void {
    this.replicaLog ??= vscode.window.createOutputChannel("AI Toolkit: inference logs", "log");
    this.replicaLog.append(lines.map((line) => `${line}\n`).join(""));
    if (show) {
      this.replicaLog.show(true);
    }
  }

  /** A page of the server's, without script, in a tab of its own. */
  async showPage({ title, path }: PageParams): Promise<void> {
    const content = await vscode.workspace.fs.readFile(vscode.Uri.file(path));
    const panel = vscode.window.createWebviewPanel("aiToolkit.page", title, vscode.ViewColumn.Active, { localResourceRoots: [] });
    panel.webview.html = new TextDecoder().decode(content);
  }

  /** Shows the message with the buttons and "Show output", and does what the chosen one does. */
  async showError(message: string, given: readonly Button[] = []): Promise<void> {
    const buttons: readonly Button[] = [...given, [vscode.l10n.t("Show output"), () => { this.output.show(); }]];
    const chosen = await vscode.window.showErrorMessage(message, ...buttons.map(([title]) => title));
    await buttons.find(([title]) => title === chosen)?.[1]();
  }

  dispose(): void {
    vscode.Disposable.from(this.listener, this.endpoint, this.looked, this.item, this.output, ...(this.replicaLog ? [this.replicaLog] : [])).dispose();
  }

  private updateItem(): void {
    const document = vscode.window.activeTextEditor?.document.uri;
    const folder = document && vscode.workspace.getWorkspaceFolder(document)?.uri.toString();
    const [first] = this.folders.values();
    const status = this.folders.get(folder ?? "") ?? first;
    if (status) {
      const { text, tooltip, spoken, workspaceFolder } = status;
      if (this.itemFolder !== workspaceFolder) {
        // Not at each look: a click that comes while a command is being replaced is lost.
        this.itemFolder = workspaceFolder;
        this.item.command = { title: "", command: "aiToolkit.chooseAction", arguments: [{ workspaceFolder }] };
      }
      Object.assign(this.item, { text, tooltip, accessibilityInformation: { label: spoken, role: "button" } });
      this.item.show();
    }
  }
}

// The view "Endpoint" in the Explorer: the rows that the server tells of each open folder, with their actions.
import * as vscode from "vscode";
import type { EndpointRow, StatusParams } from "./protocol";

const id = "aiToolkit.endpoint";

/** A row of a folder; the folder itself where several are open. Commands beside it take `workspaceFolder` from it. */
interface Node {
  readonly workspaceFolder: string;
  readonly row: EndpointRow | undefined;
}

export class EndpointView implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly folders = new Map<string, readonly EndpointRow[]>();
  private readonly view = vscode.window.createTreeView<Node>(id, { treeDataProvider: this });

  /** `look` is called when the view comes into sight: what it shows may have changed meanwhile. */
  constructor(look: () => void) {
    this.view.onDidChangeVisibility(({ visible }) => {
      if (visible) {
        look();
      }
    });
  }

  show({ workspaceFolder, rows }: StatusParams): void {
    this.folders.set(workspaceFolder, rows);
    this.changed.fire(undefined);
  }

  /** The server is gone, and what it said may be wrong by now. */
  clear(): void {
    this.folders.clear();
    this.changed.fire(undefined);
  }

  getChildren(node?: Node): Node[] {
    if (node) {
      const rows = node.row?.rows ?? this.folders.get(node.workspaceFolder) ?? [];
      return rows.map((row) => ({ workspaceFolder: node.workspaceFolder, row }));
    }
    const shown = [...this.folders].filter(([, rows]) => rows.length > 0).map(([workspaceFolder]) => ({ workspaceFolder, row: undefined }));
    const several = (vscode.workspace.workspaceFolders ?? []).length > 1;
    return several ? shown : shown.flatMap((folder) => this.getChildren(folder));
  }

  getTreeItem({ workspaceFolder, row }: Node): vscode.TreeItem {
    if (!row) {
      const uri = vscode.Uri.parse(workspaceFolder);
      const folder = new vscode.TreeItem(vscode.workspace.getWorkspaceFolder(uri)?.name ?? uri.fsPath, vscode.TreeItemCollapsibleState.Expanded);
      folder.id = workspaceFolder;
      folder.iconPath = new vscode.ThemeIcon("folder");
      return folder;
    }
    const { Collapsed, None } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(row.label, row.rows.length > 0 ? Collapsed : None);
    Object.assign(item, {
      id: `${workspaceFolder}#${row.id}`,
      description: row.description,
      tooltip: row.tooltip,
      iconPath: new vscode.ThemeIcon(row.icon),
      // `viewItem` of the conditions in package.json, which look for an action among them.
      contextValue: row.actions.join(" "),
      accessibilityInformation: { label: `${row.label}. ${row.description}` },
    });
    if (row.file !== null) {
      item.command = { title: vscode.l10n.t("Open file"), command: "vscode.open", arguments: [vscode.Uri.parse(row.file)] };
    }
    return item;
  }

  dispose(): void {
    vscode.Disposable.from(this.view, this.changed).dispose();
  }
}

// The server of tools for agents, `aitk mcp`, made known to the editor where it takes any (1.101 or newer).
import * as vscode from "vscode";
import { variables } from "./environment";
import type { Server } from "./server";

/** Settings that the program reads from its environment. */
const settings: Readonly<Record<string, string>> = {
  "localCloud.folder": "AITK_LOCAL_CLOUD_HOME",
  "localCloud.replicaInterpreter": "AITK_REPLICA_PYTHON",
  bicepCli: "AITK_BICEP",
};

/** Registers nothing in an editor that takes no servers of extensions. */
export function registerMcpServers(server: Server): vscode.Disposable {
  const changed = new vscode.EventEmitter<void>();
  const registered = vscode.lm.registerMcpServerDefinitionProvider?.("aiToolkit.inference", {
    onDidChangeMcpServerDefinitions: changed.event,
    provideMcpServerDefinitions: async () => await definitions(server),
  });
  const listeners = [
    vscode.workspace.onDidChangeWorkspaceFolders(() => { changed.fire(); }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => { changed.fire(); }),
    server.chatModelsChanged.event(() => { changed.fire(); }), // The server's environment may be there by now.
  ];
  return vscode.Disposable.from(changed, ...listeners, ...(registered ? [registered] : []));
}

/** One server for each folder; none where nothing is installed yet, or the folder is not trusted. */
async function definitions(server: Server): Promise<vscode.McpStdioServerDefinition[]> {
  const interpreter = vscode.workspace.isTrusted ? await server.interpreterIfReady() : undefined;
  const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === "file");
  return interpreter === undefined
    ? []
    : folders.map(({ name, uri }) => {
        const label = folders.length === 1 ? "AI Toolkit inference" : `AI Toolkit inference: ${name}`;
        const [command, ...isolation] = interpreter;
        const args = [...isolation, "-m", "ai_toolkit.cli.commands", "mcp", "--workspace", uri.fsPath];
        return new vscode.McpStdioServerDefinition(label, command, args, environment());
      });
}

function environment(): Record<string, string> {
  const all = vscode.workspace.getConfiguration("aiToolkit");
  const given = Object.entries(settings).map(([name, variable]) => [variable, all.get<string>(name, "").trim()] as const);
  const credential = all.get<string>("credential", "auto");
  return Object.fromEntries([
    ...Object.entries(variables()).filter((entry): entry is [string, string] => entry[1] !== process.env[entry[0]]),
    ...given.filter(([, value]) => value !== ""),
    // The program has no way to the editor's own account.
    ...(credential === "vscode" ? [] : [["AITK_CREDENTIAL", credential] as const]),
  ]);
}

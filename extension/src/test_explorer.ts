// The cases of an evaluation as tests of the editor: listed, run and looked into by the server.
import * as vscode from "vscode";
import { LSPErrorCodes, ResponseError } from "vscode-languageclient/node";
import { type CaseFiles, type CaseResult, type RunCasesParams, serverNotifications, serverRequests } from "./protocol";
import type { Server } from "./server";

/** The cases of the open folders, beside the tests of other makers. */
export function registerTestExplorer(server: Server): vscode.Disposable {
  const explorer = new TestExplorer(server);
  void explorer.refresh();
  return vscode.Disposable.from(explorer);
}

/** What the editor needs of a test's item beside what it keeps itself. */
interface Place {
  readonly workspaceFolder: string;
  readonly id: string;
}

interface Running {
  readonly run: vscode.TestRun;
  readonly items: ReadonlyMap<string, vscode.TestItem>;
  readonly ended: Set<string>;
}

class TestExplorer implements vscode.Disposable {
  private readonly controller = vscode.tests.createTestController("aiToolkit.evaluation", vscode.l10n.t("AI Toolkit: evaluation"));
  private readonly places = new WeakMap<vscode.TestItem, Place>();
  private readonly runs = new Map<string, Running>();
  private readonly listeners: readonly vscode.Disposable[];
  private last = 0;
  private listed = 0;

  constructor(private readonly server: Server) {
    this.controller.refreshHandler = async () => { await this.refresh(); };
    this.controller.createRunProfile(vscode.l10n.t("Ask the model"), vscode.TestRunProfileKind.Run, (request, cancelled) => this.run(request, cancelled, false), true);
    this.controller.createRunProfile(vscode.l10n.t("Look into the answer"), vscode.TestRunProfileKind.Debug, (request, cancelled) => this.run(request, cancelled, true), true);
    this.listeners = [
      server.casesChanged.event(() => { void this.refresh(); }),
      server.caseResult.event((result) => { this.show(result); }),
      vscode.workspace.onDidChangeWorkspaceFolders(() => { void this.refresh(); }),
    ];
  }

  dispose(): void {
    vscode.Disposable.from(...this.listeners, this.controller).dispose();
  }

  /** Lists the cases anew; nothing is installed, and no model woken, for that. */
  async refresh(): Promise<void> {
    this.listed += 1;
    const turn = this.listed;
    const client = await this.server.clientIfReady();
    const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === "file");
    const items: vscode.TestItem[] = [];
    for (const { name, uri } of client ? folders : []) {
      const workspaceFolder = uri.toString();
      const found = await client?.sendRequest<CaseFiles>(serverRequests.caseFiles, { workspaceFolder });
      const files = (found?.files ?? []).map((file) => this.fileItem(file, workspaceFolder, folders.length > 1 ? name : undefined));
      items.push(...files);
    }
    if (turn === this.listed) {
      this.controller.items.replace(items);
    }
  }

  private fileItem(file: CaseFiles["files"][number], workspaceFolder: string, folder: string | undefined): vscode.TestItem {
    const uri = vscode.Uri.parse(file.uri);
    const item = this.controller.createTestItem(file.uri, file.name, uri);
    if (folder !== undefined) {
      item.description = folder;
    }
    const cases = file.cases.map(({ id, label, line, problem }) => {
      const one = this.controller.createTestItem(`${workspaceFolder}#${id}`, label, uri);
      one.range = new vscode.Range(line, 0, line, 0);
      if (problem !== "") {
        one.error = problem;
      }
      this.places.set(one, { workspaceFolder, id });
      return one;
    });
    item.children.replace(cases);
    return item;
  }

  private async run(request: vscode.TestRunRequest, cancelled: vscode.CancellationToken, debug: boolean): Promise<void> {
    const run = this.controller.createTestRun(request);
    const excluded = new Set(request.exclude ?? []);
    const chosen = request.include ?? [...this.controller.items].map(([, item]) => item);
    const items = chosen.flatMap((item) => this.leaves(item, excluded));
    const folders = new Set(items.flatMap((item) => this.places.get(item)?.workspaceFolder ?? []));
    try {
      for (const folder of folders) {
        const own = items.filter((item) => this.places.get(item)?.workspaceFolder === folder);
        await this.runIn(folder, own, run, cancelled, debug);
      }
    } finally {
      run.end();
    }
  }

  private leaves(item: vscode.TestItem, excluded: ReadonlySet<vscode.TestItem>): vscode.TestItem[] {
    if (excluded.has(item)) {
      return [];
    }
    return this.places.has(item) ? [item] : [...item.children].flatMap(([, child]) => this.leaves(child, excluded));
  }

  private async runIn(
    workspaceFolder: string,
    items: readonly vscode.TestItem[],
    run: vscode.TestRun,
    cancelled: vscode.CancellationToken,
    debug: boolean,
  ): Promise<void> {
    this.last += 1;
    const name = `run-${this.last}`;
    const byId = new Map(items.map((item) => [this.places.get(item)?.id ?? "", item]));
    const running: Running = { run, items: byId, ended: new Set() };
    this.runs.set(name, running);
    items.forEach((item) => { run.enqueued(item); });
    const params: RunCasesParams = { run: name, workspaceFolder, cases: [...byId.keys()], debug };
    try {
      const client = await this.server.client();
      const cancelling = cancelled.onCancellationRequested(() => {
        void client.sendNotification(serverNotifications.cancelCases, { run: name });
      });
      await client.sendRequest<null>(serverRequests.runCases, params).finally(() => { cancelling.dispose(); });
    } catch (error) {
      const isCancelled = error instanceof ResponseError && error.code === LSPErrorCodes.RequestCancelled;
      const message = new vscode.TestMessage(error instanceof Error ? error.message : String(error));
      for (const [id, item] of byId) {
        if (!running.ended.has(id) && isCancelled) {
          run.skipped(item);
        } else if (!running.ended.has(id)) {
          run.errored(item, message);
        }
      }
    } finally {
      this.runs.delete(name);
    }
  }

  private show(result: CaseResult): void {
    const running = this.runs.get(result.run);
    const item = running?.items.get(result.id);
    if (!running || !item) {
      return;
    }
    const { run, ended } = running;
    if (result.outcome === "started") {
      run.started(item);
      return;
    }
    ended.add(result.id);
    run.appendOutput(`${item.label}\n${result.output}\n\n`.replace(/\r?\n/g, "\r\n"), undefined, item);
    if (result.outcome === "failed") {
      run.failed(item, vscode.TestMessage.diff(result.message, result.expected, result.said), result.milliseconds);
    } else {
      run.passed(item, result.milliseconds);
    }
  }
}

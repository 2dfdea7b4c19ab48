// Work-done progress as a notification with Cancel: the client itself would put it, silently, into the status bar.
import * as vscode from "vscode";
import type {
  ProgressToken,
  WorkDoneProgressBegin,
  WorkDoneProgressEnd,
  WorkDoneProgressReport,
} from "vscode-languageclient/node";

type Report = vscode.Progress<{ message?: string; increment?: number }>;

/** One notification from its `begin` to its `end`. */
class Notification {
  private percentage = 0;
  private report: Report | undefined;
  private close: (() => void) | undefined;
  private readonly closed = new Promise<void>((resolve) => {
    this.close = resolve;
  });

  constructor(begin: WorkDoneProgressBegin, cancel: () => void) {
    void vscode.window.withProgress(
      {
        location: vscode.ProgressLocation.Notification,
        title: begin.title,
        cancellable: begin.cancellable ?? false,
      },
      async (report, cancelled) => {
        this.report = report;
        cancelled.onCancellationRequested(cancel);
        this.show(begin);
        await this.closed;
      },
    );
  }

  show({ message, percentage }: WorkDoneProgressBegin | WorkDoneProgressReport): void {
    const increment = Math.max(0, Math.min(percentage ?? 0, 100) - this.percentage);
    this.percentage += increment;
    this.report?.report({
      ...(message === undefined ? {} : { message }),
      ...(percentage === undefined ? {} : { increment }),
    });
  }

  end(): void {
    this.close?.();
  }
}

/** The notifications of one server. */
export class ProgressNotifications {
  private readonly open = new Map<ProgressToken, Notification>();

  /** Shows one message; `cancel` is what the notification's Cancel does. */
  handle(
    token: ProgressToken,
    value: WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd,
    cancel: () => void,
  ): void {
    switch (value.kind) {
      case "begin":
        this.open.get(token)?.end();
        this.open.set(token, new Notification(value, cancel));
        break;
      case "report":
        this.open.get(token)?.show(value);
        break;
      case "end":
        this.end(token);
        break;
    }
  }

  end(token: ProgressToken): void {
    this.open.get(token)?.end();
    this.open.delete(token);
  }

  /** A server that is gone reports no end. Returns whether work was going on. */
  endAll(): boolean {
    const working = this.open.size > 0;
    for (const token of [...this.open.keys()]) {
      this.end(token);
    }
    return working;
  }
}

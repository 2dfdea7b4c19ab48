// The server's questions: each shows one box and gives back what the person did with it.
import * as vscode from "vscode";
import type { Back, InputParams, InputResult, PickParams, PickResult } from "./protocol";

interface PickRow extends vscode.QuickPickItem {
  readonly id: string;
  readonly disabled: boolean;
}

const back: Back = { back: true };

/** The chosen item; a disabled one stays in the list but cannot be accepted. */
export async function pick(params: PickParams, cancelled: vscode.CancellationToken): Promise<PickResult> {
  const box = vscode.window.createQuickPick<PickRow>();
  box.placeholder = params.placeholder;
  box.matchOnDescription = true;
  box.items = params.items.map((item) => ({
    id: item.id,
    label: item.label,
    description: item.description,
    disabled: item.disabled,
    ...(item.disabled ? { iconPath: new vscode.ThemeIcon("circle-slash") } : {}),
  }));
  box.activeItems = box.items.filter((row) => !row.disabled).slice(0, 1);
  return await ask<PickResult>(box, params, cancelled, (answer) =>
    box.onDidAccept(() => {
      const [row] = box.selectedItems;
      if (row && !row.disabled) {
        answer({ id: row.id });
      }
    }),
  );
}

/** The text that was entered; what the pattern does not fit is not taken. */
export async function input(params: InputParams, cancelled: vscode.CancellationToken): Promise<InputResult> {
  const box = vscode.window.createInputBox();
  box.prompt = params.prompt;
  box.value = params.value;
  box.password = params.password;
  const pattern = new RegExp(`^(?:${params.pattern ?? "[^]*"})$`, "u");
  const fits = (): boolean => pattern.test(box.value);
  return await ask<InputResult>(box, params, cancelled, (answer) =>
    vscode.Disposable.from(
      box.onDidChangeValue(() => {
        box.validationMessage = fits() || box.value === "" ? undefined : (params.hint ?? undefined);
      }),
      box.onDidAccept(() => {
        if (fits()) {
          answer({ value: box.value });
        } else {
          box.validationMessage = params.hint ?? undefined;
        }
      }),
    ),
  );
}

/** Shows `box` until it is answered, left by Back, dismissed, or no longer wanted by the server. */
function ask<Result>(
  box: vscode.QuickPick<PickRow> | vscode.InputBox,
  params: PickParams | InputParams,
  cancelled: vscode.CancellationToken,
  onAccept: (answer: (result: Result) => void) => vscode.Disposable,
): Promise<Result | Back | null> {
  box.title = params.title;
  if (params.steps > 1) {
    box.step = params.step;
    box.totalSteps = params.steps;
  }
  // People leave the window to look up a name or an id.
  box.ignoreFocusOut = true;
  if (params.canGoBack) {
    box.buttons = [vscode.QuickInputButtons.Back];
  }
  return new Promise((resolve) => {
    const listeners: vscode.Disposable[] = [];
    const answer = (result: Result | Back | null): void => {
      resolve(result);
      listeners.forEach((listener) => {
        listener.dispose();
      });
      box.dispose();
    };
    listeners.push(
      onAccept(answer),
      box.onDidTriggerButton(() => {
        answer(back);
      }),
      box.onDidHide(() => {
        answer(null);
      }),
      cancelled.onCancellationRequested(() => {
        answer(null);
      }),
    );
    box.show();
  });
}

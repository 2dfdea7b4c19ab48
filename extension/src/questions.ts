// The server's questions: each shows one box and gives back what the person did with it.
import * as vscode from "vscode";
import type { AccessToken, AccessTokenParams, Back, InputParams, InputResult, PickParams, PickResult, SecretParams } from "./protocol";

interface PickRow extends vscode.QuickPickItem {
  readonly id: string;
  readonly disabled: boolean;
}

/** The chosen item; a disabled one stays in the list but cannot be accepted. */
export async function pick(params: PickParams, cancelled: vscode.CancellationToken): Promise<PickResult> {
  const box = vscode.window.createQuickPick<PickRow>();
  box.placeholder = params.placeholder;
  box.matchOnDescription = true;
  box.items = params.items.map((item) => ({
    ...item,
    ...(item.disabled ? { iconPath: new vscode.ThemeIcon("circle-slash") } : {}),
  }));
  box.activeItems = box.items.filter((row) => !row.disabled).slice(0, 1);
  return await ask(box, params, cancelled, () => {
    const [row] = box.selectedItems;
    return row && !row.disabled ? { id: row.id } : undefined;
  });
}

/** The text that was entered; what the pattern does not fit is not taken. */
export async function input(params: InputParams, cancelled: vscode.CancellationToken): Promise<InputResult> {
  const box = vscode.window.createInputBox();
  box.prompt = params.prompt;
  box.value = params.value;
  box.password = params.password;
  const pattern = new RegExp(`^(?:${params.pattern ?? "[^]*"})$`, "u");
  const misfit = (): string | undefined => (pattern.test(box.value) ? undefined : (params.hint ?? ""));
  box.onDidChangeValue((value) => {
    box.validationMessage = value === "" ? undefined : misfit();
  });
  return await ask(box, params, cancelled, () => {
    box.validationMessage = misfit();
    return box.validationMessage === undefined ? { value: box.value } : undefined;
  });
}

/** Shows `box` until `accepted` gives a result, or it is left by Back, dismissed, or no longer wanted by the server. */
function ask<Result extends object>(
  box: vscode.QuickPick<PickRow> | vscode.InputBox,
  params: PickParams | InputParams,
  cancelled: vscode.CancellationToken,
  accepted: () => Result | undefined,
): Promise<Result | Back | null> {
  box.title = params.title;
  if (params.steps > 1) {
    box.step = params.step;
    box.totalSteps = params.steps;
  }
  // People leave the window to look up a name or an id.
  box.ignoreFocusOut = true;
  box.buttons = params.canGoBack ? [vscode.QuickInputButtons.Back] : [];
  return new Promise((resolve) => {
    const answer = (result: Result | Back | null | undefined): void => {
      if (result !== undefined) {
        resolve(result);
        box.dispose();
      }
    };
    box.onDidAccept(() => { answer(accepted()); });
    box.onDidTriggerButton(() => { answer({ back: true }); });
    box.onDidHide(() => { answer(null); });
    cancelled.onCancellationRequested(() => { answer(null); });
    box.show();
  });
}

/** A token of VS Code's own Microsoft account, or null when nobody is signed in; only with `signIn` is a person asked. */
export async function accessToken({ scopes, tenant, signIn }: AccessTokenParams): Promise<AccessToken | null> {
  // Source: how VS Code's own Azure extensions choose provider and tenant, github.com/microsoft/vscode-azuretools/tree/main/auth
  const sovereign = vscode.workspace.getConfiguration("microsoft-sovereign-cloud").get<string>("environment", "") !== "";
  const session = await vscode.authentication.getSession(
    sovereign ? "microsoft-sovereign-cloud" : "microsoft",
    [...scopes, ...(tenant === null ? [] : [`VSCODE_TENANT:${tenant}`])],
    signIn ? { createIfNone: true, clearSessionPreference: true } : { silent: true },
  );
  return session ? { token: session.accessToken } : null;
}

/** What the editor keeps for the person under a name, or null; with a value it keeps that from now on. */
export async function secret({ name, value }: SecretParams, secrets: vscode.SecretStorage): Promise<string | null> {
  if (typeof value !== "string") {
    return (await secrets.get(name)) ?? null;
  }
  await (value === "" ? secrets.delete(name) : secrets.store(name, value));
  return null;
}

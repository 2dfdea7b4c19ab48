// Tokens of VS Code's own Microsoft account, for the server.
import * as vscode from "vscode";
import type { AccessToken, AccessTokenParams } from "./protocol";

/** A token, or null when nobody is signed in. Only with `signIn` is a person asked, which opens a browser. */
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

// Generated from server/ai_toolkit/editor/protocol.py: change that file, not this one.

/** Commands that the server announces (`workspace/executeCommand`). */
export const serverCommands = {
  provisionInference: "aiToolkit.server.provisionInference",
  deployInference: "aiToolkit.server.deployInference",
  openEndpoint: "aiToolkit.server.openEndpoint",
  copyKey: "aiToolkit.server.copyKey",
  copyExample: "aiToolkit.server.copyExample",
  showLogs: "aiToolkit.server.showLogs",
  showStatus: "aiToolkit.server.showStatus",
  addSecret: "aiToolkit.server.addSecret",
  createProject: "aiToolkit.server.createProject",
  startLocalCloud: "aiToolkit.server.startLocalCloud",
  stopLocalCloud: "aiToolkit.server.stopLocalCloud",
  chooseAction: "aiToolkit.server.chooseAction",
} as const;

/** Requests that the server sends to the editor. */
export const editorRequests = {
  pick: "aiToolkit/pick",
  input: "aiToolkit/input",
  copy: "aiToolkit/copy",
  accessToken: "aiToolkit/accessToken",
} as const;

/** Notifications that the server sends to the editor. */
export const editorNotifications = {
  status: "aiToolkit/status",
  replicaLog: "aiToolkit/replicaLog",
  run: "aiToolkit/run",
} as const;

/** Answers to questions that a command would otherwise ask. */
export interface Answers {
  readonly subscription?: string | null;
  readonly resourceGroup?: string | null;
  readonly location?: string | null;
}

/** The argument of the server's commands; the workspace folder is a URI. Without an argument the person is asked. */
export interface CommandArgument {
  readonly workspaceFolder: string;
  readonly answers?: Answers | null;
}

/** One line of a pick; a disabled one is shown, but cannot be chosen. */
export interface PickItem {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  readonly disabled: boolean;
}

/** A question with given answers; steps count from 1. */
export interface PickParams {
  readonly title: string;
  readonly placeholder: string;
  readonly step: number;
  readonly steps: number;
  readonly canGoBack: boolean;
  readonly items: readonly PickItem[];
}

/** The chosen item of a pick. */
export interface PickAnswer {
  readonly id: string;
}

/** A question with a free answer; `value` stands in the box at first, steps count from 1. An answer that `pattern` (a regular expression for all of it) does not fit is not taken, and `hint` is shown. */
export interface InputParams {
  readonly title: string;
  readonly prompt: string;
  readonly value: string;
  readonly password: boolean;
  readonly step: number;
  readonly steps: number;
  readonly canGoBack: boolean;
  readonly pattern?: string | null;
  readonly hint?: string | null;
}

/** The text that was entered. */
export interface InputAnswer {
  readonly value: string;
}

/** Text for the clipboard, which is shown nowhere. */
export interface CopyParams {
  readonly text: string;
}

/** A token of the editor's own Microsoft account, for the account's home tenant where none is named. Only with `sign_in` may the person be asked to sign in. The answer is null when nobody is signed in. */
export interface AccessTokenParams {
  readonly scopes: readonly string[];
  readonly tenant: string | null;
  readonly signIn: boolean;
}

/** The token, which is shown nowhere; its expiry stands in it. */
export interface AccessToken {
  readonly token: string;
}

/** The status bar's item for one folder (a URI): text with icons as VS Code writes them, and the whole sentence. `spoken` is what a screen reader says. */
export interface StatusParams {
  readonly workspaceFolder: string;
  readonly text: string;
  readonly tooltip: string;
  readonly spoken: string;
}

/** Lines of the replica's log; `show` brings them into sight. */
export interface ReplicaLogParams {
  readonly lines: readonly string[];
  readonly show: boolean;
}

/** A button's title, the command of the editor that it runs, and the folder (a URI) that the command is for. */
export interface Action {
  readonly title: string;
  readonly command: string;
  readonly workspaceFolder?: string | null;
}

/** What a failed command's error carries beside its message: the buttons that help. */
export interface ErrorData {
  readonly code: string;
  readonly advice: string;
  readonly actions?: readonly Action[];
}

/** The person wants the question before this one again. */
export interface Back {
  readonly back: true;
}

/** null: dismissed. */
export type PickResult = PickAnswer | Back | null;

/** null: dismissed. */
export type InputResult = InputAnswer | Back | null;

// Generated from server/ai_toolkit/protocol.py: change that file, not this one.

/** Commands that the server announces (`workspace/executeCommand`). */
export const serverCommands = {
  provisionInference: "aiToolkit.server.provisionInference",
  deployInference: "aiToolkit.server.deployInference",
} as const;

/** Requests that the server sends to the editor. */
export const editorRequests = {
  pick: "aiToolkit/pick",
  input: "aiToolkit/input",
} as const;

/** Answers to questions that a command would otherwise ask. */
export interface Answers {
  readonly subscription?: string | null;
  readonly resourceGroup?: string | null;
  readonly location?: string | null;
}

/** The one argument of the server's commands; the workspace folder is a URI. */
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

/** A question with a free answer; `value` stands in the box at first, steps count from 1. */
export interface InputParams {
  readonly title: string;
  readonly prompt: string;
  readonly value: string;
  readonly password: boolean;
  readonly step: number;
  readonly steps: number;
  readonly canGoBack: boolean;
}

/** The text that was entered. */
export interface InputAnswer {
  readonly value: string;
}

/** The person wants the question before this one again. */
export interface Back {
  readonly back: true;
}

/** null: dismissed. */
export type PickResult = PickAnswer | Back | null;

/** null: dismissed. */
export type InputResult = InputAnswer | Back | null;

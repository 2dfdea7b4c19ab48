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

/** The one argument of the server's commands. */
export interface CommandArgument {
  /** The workspace folder as a URI. */
  readonly workspaceFolder: string;
  readonly answers?: Answers | null;
}

/** One line of a pick. */
export interface PickItem {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  /** Shown, but cannot be chosen. */
  readonly disabled: boolean;
}

/** A question with given answers. */
export interface PickParams {
  readonly title: string;
  readonly placeholder: string;
  /** Counts from 1. */
  readonly step: number;
  readonly steps: number;
  readonly canGoBack: boolean;
  readonly items: readonly PickItem[];
}

/** The chosen item of a pick. */
export interface PickAnswer {
  readonly id: string;
}

/** A question with a free answer. */
export interface InputParams {
  readonly title: string;
  readonly prompt: string;
  /** Stands in the box at first. */
  readonly value: string;
  readonly password: boolean;
  /** Counts from 1. */
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

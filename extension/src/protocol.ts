// Generated from server/ai_toolkit/editor/protocol.py: change that file, not this one.

/** Commands that the server announces (`workspace/executeCommand`). */
export const serverCommands = {
  provisionInference: "aiToolkit.server.provisionInference",
  deployInference: "aiToolkit.server.deployInference",
  deployAllTheSame: "aiToolkit.server.deployAllTheSame",
  bringBack: "aiToolkit.server.bringBack",
  openEndpoint: "aiToolkit.server.openEndpoint",
  copyKey: "aiToolkit.server.copyKey",
  copyExample: "aiToolkit.server.copyExample",
  showLogs: "aiToolkit.server.showLogs",
  showStatus: "aiToolkit.server.showStatus",
  refreshEndpoint: "aiToolkit.server.refreshEndpoint",
  addSecret: "aiToolkit.server.addSecret",
  createProject: "aiToolkit.server.createProject",
  createSample: "aiToolkit.server.createSample",
  startLocalCloud: "aiToolkit.server.startLocalCloud",
  stopLocalCloud: "aiToolkit.server.stopLocalCloud",
  chooseAction: "aiToolkit.server.chooseAction",
  useInChat: "aiToolkit.server.useInChat",
  evaluateInference: "aiToolkit.server.evaluateInference",
  stopInference: "aiToolkit.server.stopInference",
  startInference: "aiToolkit.server.startInference",
  takeDownInference: "aiToolkit.server.takeDownInference",
  refreshPrices: "aiToolkit.server.refreshPrices",
} as const;

/** Requests that the editor sends to the server. */
export const serverRequests = {
  chatModels: "aiToolkit/chatModels",
  chat: "aiToolkit/chat",
  countTokens: "aiToolkit/countTokens",
  caseFiles: "aiToolkit/caseFiles",
  runCases: "aiToolkit/runCases",
} as const;

/** Notifications that the editor sends to the server. */
export const serverNotifications = {
  cancelChat: "aiToolkit/cancelChat",
  cancelCases: "aiToolkit/cancelCases",
  look: "aiToolkit/look",
} as const;

/** Requests that the server sends to the editor. */
export const editorRequests = {
  pick: "aiToolkit/pick",
  input: "aiToolkit/input",
  copy: "aiToolkit/copy",
  accessToken: "aiToolkit/accessToken",
  secret: "aiToolkit/secret",
  openChat: "aiToolkit/openChat",
} as const;

/** Notifications that the server sends to the editor. */
export const editorNotifications = {
  status: "aiToolkit/status",
  replicaLog: "aiToolkit/replicaLog",
  run: "aiToolkit/run",
  chatPart: "aiToolkit/chatPart",
  chatModelsChanged: "aiToolkit/chatModelsChanged",
  casesChanged: "aiToolkit/casesChanged",
  caseResult: "aiToolkit/caseResult",
  showPage: "aiToolkit/showPage",
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

/** One row: an icon's name as VS Code writes it, and what it says. `actions` are the ids of commands, without their prefix, that the editor puts beside it. `file` is the file (a URI) that the row stands for, or null. `rows` are those below it. */
export interface EndpointRow {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  readonly tooltip: string;
  readonly icon: string;
  readonly actions: readonly string[];
  readonly file: string | null;
  readonly rows: readonly EndpointRow[];
}

/** The status bar's item for one folder (a URI): text with icons as VS Code writes them, and the whole sentence. `spoken` is what a screen reader says. `done` are the steps of the road that are behind the folder: `hasProject`, `isProvisioned`, `isDeployed`. `rows` are those of the view "Endpoint". */
export interface StatusParams {
  readonly workspaceFolder: string;
  readonly text: string;
  readonly tooltip: string;
  readonly spoken: string;
  readonly done: readonly string[];
  readonly rows: readonly EndpointRow[];
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

/** A model for the editor's chat: `id` tells it apart in this window, `model` is its name in requests. `detail` stands beside the name, and says how far it is from answering. */
export interface ChatModel {
  readonly id: string;
  readonly workspaceFolder: string;
  readonly model: string;
  readonly name: string;
  readonly detail: string;
  readonly tooltip: string;
  readonly maxInputTokens: number;
  readonly maxOutputTokens: number;
}

/** The models of the folders that are open; nothing was woken in order to tell. */
export interface ChatModels {
  readonly models: readonly ChatModel[];
}

/** A tool that the model calls; `arguments` is a JSON object, written out. */
export interface ChatToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** What came of a call. */
export interface ChatToolResult {
  readonly id: string;
  readonly text: string;
}

/** A turn of the conversation: its role is `user`, `assistant` or `system`. */
export interface ChatMessage {
  readonly role: string;
  readonly text: string;
  readonly toolCalls?: readonly ChatToolCall[];
  readonly toolResults?: readonly ChatToolResult[];
}

/** A tool that the model may call; `parameters` is a JSON schema, written out; empty where it takes none. */
export interface ChatTool {
  readonly name: string;
  readonly description: string;
  readonly parameters: string;
}

/** A question to a model. What comes of it is told by notifications that name `chat`, before the request ends. `options` is a JSON object, written out: what the asker wants of sampling. */
export interface ChatParams {
  readonly chat: string;
  readonly workspaceFolder: string;
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly ChatTool[];
  readonly mustCall: boolean;
  readonly options: string;
}

/** One thing that came: how far the model's waking is, some text, some of its reasoning, or a tool call. */
export interface ChatPart {
  readonly chat: string;
  readonly waking?: string | null;
  readonly text?: string | null;
  readonly reasoning?: string | null;
  readonly toolCall?: ChatToolCall | null;
}

/** Nobody waits for the answer any more: the model stops. */
export interface CancelChat {
  readonly chat: string;
}

/** A text whose tokens are wanted; the answer is a number. */
export interface TokenCountParams {
  readonly workspaceFolder: string;
  readonly model: string;
  readonly text: string;
}

/** The model that the editor's chat is to be opened with. */
export interface OpenChatParams {
  readonly id: string;
}

/** A secret's name, and the value to keep; without a value the editor answers with the kept one, or null. An empty value lets it be forgotten. */
export interface SecretParams {
  readonly name: string;
  readonly value?: string | null;
}

/** The folder (a URI) whose cases are wanted. */
export interface CaseFilesParams {
  readonly workspaceFolder: string;
}

/** A line of a file of cases: its number from 0, and what is wrong with it where it is no case. */
export interface CaseItem {
  readonly id: string;
  readonly label: string;
  readonly line: number;
  readonly problem: string;
}

/** A file of cases (a URI), and its lines that hold something. */
export interface CaseFile {
  readonly uri: string;
  readonly name: string;
  readonly cases: readonly CaseItem[];
}

/** The files of a folder; nobody was asked in order to tell. */
export interface CaseFiles {
  readonly files: readonly CaseFile[];
}

/** Cases by their ids, to be asked of what answers by default. What comes is told by notifications that name `run`. With `debug` they are asked one by one, and each tells the request, the prompt as the model gets it, and what the base model says. */
export interface RunCasesParams {
  readonly run: string;
  readonly workspaceFolder: string;
  readonly cases: readonly string[];
  readonly debug: boolean;
}

/** What became of a case: `outcome` is `started`, `passed`, `failed` or `measured`. `expected` and `said` are shown side by side where it failed; `output` is for whoever reads on. */
export interface CaseResult {
  readonly run: string;
  readonly id: string;
  readonly outcome: string;
  readonly message: string;
  readonly expected: string;
  readonly said: string;
  readonly milliseconds: number;
  readonly output: string;
}

/** Nobody waits for the run any more. */
export interface CancelCases {
  readonly run: string;
}

/** A page on disk (a path) that is to be shown in the editor. */
export interface PageParams {
  readonly title: string;
  readonly path: string;
}

/** The person wants the question before this one again. */
export interface Back {
  readonly back: true;
}

/** null: dismissed. */
export type PickResult = PickAnswer | Back | null;

/** null: dismissed. */
export type InputResult = InputAnswer | Back | null;

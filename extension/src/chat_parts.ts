// The editor's chat messages as plain ones: their parts are classes that older editors lack, so they are told by shape.
import type { ChatMessage, ChatTool, ChatToolCall, ChatToolResult } from "./protocol";

interface Message {
  readonly role: number;
  readonly content: readonly unknown[];
}

/** 3 is not in the published types, but editors send it. */
const roles: Readonly<Record<number, string>> = { 1: "user", 2: "assistant", 3: "system" };

/** The messages as the server takes them. What a model thought stays out; a picture is named, because it cannot be seen. */
export function plainMessages(messages: readonly Message[]): readonly ChatMessage[] {
  return messages.map(({ role, content }) => {
    const toolCalls = content.filter(isCall).map((part): ChatToolCall => ({
      id: part.callId,
      name: part.name,
      arguments: JSON.stringify(part.input),
    }));
    const toolResults = content.filter(isResult).map((part): ChatToolResult => ({ id: part.callId, text: textOf(part.content) }));
    return { role: roles[role] ?? "user", text: textOf(content), toolCalls, toolResults };
  });
}

/** Everything in a message that costs tokens. */
export function wholeText(message: string | Message): string {
  if (typeof message === "string") {
    return message;
  }
  const [plain] = plainMessages([message]);
  const calls = (plain?.toolCalls ?? []).map((call) => `${call.name} ${call.arguments}`);
  return [plain?.text ?? "", ...calls, ...(plain?.toolResults ?? []).map((result) => result.text)].join("\n").trim();
}

/** The tools as the server takes them. */
export function plainTools(tools: readonly { name: string; description: string; inputSchema?: object | undefined }[]): readonly ChatTool[] {
  return tools.map(({ name, description, inputSchema }) => ({
    name,
    description,
    parameters: inputSchema === undefined ? "" : JSON.stringify(inputSchema),
  }));
}

function textOf(parts: readonly unknown[]): string {
  return parts.map(text).join("");
}

function text(part: unknown): string {
  if (typeof part === "string") {
    return part;
  }
  if (typeof part !== "object" || part === null || isCall(part) || isResult(part)) {
    return "";
  }
  if ("mimeType" in part && typeof part.mimeType === "string" && "data" in part && part.data instanceof Uint8Array) {
    return fromData(part.mimeType, part.data);
  }
  // A thought has a value too, and an id, be it undefined.
  if ("value" in part && !("id" in part)) {
    return typeof part.value === "string" ? part.value : JSON.stringify(part.value);
  }
  return "";
}

function fromData(kind: string, data: Uint8Array): string {
  if (kind === "cache_control") {
    return ""; // a hint of the editor's for other makers' models
  }
  return /^text\/|[/+]json$/u.test(kind) ? new TextDecoder().decode(data) : `(a file of type ${kind}, which this model cannot read)`;
}

function isCall(part: unknown): part is { callId: string; name: string; input: object } {
  return typeof part === "object" && part !== null && "callId" in part && "input" in part;
}

function isResult(part: unknown): part is { callId: string; content: readonly unknown[] } {
  return typeof part === "object" && part !== null && "callId" in part && "content" in part && Array.isArray(part.content);
}

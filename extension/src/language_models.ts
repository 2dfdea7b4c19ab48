// The endpoint's models as language models of the editor, where it takes any (1.104 or newer); the server asks them.
import * as vscode from "vscode";
import { LSPErrorCodes, ResponseError } from "vscode-languageclient/node";
import { plainMessages, plainTools, wholeText } from "./chat_parts";
import { type ChatModel, type ChatModels, type ChatParams, type ChatPart, type OpenChatParams, serverNotifications, serverRequests, type TokenCountParams } from "./protocol";
import type { Server } from "./server";

const vendor = "ai-toolkit-remote-inference";

/** Whether this editor takes language models of extensions, and has a chat that is not switched off. */
export function hasChat(): boolean {
  const isOff = vscode.workspace.getConfiguration("chat").get<boolean>("disableAIFeatures", false);
  return typeof vscode.lm.registerLanguageModelChatProvider === "function" && !isOff;
}

/** Registers nothing in an editor that takes no models. */
export function registerLanguageModels(server: Server): vscode.Disposable {
  const models = new LanguageModels(server);
  const registered = vscode.lm.registerLanguageModelChatProvider?.(vendor, models);
  return vscode.Disposable.from(models, ...(registered ? [registered] : []));
}

/** Opens the editor's chat with the model. Throws where the editor's settings switch the chat off. */
export async function openChat({ id }: OpenChatParams): Promise<null> {
  await vscode.commands.executeCommand("workbench.action.chat.open", { modelSelector: { vendor, id } });
  return null;
}

type Model = vscode.LanguageModelChatInformation & Pick<ChatModel, "workspaceFolder" | "model">;

class LanguageModels implements vscode.LanguageModelChatProvider<Model>, vscode.Disposable {
  readonly onDidChangeLanguageModelChatInformation: vscode.Event<void>;
  private readonly listener: vscode.Disposable;
  private readonly answers = new Map<string, (part: ChatPart) => void>();
  private last = 0;

  constructor(private readonly server: Server) {
    this.onDidChangeLanguageModelChatInformation = server.chatModelsChanged.event;
    this.listener = server.chatPart.event((part) => this.answers.get(part.chat)?.(part));
  }

  dispose(): void {
    this.listener.dispose();
  }

  /** Nothing is installed, and nobody asked, in order to list models. */
  async provideLanguageModelChatInformation(): Promise<Model[]> {
    const client = await this.server.clientIfReady();
    const { models } = (await client?.sendRequest<ChatModels>(serverRequests.chatModels, {})) ?? { models: [] };
    return models.map(({ maxInputTokens, maxOutputTokens, ...one }) => ({
      ...one,
      family: one.model === "" ? one.name : one.model,
      version: "1",
      maxInputTokens,
      maxOutputTokens,
      capabilities: { toolCalling: true, imageInput: false },
    }));
  }

  async provideLanguageModelChatResponse(
    { workspaceFolder, model }: Model,
    messages: readonly vscode.LanguageModelChatRequestMessage[],
    options: vscode.ProvideLanguageModelChatResponseOptions,
    progress: vscode.Progress<vscode.LanguageModelResponsePart>,
    cancelled: vscode.CancellationToken,
  ): Promise<void> {
    const client = await this.server.client();
    this.last += 1;
    const chat = `chat-${this.last}`;
    const params: ChatParams = {
      chat,
      workspaceFolder,
      model,
      messages: plainMessages(messages),
      tools: plainTools(options.tools ?? []),
      mustCall: options.toolMode === 2,
      options: JSON.stringify(options.modelOptions ?? {}),
    };
    const work = client.sendRequest<null>(serverRequests.chat, params);
    const waking = new Waking(progress, work);
    this.answers.set(chat, (part) => { show(part, progress, waking); });
    const cancelling = cancelled.onCancellationRequested(() => {
      void client.sendNotification(serverNotifications.cancelChat, { chat });
    });
    try {
      await work;
    } catch (error) {
      if (error instanceof ResponseError && error.code === LSPErrorCodes.RequestCancelled) {
        throw new vscode.CancellationError();
      }
      throw error instanceof Error ? new Error(error.message) : error; // The chat shows the message; a stack is of no use there.
    } finally {
      cancelling.dispose();
      this.answers.delete(chat);
    }
  }

  async provideTokenCount({ workspaceFolder, model }: Model, text: string | vscode.LanguageModelChatRequestMessage): Promise<number> {
    const params: TokenCountParams = { workspaceFolder, model, text: wholeText(text) };
    return await (await this.server.client()).sendRequest<number>(serverRequests.countTokens, params);
  }
}

function show(part: ChatPart, progress: vscode.Progress<vscode.LanguageModelResponsePart>, waking: Waking): void {
  const { text, reasoning, toolCall } = part;
  if (typeof part.waking === "string") {
    waking.show(part.waking);
  }
  if (typeof reasoning === "string") {
    think(reasoning, progress);
  }
  if (typeof text === "string") {
    progress.report(new vscode.LanguageModelTextPart(text));
  }
  if (toolCall) {
    progress.report(new vscode.LanguageModelToolCallPart(toolCall.id, toolCall.name, JSON.parse(toolCall.arguments) as object));
  }
}

/** Whether the chat could show it, apart from the answer. */
function think(text: string, progress: vscode.Progress<vscode.LanguageModelResponsePart>): boolean {
  const Thinking = vscode.LanguageModelThinkingPart;
  if (Thinking) {
    progress.report(new Thinking(text));
  }
  return Thinking !== undefined;
}

/** How far the model's waking is: in the chat, above the answer; in a notification where the chat has no such place. */
class Waking {
  private notification: vscode.Progress<{ message: string }> | undefined;

  constructor(
    private readonly progress: vscode.Progress<vscode.LanguageModelResponsePart>,
    private readonly work: Promise<unknown>,
  ) {}

  show(message: string): void {
    if (think(`${message}\n`, this.progress)) {
      return;
    }
    if (!this.notification) {
      const options = { location: vscode.ProgressLocation.Notification, title: vscode.l10n.t("Waking the model") };
      void vscode.window.withProgress(options, async (notification) => {
        this.notification = notification;
        await this.work.catch(() => undefined); // Said in the chat.
      });
    }
    this.notification?.report({ message });
  }
}

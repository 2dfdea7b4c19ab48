// What the editor has since 1.104 and the oldest one that we run in (1.91) lacks: here for the compiler alone.
// Source: @types/vscode 1.104, in whose words it is.

declare module "vscode" {
  export class LanguageModelTextPart {
    value: string;
    constructor(value: string);
  }

  export class LanguageModelToolCallPart {
    callId: string;
    name: string;
    input: object;
    constructor(callId: string, name: string, input: object);
  }

  /** Not in the published types yet; editors since 1.105 know it, and show it apart from the answer. */
  export const LanguageModelThinkingPart: (new (value: string, id?: string) => LanguageModelResponsePart) | undefined;

  export type LanguageModelResponsePart = LanguageModelTextPart | LanguageModelToolCallPart;

  export interface LanguageModelChatTool {
    name: string;
    description: string;
    inputSchema?: object | undefined;
  }

  export interface ProvideLanguageModelChatResponseOptions {
    readonly modelOptions?: Readonly<Record<string, unknown>>;
    readonly tools?: readonly LanguageModelChatTool[];
    /** 1: the model decides; 2: it must call one. */
    readonly toolMode: number;
  }

  export interface LanguageModelChatInformation {
    readonly id: string;
    readonly name: string;
    readonly family: string;
    readonly tooltip?: string;
    readonly detail?: string;
    readonly version: string;
    readonly maxInputTokens: number;
    readonly maxOutputTokens: number;
    readonly capabilities: { readonly imageInput?: boolean; readonly toolCalling?: boolean | number };
  }

  export interface LanguageModelChatRequestMessage {
    readonly role: number;
    readonly content: readonly unknown[];
    readonly name: string | undefined;
  }

  export interface LanguageModelChatProvider<T extends LanguageModelChatInformation = LanguageModelChatInformation> {
    readonly onDidChangeLanguageModelChatInformation?: Event<void>;
    provideLanguageModelChatInformation(options: { readonly silent: boolean }, token: CancellationToken): ProviderResult<T[]>;
    provideLanguageModelChatResponse(
      model: T,
      messages: readonly LanguageModelChatRequestMessage[],
      options: ProvideLanguageModelChatResponseOptions,
      progress: Progress<LanguageModelResponsePart>,
      token: CancellationToken,
    ): Thenable<void>;
    provideTokenCount(model: T, text: string | LanguageModelChatRequestMessage, token: CancellationToken): Thenable<number>;
  }

  export class McpStdioServerDefinition {
    readonly label: string;
    constructor(label: string, command: string, args?: string[], env?: Record<string, string | number | null>, version?: string);
  }

  export interface McpServerDefinitionProvider {
    readonly onDidChangeMcpServerDefinitions?: Event<void>;
    provideMcpServerDefinitions(token: CancellationToken): ProviderResult<McpStdioServerDefinition[]>;
  }

  export namespace lm {
    /** Not there before 1.101. */
    export const registerMcpServerDefinitionProvider:
      | ((id: string, provider: McpServerDefinitionProvider) => Disposable)
      | undefined;

    /** Not there in older editors. */
    export const registerLanguageModelChatProvider:
      | ((vendor: string, provider: LanguageModelChatProvider) => Disposable)
      | undefined;
  }
}

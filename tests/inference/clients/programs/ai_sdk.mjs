// Vercel's AI SDK: its provider for OpenAI (the Responses API by default), and the one for endpoints like it.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { ASKED, KEY, MODEL, URL, same, shows } from "./told.mjs";

const provider = createOpenAI({ baseURL: URL, apiKey: KEY });
const compatible = createOpenAICompatible({
  name: "endpoint", baseURL: URL, apiKey: KEY, includeUsage: true, supportsStructuredOutputs: true,
});
const CHATS = [provider.chat(MODEL), compatible(MODEL)];
const settings = (model, more) => ({ model, maxRetries: 0, ...more });
const Person = z.object({ name: z.string(), age: z.number().int() });
const tools = {
  get_weather: tool({
    description: "The weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `sunny in ${city}`,
  }),
};
const withTools = (model) => settings(model, { prompt: ASKED, tools, stopWhen: stepCountIs(3) });

await shows("chat", async () => {
  for (const model of CHATS)
    same((await generateText(settings(model, { prompt: "Say hello" }))).text, "Turn 1: Say hello");
});
await shows("streamed", async () => {
  for (const model of CHATS) {
    const found = streamText(settings(model, { prompt: "Say hello" }));
    same(await found.text, "Turn 1: Say hello");
    same((await found.usage).outputTokens > 0, true);
  }
});
await shows("two turns", async () => {
  for (const model of CHATS) {
    const hello = { role: "user", content: "Say hello" };
    const first = await generateText(settings(model, { messages: [hello] }));
    const messages = [hello, ...first.response.messages, { role: "user", content: "And again" }];
    same((await generateText(settings(model, { messages }))).text, "Turn 2: And again");
  }
});
await shows("tools", async () => {
  for (const model of CHATS) same((await generateText(withTools(model))).text, "It is sunny in Rome.");
});
await shows("tools streamed", async () => {
  for (const model of CHATS) {
    let text = "";
    for await (const piece of streamText(withTools(model)).textStream) text += piece;
    same(text, "It is sunny in Rome.");
  }
});
await shows("structured output", async () => {
  for (const model of CHATS) {
    const more = { prompt: "Say", output: Output.object({ schema: Person }) };
    Person.parse((await generateText(settings(model, more))).output);
  }
});
await shows("Responses API", async () => {
  const model = provider(MODEL);
  same((await generateText(withTools(model))).text, "It is sunny in Rome.");
  same(await streamText(withTools(model)).text, "It is sunny in Rome.");
  const hello = { role: "user", content: "Say hello" };
  // Else it refers to turns that it takes to be stored.
  const providerOptions = { openai: { store: false } };
  const first = await generateText(settings(model, { messages: [hello], providerOptions }));
  const messages = [hello, ...first.response.messages, { role: "user", content: "And again" }];
  same((await generateText(settings(model, { messages, providerOptions }))).text, "Turn 2: And again");
  Person.parse((await generateText(settings(model, { prompt: "Say", output: Output.object({ schema: Person }) }))).output);
});
await shows("completions", async () => {
  const model = compatible.completionModel(MODEL);
  // It writes "user:" and "assistant:" around the prompt, of which the model makes nothing.
  const answer = await generateText(settings(model, { prompt: "Hello", maxOutputTokens: 4 }));
  same(["stop", "length"].includes(answer.finishReason), true);
});

// OpenAI's Agents SDK for Node: the Responses API by default, chat completions when told.
import { Agent, OpenAIChatCompletionsModel, run, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { ASKED, MODEL, same, shows } from "./told.mjs";

setTracingDisabled(true);
const chat = new OpenAIChatCompletionsModel(new OpenAI({ maxRetries: 0 }), MODEL);
const weather = tool({
  name: "get_weather",
  description: "The weather in a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});
const agent = (model, more = {}) => new Agent({ name: "one", model, ...more });

await shows("chat", async () => same((await run(agent(chat), "Say hello")).finalOutput, "Turn 1: Say hello"));
await shows("tools", async () => {
  same((await run(agent(chat, { tools: [weather] }), ASKED)).finalOutput, "It is sunny in Rome.");
});
await shows("tools streamed", async () => {
  const found = await run(agent(chat, { tools: [weather] }), ASKED, { stream: true });
  await found.completed;
  same(found.finalOutput, "It is sunny in Rome.");
});
await shows("two turns", async () => {
  const first = await run(agent(chat), "Say hello");
  const again = [...first.history, { role: "user", content: "And again" }];
  same((await run(agent(chat), again)).finalOutput, "Turn 2: And again");
});
await shows("structured output", async () => {
  const Person = z.object({ name: z.string(), age: z.number().int() });
  Person.parse((await run(agent(chat, { outputType: Person }), "Say")).finalOutput);
});
await shows("Responses API", async () => {
  const first = await run(agent(MODEL, { tools: [weather] }), ASKED);
  same(first.finalOutput, "It is sunny in Rome.");
  const again = [...first.history, { role: "user", content: "And again" }];
  same((await run(agent(MODEL, { tools: [weather] }), again)).finalOutput, "Turn 2: And again");
});

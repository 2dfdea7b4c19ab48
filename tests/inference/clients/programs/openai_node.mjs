// The official client for Node.
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { ASKED, MODEL, PROMPT, WEATHER, WEATHER_TOOL, same, shows } from "./told.mjs";

const client = new OpenAI({ maxRetries: 0 });
const HELLO = [{ role: "user", content: "Say hello" }];
const Person = z.object({ name: z.string(), age: z.number().int() });
const ask = (messages, more = {}) => client.chat.completions.create({ model: MODEL, messages, ...more });

await shows("chat", async () => {
  const answer = await ask(HELLO);
  same(answer.choices[0].message.content, "Turn 1: Say hello");
});
await shows("streamed", async () => {
  let text = "";
  for await (const chunk of await ask(HELLO, { stream: true, stream_options: { include_usage: true } }))
    text += chunk.choices[0]?.delta.content ?? "";
  same(text, "Turn 1: Say hello");
});
await shows("two turns", async () => {
  const first = (await ask(HELLO)).choices[0].message;
  const again = await ask([...HELLO, first, { role: "user", content: "And again" }]);
  same(again.choices[0].message.content, "Turn 2: And again");
});
const runnable = {
  type: "function",
  function: { ...WEATHER_TOOL.function, parse: JSON.parse, function: ({ city }) => `sunny in ${city}` },
};
await shows("tools", async () => {
  const asked = { model: MODEL, messages: [{ role: "user", content: ASKED }], tools: [runnable] };
  same(await client.chat.completions.runTools(asked).finalContent(), "It is sunny in Rome.");
});
await shows("tools streamed", async () => {
  const asked = { model: MODEL, messages: [{ role: "user", content: ASKED }], tools: [runnable], stream: true };
  same(await client.chat.completions.runTools(asked).finalContent(), "It is sunny in Rome.");
});
await shows("structured output", async () => {
  const asked = { model: MODEL, messages: HELLO, response_format: zodResponseFormat(Person, "person") };
  Person.parse((await client.chat.completions.parse(asked)).choices[0].message.parsed);
});
await shows("Responses API", async () => {
  const first = await client.responses.create({ model: MODEL, input: "Say hello" });
  same(first.output_text, "Turn 1: Say hello");
  const again = [...HELLO, ...first.output, { role: "user", content: "And again" }];
  same((await client.responses.create({ model: MODEL, input: again })).output_text, "Turn 2: And again");
  const tools = [{ type: "function", name: "get_weather", parameters: WEATHER, strict: false }];
  const stream = client.responses.stream({ model: MODEL, input: ASKED, tools });
  same(JSON.parse((await stream.finalResponse()).output[0].arguments), { city: "Rome" });
  const text = { format: zodTextFormat(Person, "person") };
  Person.parse((await client.responses.parse({ model: MODEL, input: "Say", text })).output_parsed);
});
await shows("completions", async () => {
  const answer = await client.completions.create({ model: MODEL, prompt: PROMPT, max_tokens: 4, logprobs: 1 });
  same(answer.choices[0].text, "Turn");
  same(answer.choices[0].logprobs.tokens.length, 4);
});
await shows("models", async () => {
  const found = [];
  for await (const each of client.models.list()) found.push(each.id);
  same(found.includes(MODEL), true);
});
await shows("errors", async () => {
  const long = [{ role: "user", content: "word ".repeat(40_000) }];
  const error = await ask(long).catch((refused) => refused);
  same([error.constructor.name, error.code], ["BadRequestError", "context_length_exceeded"]);
});

// LangChain for Node.
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { ASKED, MODEL, WEATHER_TOOL, same, shows } from "./told.mjs";

const model = (more = {}) => new ChatOpenAI({ model: MODEL, maxRetries: 0, ...more });
const Person = z.object({ name: z.string(), age: z.number().int() });

await shows("chat", async () => same((await model().invoke("Say hello")).text, "Turn 1: Say hello"));
await shows("streamed", async () => {
  let text = "";
  for await (const chunk of await model().stream("Say hello")) text += chunk.text;
  same(text, "Turn 1: Say hello");
});
await shows("two turns", async () => {
  const first = await model().invoke("Say hello");
  same((await model().invoke([["user", "Say hello"], first, ["user", "And again"]])).text, "Turn 2: And again");
});
await shows("tools", async () => {
  const called = await model().bindTools([WEATHER_TOOL]).invoke(ASKED);
  same(called.tool_calls[0].args, { city: "Rome" });
});
await shows("structured output", async () => {
  for (const method of ["jsonSchema", "functionCalling"])
    Person.parse(await model().withStructuredOutput(Person, { method }).invoke("Jason is 25 years old"));
});
await shows("Responses API", async () => {
  const answer = await model({ useResponsesApi: true }).invoke("Say hello");
  same(answer.text, "Turn 1: Say hello");
});

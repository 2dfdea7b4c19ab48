// The AI SDK's first call, to an endpoint that is asleep: nothing is set but address, key and model.
import { openai } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";
import assert from "node:assert/strict";
import { MODEL, shows } from "./told.mjs";

const prompt = "What is the capital of Japan?";
const asking = {
  whole: generateText({ model: openai(MODEL), prompt, maxOutputTokens: 16 }).then((found) => found.text),
  streamed: Promise.resolve(streamText({ model: openai.chat(MODEL), prompt, maxOutputTokens: 16 }).text),
};
for (const each of Object.values(asking)) each.catch(() => {}); // told below
for (const [how, asked] of Object.entries(asking)) await shows(how, async () => assert.ok(await asked));

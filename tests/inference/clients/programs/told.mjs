// What a client's program tells: a line of JSON for each feature, which worked or did not, and why not.
import assert from "node:assert/strict";

export const URL = process.env.OPENAI_BASE_URL;
export const KEY = process.env.OPENAI_API_KEY;
export const MODEL = process.env.MODEL;
export const ASKED = "What is the weather in Rome?";
export const PROMPT = "<|start|>user\nHi<|end|><|start|>assistant\n";
export const WEATHER = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
export const WEATHER_TOOL = {
  type: "function",
  function: { name: "get_weather", description: "The weather in a city.", parameters: WEATHER },
};
export const same = (found, wanted, more) => assert.deepEqual(found, wanted, more);

export async function shows(feature, tried) {
  let told = { feature, works: true, why: "" };
  try {
    await tried();
  } catch (error) {
    console.error(error);
    told = { feature, works: false, why: String(error).slice(0, 400) };
  }
  console.log(`TOLD ${JSON.stringify(told)}`);
}

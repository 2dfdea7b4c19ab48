// Continue, by its command line: its editor extensions send the same requests, always with tools.
import { asked, settings } from "./agents.mjs";
import { KEY, MODEL, URL, same, shows } from "./told.mjs";

const model = { name: "judged", provider: "openai", model: MODEL, apiBase: URL, apiKey: KEY, capabilities: ["tool_use"] };
const config = settings("config.yaml", JSON.stringify({ name: "judged", version: "1.0.0", schema: "v1", models: [model] }));

await shows("streamed", () => same(/Turn 1: Say hello/.test(asked("cn", "-p", "Say hello", "--config", config)), true));
await shows("tools streamed", () => {
  settings("poem.txt", "roses are red");
  const answer = asked("cn", "-p", "Call Read in 'poem.txt'", "--config", config);
  same(/roses are red/.test(answer), true, answer);
});

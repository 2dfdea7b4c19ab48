// opencode, by chat completions.
import { asked, settings } from "./agents.mjs";
import { KEY, MODEL, URL, same, shows } from "./told.mjs";

const options = { baseURL: URL, apiKey: KEY };
const judged = { npm: "@ai-sdk/openai-compatible", options, models: { [MODEL]: { name: MODEL, tool_call: true } } };
const config = { provider: { judged }, model: `judged/${MODEL}`, small_model: `judged/${MODEL}`, autoupdate: false };
settings(".config/opencode/opencode.json", JSON.stringify(config));

await shows("streamed", () => same(/Turn 1: "?Say hello/.test(asked("opencode", "run", "Say hello")), true));

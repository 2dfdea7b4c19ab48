// OpenAI's Codex, by the Responses API: it offers functions beside tools that only OpenAI has.
import { asked, settings } from "./agents.mjs";
import { MODEL, URL, same, shows } from "./told.mjs";

settings(".codex/config.toml", `
model = "${MODEL}"
model_provider = "judged"
[model_providers.judged]
name = "judged"
base_url = "${URL}"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
`);
const ask = (question) => asked("codex", "exec", "--skip-git-repo-check", question);

await shows("Responses API", () => same(/Turn \d: Say hello/.test(ask("Say hello")), true));
await shows("tools streamed", () => {
  const answer = ask("Call exec_command in 'echo roses'");
  same(/It is .*roses/s.test(answer), true, answer);
});

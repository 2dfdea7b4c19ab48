import { expect, test } from "vitest";
import { plainMessages, plainTools, wholeText } from "../src/chat_parts";

const text = (value: string): object => ({ value });
const call = { callId: "1", name: "look", input: { at: "sea" } };
const result = { callId: "1", content: [text("a "), { value: { html: "ship" } }, "!"] };
const data = (mimeType: string, bytes: string): object => ({ mimeType, data: new TextEncoder().encode(bytes) });

test("texts, calls and results of a message are told apart", () => {
  const [asked, answered, back] = plainMessages([
    { role: 1, content: [text("Look"), text(" out")] },
    { role: 2, content: [text("Well"), call] },
    { role: 1, content: [result] },
  ]);

  expect(asked).toEqual({ role: "user", text: "Look out", toolCalls: [], toolResults: [] });
  expect(answered?.toolCalls).toEqual([{ id: "1", name: "look", arguments: '{"at":"sea"}' }]);
  expect(answered?.text).toBe("Well");
  expect(back).toEqual({ role: "user", text: "", toolCalls: [], toolResults: [{ id: "1", text: 'a {"html":"ship"}!' }] });
});

test("an instruction is the system's; an unknown role is the person's", () => {
  expect(plainMessages([{ role: 3, content: [] }, { role: 9, content: [] }]).map(({ role }) => role)).toEqual(["system", "user"]);
});

test("what a model thought, and an editor's hints for other models, do not go back to it", () => {
  const thought = { value: "Hm.", id: undefined, metadata: undefined };

  expect(plainMessages([{ role: 2, content: [thought, text("Ahoy"), data("cache_control", "ephemeral")] }])[0]?.text).toBe("Ahoy");
});

test("a text file is read, a picture is named", () => {
  const content = [data("text/markdown", "# Sea"), data("application/json", "{}"), data("image/png", "x")];

  expect(plainMessages([{ role: 1, content }])[0]?.text).toBe("# Sea{}(a file of type image/png, which this model cannot read)");
});

test("everything that costs tokens is counted", () => {
  expect(wholeText("Ahoy")).toBe("Ahoy");
  expect(wholeText({ role: 2, content: [text("Well"), call, result] })).toBe('Well\nlook {"at":"sea"}\na {"html":"ship"}!');
});

test("a tool's schema goes as it is; one without takes nothing", () => {
  const tools = [{ name: "look", description: "Looks", inputSchema: { type: "object" } }, { name: "rest", description: "" }];

  expect(plainTools(tools)).toEqual([
    { name: "look", description: "Looks", parameters: '{"type":"object"}' },
    { name: "rest", description: "", parameters: "" },
  ]);
});

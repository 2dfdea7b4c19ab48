import { expect, test } from "vitest";
import { mayOpen, RestartBudget, withoutPayload } from "../src/safeguards";

test.each(["https://app.example.azurecontainerapps.io/#aitk=1.ab", "http://127.0.0.1:7860/", "http://localhost:1/x", "http://[::1]:1/"])(
  "an address that a person can trust is opened: %s",
  (address) => {
    expect(mayOpen(address)).toBe(true);
  },
);

test.each(["http://example.com/", "http://127.0.0.1.example.com/", "file:///etc/passwd", "vscode://x/y", "https://user:secret@host/", "command:x", ""])(
  "anything else stays shut: %s",
  (address) => {
    expect(mayOpen(address)).toBe(false);
  },
);

test("the third death in a row is the last", () => {
  const budget = new RestartBudget(3, 1_000);

  expect([0, 10, 20].map((now) => budget.mayRestart(now))).toEqual([true, true, false]);
});

test("deaths that lie far apart are not in a row", () => {
  const budget = new RestartBudget(3, 1_000);

  expect([0, 2_000, 4_000, 6_000].map((now) => budget.mayRestart(now))).toEqual([true, true, true, true]);
});

test("a start that a person asked for begins to count anew", () => {
  const budget = new RestartBudget(2, 1_000);
  budget.mayRestart(0);
  budget.reset();

  expect(budget.mayRestart(1)).toBe(true);
});

test("a trace tells which messages went, and nothing of what was in them", () => {
  const lines: string[] = [];
  const channel = {
    level: 1,
    trace: (line: string) => {
      lines.push(line);
    },
  };
  const traced = withoutPayload(channel);

  traced.trace("Received request 'aiToolkit/copy - (4)'.\nParams: {\"text\": \"the key\"}");
  traced.trace('{"type":"send-request","params":{"text":"the key"}}');

  expect(lines).toEqual(["Received request 'aiToolkit/copy - (4)'.", "(message)"]);
  expect(traced.level).toBe(1);
});

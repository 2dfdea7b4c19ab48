import { expect, test } from "vitest";
import { withoutPayload } from "../src/trace";

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

import { expect, test } from "vitest";
import { mayOpen } from "../src/external";

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

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** The texts in `l10n.t("…")` of our sources. */
function texts(): readonly string[] {
  const sources = readdirSync(join(root, "src")).map((name) => readFileSync(join(root, "src", name), "utf8"));
  return sources.flatMap((source) =>
    [...source.matchAll(/l10n\.t\(\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)')/g)].map((found) => found[1] ?? found[2] ?? ""),
  );
}

test("every text of the shell can be translated: the bundle holds it", () => {
  const bundle = JSON.parse(readFileSync(join(root, "l10n/bundle.l10n.json"), "utf8")) as Record<string, string>;

  expect(Object.keys(bundle).sort()).toEqual([...new Set(texts())].sort());
});

test("every %key% of package.json is in package.nls.json, and nothing else is", () => {
  const keys = [...readFileSync(join(root, "package.json"), "utf8").matchAll(/"%([^"%]+)%"/g)].map((found) => found[1]);
  const texts = JSON.parse(readFileSync(join(root, "package.nls.json"), "utf8")) as Record<string, string>;

  expect(Object.keys(texts).sort()).toEqual([...new Set(keys)].sort());
});

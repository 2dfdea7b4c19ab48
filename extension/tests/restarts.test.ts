import { expect, test } from "vitest";
import { RestartBudget } from "../src/restarts";

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

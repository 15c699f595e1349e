import { expect, test, vi } from "vitest";
import type { Page } from "../api/pages";
import { answer, idsOf, type Item, page, server, show, tell } from "./listInView";

test("announces at once what live events tell of, and asks for it when it is to be shown", async () => {
  const list = await show(async () => page([1]), { isNews: () => true });
  tell({ id: 3 });
  tell({ id: 3 });
  tell({ id: 1 });
  expect([list.newer, server.asked]).toEqual([1, []]);
  server.answers = [() => answer([3, 2]), () => answer([])];
  await list.showNewer();
  expect([idsOf(list), list.newer]).toEqual([[3, 2, 1], 0]);
});

test("counts what is announced while or after it asks for what is newer once", async () => {
  const list = await show(async () => page([1]), { isNews: () => true });
  server.answers = [() => (tell({ id: 2 }), answer([2]))];
  await list.checkNewer();
  expect(list.newer).toBe(1);
  tell({ id: 2 });
  expect(list.newer).toBe(1);
  tell({ id: 3 });
  expect(list.newer).toBe(2);
});

test("does not announce what is gone when it is to be shown", async () => {
  const list = await show(async () => page([1]), { isNews: () => true });
  tell({ id: 2 });
  server.answers = [() => answer([])];
  await list.showNewer();
  expect([idsOf(list), list.newer]).toEqual([[1], 0]);
});

test("shows news in an empty list, and asks after more than live events can tell of", async () => {
  const list = await show(async () => page([]), { isNews: () => true });
  server.answers = [() => answer([1]), () => answer([3, 2])];
  tell({ id: 1 });
  await vi.advanceTimersByTimeAsync(0);
  expect([idsOf(list), list.newer]).toEqual([[1], 0]);
  tell(null);
  await vi.advanceTimersByTimeAsync(0);
  expect(list.newer).toBe(2);
});

test("asks for what is newer than the first page if there may be more than it has", async () => {
  let load = (_: Page<Item>) => {};
  const list = await show(() => new Promise((resolve) => (load = resolve)));
  tell(null);
  expect(server.asked).toEqual([]);
  server.answers = [() => answer([2])];
  load(page([1]));
  await vi.advanceTimersByTimeAsync(0);
  expect([idsOf(list), list.newer]).toEqual([[1], 1]);
});

test("asks again if there may be more than a question tells that is already under way", async () => {
  const list = await show(async () => page([1]));
  server.answers = [() => (tell(null), answer([])), () => answer([2])];
  await list.checkNewer();
  await vi.advanceTimersByTimeAsync(0);
  expect([idsOf(list), list.newer]).toEqual([[1], 1]);
});

test("announces nothing that is not of the list", async () => {
  const list = await show(async () => page([1]), { isNews: ({ id }) => id !== 2 });
  tell({ id: 2 });
  expect(list.newer).toBe(0);
});

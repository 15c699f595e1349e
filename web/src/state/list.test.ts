import { expect, test, vi } from "vitest";
import type { Page } from "../api/pages";
import { answer, idsOf, type Item, page, server, show } from "./listInView";

test("loads page by page", async () => {
  const list = await show(async () => page([9, 8], "?cursor=8"));
  server.answers = [() => answer([7])];
  await Promise.all([list.more(), list.more()]);
  await list.more();
  expect([idsOf(list), server.asked, list.hasMore]).toEqual([[9, 8, 7], ["?cursor=8"], false]);
});

test("is not empty while there may be more", async () => {
  const list = await show(async () => page([], "?cursor=8"));
  expect(list.isEmpty).toBe(false);
  server.answers = [() => answer([])];
  await list.more();
  expect(list.isEmpty).toBe(true);
});

test("drops an answer that comes after the list was started again", async () => {
  const responses: ((page: Page<Item>) => void)[] = [];
  const list = await show(() => new Promise((resolve) => responses.push(resolve)));
  const again = list.reload();
  responses[1]!(page([2]));
  await again;
  responses[0]!(page([1]));
  await vi.advanceTimersByTimeAsync(0);
  expect(idsOf(list)).toEqual([2]);
});

test("says why the API refuses it, and what is not there", async () => {
  const refused = { detail: [{ type: "string_too_long", loc: ["q"], msg: "at most 255" }] };
  const list = await show(async () => page([1], "?cursor=8"));
  server.answers = [() => Response.json(refused, { status: 422 })];
  await list.more();
  expect([list.status, list.refusal]).toEqual(["refused", "At most 255 characters."]);
  server.answers = [() => answer([], "", 404)];
  await list.more();
  expect(list.status).toBe("not-found");
});

test("appends an item at the end only if the end is loaded", async () => {
  const list = await show(async () => page([1], "?cursor=1"));
  list.append({ id: 9 });
  server.answers = [() => answer([2])];
  await list.more();
  list.append({ id: 10 });
  expect(idsOf(list)).toEqual([1, 2, 10]);
});

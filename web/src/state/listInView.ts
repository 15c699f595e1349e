/** For tests: a list in a view that is kept, the API that it asks, and the stream of live events. */

import { afterEach, beforeEach, vi } from "vitest";
import { createApp, defineComponent, h, KeepAlive, nextTick, ref } from "vue";
import type { Page } from "../api/pages";
import { useList, type List } from "./list";

export interface Item {
  id: number;
}

const ROOT = "http://localhost:3000/list/";

/** The API: what it answers to the next requests, and what it was asked. */
export const server = {
  answers: [] as (() => Response | Promise<Response>)[],
  asked: [] as string[],
};

let items: Map<number, Item>;
let unmount = () => {};
let listener = (_: Item | null) => {};

vi.mock("./live", () => ({
  onNews: (listening: (item: Item | null) => void) => {
    listener = listening;
    return () => (listener = () => {});
  },
}));

beforeEach(() => {
  vi.useFakeTimers();
  [server.answers, server.asked, items] = [[], [], new Map()];
  vi.stubGlobal("fetch", async (request: Request) => {
    server.asked.push(new URL(request.url).search);
    return server.answers.shift()!();
  });
});

afterEach(() => {
  leave();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Tell by the stream of live events of an item, or that there may be more. */
export function tell(item: Item | null): void {
  listener(item);
}

/** Leave the view for good. */
export function leave(): void {
  unmount();
}

/** Return an answer with a page of these items. */
export function answer(ids: number[], link = "", status = 200): Response {
  const response = Response.json(
    ids.map((id) => ({ id })),
    { status, headers: { Link: link } },
  );
  return Object.defineProperty(response, "url", { value: ROOT });
}

export function page(ids: number[], next: string | null = null): Page<Item> {
  const previous = `${ROOT}?newer_than=${ids[0] ?? 0}`;
  return { items: ids.map((id) => ({ id })), next: next && ROOT + next, previous };
}

/** Return the one object for an item. */
function adopt(item: Item): Item {
  if (!items.has(item.id)) items.set(item.id, item);
  return items.get(item.id)!;
}

/** Use a list in a view; `isLate` has it made after the view is on the page. */
export async function show(
  first: () => Promise<Page<Item>>,
  { isLate = false, isNews }: { isLate?: boolean; isNews?: (item: Item) => boolean } = {},
): Promise<List<Item>> {
  let list!: List<Item>;
  const isThere = ref(!isLate);
  const Feed = defineComponent(() => {
    list = useList(first, adopt, isNews as (item: unknown) => boolean);
    return () => null;
  });
  const View = defineComponent(() => () => (isThere.value ? h(Feed) : null));
  const app = createApp(() => h(KeepAlive, () => h(View)));
  app.mount(document.createElement("div"));
  unmount = () => app.unmount();
  isThere.value = true;
  await nextTick();
  await vi.advanceTimersByTimeAsync(0);
  return list;
}

export function idsOf(list: List<Item>): number[] {
  return list.pages.flat().map(({ id }) => id);
}

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createApp, defineComponent, h, KeepAlive, nextTick, ref } from "vue";
import type { Page } from "../api/pages";
import { useList, type List } from "./list";

interface Item {
  id: number;
}

const ROOT = "http://localhost:3000/list/";
let answers: (() => Response | Promise<Response>)[] = [];
let asked: string[] = [];
let stop = () => {};
let items: Map<number, Item>;

/** What the stream of live events tells of. */
let tell = (_: Item | null) => {};

vi.mock("./live", () => ({
  onNews: (listener: (item: Item | null) => void) => {
    tell = listener;
    return () => (tell = () => {});
  },
}));

/** Answer the next request with a page of these items. */
function answer(ids: number[], link = "", status = 200): Response {
  const response = Response.json(
    ids.map((id) => ({ id })),
    { status, headers: { Link: link } },
  );
  return Object.defineProperty(response, "url", { value: ROOT });
}

beforeEach(() => {
  vi.useFakeTimers();
  [answers, asked, items] = [[], [], new Map()];
  vi.stubGlobal("fetch", async (request: Request) => {
    asked.push(new URL(request.url).search);
    return answers.shift()!();
  });
});

afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function page(ids: number[], next: string | null = null): Page<Item> {
  const previous = `${ROOT}?newer_than=${ids[0] ?? 0}`;
  return { items: ids.map((id) => ({ id })), next: next && ROOT + next, previous };
}

/** Return the one object for an item. */
function adopt(item: Item): Item {
  if (!items.has(item.id)) items.set(item.id, item);
  return items.get(item.id)!;
}

/** Use a list in a view that is kept; `isLate` has it made after the view is on the page. */
async function show(
  first: () => Promise<Page<Item>>,
  isLate = false,
  isNews?: (item: Item) => boolean,
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
  stop = () => app.unmount();
  isThere.value = true;
  await nextTick();
  await vi.advanceTimersByTimeAsync(0);
  return list;
}

function idsOf(list: List<Item>): number[] {
  return list.pages.flat().map(({ id }) => id);
}

test("loads page by page", async () => {
  const list = await show(async () => page([9, 8], "?cursor=8"));
  answers = [() => answer([7])];
  await Promise.all([list.more(), list.more()]);
  await list.more();
  expect([idsOf(list), asked, list.hasMore]).toEqual([[9, 8, 7], ["?cursor=8"], false]);
});

test("asks every minute for what is newer, and shows it when told to", async () => {
  const list = await show(async () => page([1]));
  answers = [() => answer([3, 2], '<?newer_than=3>; rel="prev"'), () => answer([])];
  await vi.advanceTimersByTimeAsync(60_000);
  expect([list.newer, idsOf(list)]).toEqual([2, [1]]);
  await list.showNewer();
  expect([list.newer, idsOf(list)]).toEqual([0, [3, 2, 1]]);
});

test("asks for what is newer also if the list came after its view", async () => {
  const list = await show(async () => page([1]), true);
  answers = [() => answer([2])];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(list.newer).toBe(1);
});

test("asks for what is newer when its tab is looked at again", async () => {
  const list = await show(async () => page([1]));
  const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(true);
  tell(null);
  await vi.advanceTimersByTimeAsync(0);
  expect(asked).toEqual([]);
  hidden.mockRestore();
  answers = [() => answer([2])];
  document.dispatchEvent(new Event("visibilitychange"));
  await vi.advanceTimersByTimeAsync(0);
  expect(list.newer).toBe(1);
});

test("does not ask for what is newer after it has gone", async () => {
  await show(async () => page([1]));
  stop();
  document.dispatchEvent(new Event("visibilitychange"));
  await vi.advanceTimersByTimeAsync(180_000);
  expect(asked).toEqual([]);
});

test("stays as it is when what is newer cannot be had", async () => {
  const list = await show(async () => page([1]));
  answers = [() => answer([], "", 500)];
  await list.checkNewer();
  expect(list.status).toBe("idle");
});

test("asks once for what is newer, however often it is told to", async () => {
  const list = await show(async () => page([1]));
  answers = [() => answer([2])];
  await Promise.all([list.checkNewer(), list.checkNewer()]);
  expect(asked).toEqual(["?newer_than=1"]);
});

test("shows nothing twice if it asks while what is newer is shown", async () => {
  const list = await show(async () => page([1]));
  answers = [() => answer([2], '<?newer_than=2>; rel="prev"')];
  await list.checkNewer();
  let respond!: (response: Response) => void;
  answers = [() => new Promise((resolve) => (respond = resolve)), () => answer([])];
  const late = list.checkNewer();
  await vi.advanceTimersByTimeAsync(0);
  await list.showNewer();
  respond(answer([3, 2], '<?newer_than=3>; rel="prev"'));
  await late;
  await list.showNewer();
  expect(idsOf(list)).toEqual([2, 1]);
});

test("goes on where a page of newer items that has none ends", async () => {
  const list = await show(async () => page([1]));
  answers = [() => answer([], '<?newer_than=50>; rel="prev"'), () => answer([60])];
  await list.checkNewer();
  await list.checkNewer();
  expect([asked, list.newer]).toEqual([["?newer_than=1", "?newer_than=50"], 1]);
});

test("asks for the rest at once when more than a page was newer", async () => {
  const list = await show(async () => page([1]));
  const link = '<?cursor=2>; rel="next", <?newer_than=3>; rel="prev"';
  answers = [() => answer([3, 2], link), () => answer([4])];
  await list.checkNewer();
  await list.showNewer();
  await vi.advanceTimersByTimeAsync(0);
  expect([idsOf(list), list.newer]).toEqual([[3, 2, 1], 1]);
});

test("is not empty while there may be more", async () => {
  const list = await show(async () => page([], "?cursor=8"));
  expect(list.isEmpty).toBe(false);
  answers = [() => answer([])];
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
  answers = [() => Response.json(refused, { status: 422 })];
  await list.more();
  expect([list.status, list.refusal]).toEqual(["refused", "At most 255 characters."]);
  answers = [() => answer([], "", 404)];
  await list.more();
  expect(list.status).toBe("not-found");
});

test("appends an item at the end only if the end is loaded", async () => {
  const list = await show(async () => page([1], "?cursor=1"));
  list.append({ id: 9 });
  answers = [() => answer([2])];
  await list.more();
  list.append({ id: 10 });
  expect(idsOf(list)).toEqual([1, 2, 10]);
});

test("announces at once what live events tell of, and asks for it when it is to be shown", async () => {
  const list = await show(
    async () => page([1]),
    false,
    () => true,
  );
  tell({ id: 3 });
  tell({ id: 3 });
  tell({ id: 1 });
  expect([list.newer, asked]).toEqual([1, []]);
  answers = [() => answer([3, 2]), () => answer([])];
  await list.showNewer();
  expect([idsOf(list), list.newer]).toEqual([[3, 2, 1], 0]);
});

test("counts what is announced while or after it asks for what is newer once", async () => {
  const list = await show(
    async () => page([1]),
    false,
    () => true,
  );
  answers = [() => (tell({ id: 2 }), answer([2]))];
  await list.checkNewer();
  expect(list.newer).toBe(1);
  tell({ id: 2 });
  expect(list.newer).toBe(1);
  tell({ id: 3 });
  expect(list.newer).toBe(2);
});

test("does not announce what is gone when it is to be shown", async () => {
  const list = await show(
    async () => page([1]),
    false,
    () => true,
  );
  tell({ id: 2 });
  answers = [() => answer([])];
  await list.showNewer();
  expect([idsOf(list), list.newer]).toEqual([[1], 0]);
});

test("shows news in an empty list, and asks after more than live events can tell of", async () => {
  const list = await show(
    async () => page([]),
    false,
    () => true,
  );
  answers = [() => answer([1]), () => answer([3, 2])];
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
  expect(asked).toEqual([]);
  answers = [() => answer([2])];
  load(page([1]));
  await vi.advanceTimersByTimeAsync(0);
  expect([idsOf(list), list.newer]).toEqual([[1], 1]);
});

test("announces nothing that is not of the list", async () => {
  const list = await show(
    async () => page([1]),
    false,
    ({ id }) => id !== 2,
  );
  tell({ id: 2 });
  expect(list.newer).toBe(0);
});

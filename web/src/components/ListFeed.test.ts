import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createApp, defineComponent, h, nextTick, onUnmounted, shallowReactive } from "vue";
import type { List } from "../state/list";
import ListFeed from "./ListFeed.vue";

interface Item {
  id: number;
}

/** The browser's observer, for which there is no layout here; tests tell what is on the screen. */
class Observer {
  static all: Observer[] = [];
  targets = new Set<Element>();

  constructor(
    readonly callback: IntersectionObserverCallback,
    readonly options: IntersectionObserverInit,
  ) {
    Observer.all.push(this);
  }

  observe(target: Element): void {
    this.targets.add(target);
    // A new target is reported in any case.
    if (target.matches(".end")) this.report(target, isEndNear);
  }

  unobserve(target: Element): void {
    this.targets.delete(target);
  }

  disconnect(): void {
    this.targets.clear();
  }

  report(target: Element, isIntersecting: boolean, height = 0): void {
    const entry = { target, isIntersecting, boundingClientRect: { height } };
    this.callback([entry] as IntersectionObserverEntry[], this as never);
  }
}

let isEndNear = true;
let gone: number[] = [];
let stop = () => {};

beforeEach(() => {
  [isEndNear, gone, Observer.all] = [true, [], []];
  vi.stubGlobal("IntersectionObserver", Observer);
});

afterEach(() => {
  stop();
  vi.unstubAllGlobals();
});

const Card = defineComponent({
  props: { id: { type: Number, required: true } },
  setup(props) {
    onUnmounted(() => gone.push(props.id));
    return () => h("article", [h("button", `post ${props.id}`), props.id > 1 ? h("form") : null]);
  },
});

function listOf(pages: number[][], rest: Partial<List<Item>> = {}): List<Item> {
  return shallowReactive({
    pages: pages.map((ids) => ids.map((id) => ({ id }))),
    status: "idle",
    refusal: "",
    hasMore: false,
    isEmpty: false,
    newer: 0,
    more: vi.fn(),
    reload: vi.fn(),
    checkNewer: vi.fn(),
    showNewer: vi.fn(),
    append: vi.fn(),
    ...rest,
  } as List<Item>);
}

async function show(list: List<Item>): Promise<HTMLElement> {
  const root = document.createElement("div");
  document.body.append(root);
  const props = { list, keyOf: ({ id }: Item) => id, empty: "home.empty", label: "Posts" } as const;
  const slot = ({ item }: { item: Item }) => h(Card, { key: item.id, id: item.id });
  const app = createApp(() => h(ListFeed<Item>, props, { default: slot }));
  app.mount(root);
  stop = () => {
    app.unmount();
    root.remove();
  };
  await nextTick();
  return root;
}

/** Report whether a page of the list is near the screen. */
async function scroll(root: HTMLElement, index: number, isNear: boolean): Promise<void> {
  const section = root.querySelectorAll("[role=feed] > div")[index]!;
  const observer = Observer.all.find(({ targets }) => targets.has(section))!;
  observer.report(section, isNear, 400);
  await nextTick();
}

test("loads on until the end is far", async () => {
  const list = listOf([[1]], { hasMore: true });
  list.more = vi.fn(async () => {
    isEndNear = list.pages.length < 2;
    Object.assign(list, { pages: [...list.pages, [{ id: list.pages.length + 1 }]] });
  });
  await show(list);
  await vi.waitFor(() => expect(list.more).toHaveBeenCalledTimes(2));
});

test("loads on when the first page comes late and the end is still near", async () => {
  const list = listOf([], { status: "loading" });
  await show(list);
  Object.assign(list, { pages: [[{ id: 1 }]], hasMore: true });
  Object.assign(list, { status: "idle", more: vi.fn(async () => void (isEndNear = false)) });
  await vi.waitFor(() => expect(list.more).toHaveBeenCalledTimes(1));
});

test("leaves the height of a page that is far, and brings it back", async () => {
  const root = await show(listOf([[1], [2]]));
  await scroll(root, 0, false);
  const [first] = root.querySelectorAll<HTMLElement>("[role=feed] > div");
  expect([first!.style.height, gone]).toEqual(["400px", [1]]);
  await scroll(root, 0, true);
  expect([first!.style.height, first!.textContent]).toEqual(["", "post 1"]);
});

test("keeps a page that is far while the focus or a text that is written is in it", async () => {
  const root = await show(listOf([[1], [2]]));
  root.querySelector("button")!.focus();
  await scroll(root, 0, false);
  await scroll(root, 1, false);
  expect(gone).toEqual([]);
});

test("keeps the cards as they are when newer ones come in front of them", async () => {
  const list = listOf([[2], [1]]);
  const root = await show(list);
  await scroll(root, 1, false);
  gone = [];
  Object.assign(list, { pages: [[{ id: 3 }], ...list.pages] });
  await nextTick();
  expect([gone, root.querySelector("[role=feed]")!.textContent]).toEqual([[], "post 3post 2"]);
});

test("has the focus in the list after what is newer was shown", async () => {
  const list = listOf([[1]], { newer: 2 });
  list.showNewer = async () => void Object.assign(list, { newer: 0 });
  const root = await show(list);
  root.querySelector<HTMLButtonElement>(".newer")!.focus();
  root.querySelector<HTMLButtonElement>(".newer")!.click();
  await vi.waitFor(() => expect(document.activeElement?.getAttribute("role")).toBe("feed"));
});

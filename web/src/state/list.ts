/** A list of the API as a view shows it: pages loaded so far, and what is newer. */

import {
  onActivated,
  onDeactivated,
  onScopeDispose,
  reactive,
  shallowReactive,
  shallowRef,
} from "vue";
import { sendOnce, type TimelineEntry } from "../api/client";
import { explainFailure } from "../api/failures";
import { ListError, loadPage, type Page } from "../api/pages";
import { onNews } from "./live";
import { relationChanges, type Relation } from "./users";

/** How often lists on the screen are asked for what is newer. */
const POLL_MILLISECONDS = 60_000;

/** How many newer items are counted: a page, which is what is shown of them at once. */
const MOST_NEWER = 20;

export interface List<T> {
  /** The pages loaded so far. */
  readonly pages: T[][];
  readonly status: "loading" | "idle" | "failed" | "not-found" | "refused";
  /** Why the API refuses the request, such as a search for too long a text; else empty. */
  readonly refusal: string;
  readonly hasMore: boolean;
  readonly isEmpty: boolean;
  /** How many newer items there are, at most one page. */
  readonly newer: number;
  /** Load the next page; does nothing while one is being loaded. */
  more: () => Promise<void>;
  /** Start again from the first page. */
  reload: () => Promise<void>;
  /** Ask whether there is something newer. */
  checkNewer: () => Promise<void>;
  /** Show what is newer. */
  showNewer: () => Promise<void>;
  /** Put an item at the end if the end has been loaded, such as a reply just written. */
  append: (item: T) => void;
}

/** Reload a list when its page is shown again after the user has changed such a relation. */
export function reloadAfter(relations: Relation[], reload: () => unknown): void {
  const count = () => relations.reduce((sum, relation) => sum + relationChanges[relation], 0);
  let seen = count();
  onActivated(() => {
    if (seen !== count()) void reload();
    seen = count();
  });
}

/**
 * Return a list. `first` requests its first page; `adopt` makes what the view shows of each item.
 * `isNews` tells whether a new entry of the user's timeline is one of the list's, too.
 *
 * Requests end with the component that uses the list.
 */
export function useList<Item, T>(
  first: (signal: AbortSignal) => Promise<Page<Item>>,
  adopt: (item: Item) => T,
  isNews?: (entry: TimelineEntry) => boolean,
): List<T> {
  const pages = shallowRef<T[][]>([]);
  const state = reactive({
    status: "loading" as List<T>["status"],
    refusal: "",
    next: null as string | null,
    previous: null as string | null,
  });
  const newerPage = shallowRef<Page<Item> | null>(null);
  /** Newer items that live events have told of; they are loaded when they are to be shown. */
  const announced = shallowReactive(new Set<T>());
  let abort = new AbortController();
  let checking: Promise<void> | null = null;
  /** Ends with the latest request of the first page. */
  let reloading = Promise.resolve();

  /** Run a request; its result counts only if the list was not started again meanwhile. */
  async function load(request: (signal: AbortSignal) => Promise<Page<Item>>) {
    const { signal } = abort;
    try {
      const page = await request(signal);
      return signal.aborted ? null : page;
    } catch (error) {
      if (signal.aborted) return null;
      const answer = error instanceof ListError ? error.answer : null;
      if (answer?.response.status === 404) state.status = "not-found";
      else if (answer?.response.status === 422) {
        [state.status, state.refusal] = ["refused", explainFailure(answer)];
      } else state.status = "failed";
      return null;
    }
  }

  const isEmpty = () => !pages.value.some((shown) => shown.length);
  const countNewer = () => (newerPage.value?.items.length ?? 0) + announced.size;

  /** Take these for announced no longer, as an answer tells of them, or that they are gone. */
  function forgetAnnounced(items: T[]): void {
    for (const item of items) announced.delete(item);
  }

  async function loadFirst(): Promise<void> {
    abort.abort();
    abort = new AbortController();
    state.status = "loading";
    const before = [...announced];
    const page = await load(first);
    if (!page) return;
    pages.value = [page.items.map(adopt)];
    newerPage.value = null;
    forgetAnnounced([...before, ...pages.value[0]!]);
    [state.next, state.previous, state.status] = [page.next, page.previous, "idle"];
  }

  function reload(): Promise<void> {
    return (reloading = loadFirst());
  }

  async function more(): Promise<void> {
    const { next } = state;
    if (!pages.value.length) return reload();
    if (!next || state.status === "loading") return;
    state.status = "loading";
    const page = await load((signal) => loadPage<Item>(next, signal));
    if (!page) return;
    pages.value = [...pages.value, page.items.map(adopt)];
    [state.next, state.status] = [page.next, "idle"];
  }

  async function askForNewer(): Promise<void> {
    const { previous } = state;
    const { signal } = abort;
    const before = [...announced];
    if (!previous || document.hidden || !navigator.onLine) return;
    // Nobody waits for it: the next time is soon enough if it fails.
    const page = await loadPage<Item>(previous, signal, sendOnce).catch(() => null);
    if (!page || signal.aborted || state.previous !== previous) return;
    newerPage.value = page.items.length ? page : null;
    forgetAnnounced(before);
    if (announced.size) forgetAnnounced(page.items.map(adopt));
    // Nobody is reading what would move away.
    if (newerPage.value && isEmpty()) showPage(newerPage.value);
    // A search may end before it has compared all posts; it goes on from there.
    if (!page.items.length) state.previous = page.previous ?? previous;
  }

  function checkNewer(): Promise<void> {
    checking ??= askForNewer().finally(() => (checking = null));
    return checking;
  }

  function announce(entry: TimelineEntry | null): void {
    if (entry && !isNews?.(entry)) return;
    if (entry && countNewer() < MOST_NEWER) {
      const item = adopt(entry as Item);
      const asked = newerPage.value?.items.map(adopt) ?? [];
      if (![...pages.value.flat(), ...asked].includes(item)) announced.add(item);
    }
    // What is being asked already may be answered from before.
    if (!entry || isEmpty()) void reloading.then(() => checking).then(checkNewer);
  }

  async function showNewer(): Promise<void> {
    if (announced.size) await checkNewer();
    if (newerPage.value) showPage(newerPage.value);
  }

  function showPage(page: Page<Item>): void {
    const shown = new Set(pages.value.flat());
    const items = page.items.map(adopt).filter((item) => !shown.has(item));
    pages.value = [items, ...pages.value];
    [state.previous, newerPage.value] = [page.previous ?? state.previous, null];
    forgetAnnounced(items);
    // There may be more than a page.
    void checkNewer();
  }

  function append(item: T): void {
    if (!state.next) pages.value = [...pages.value, [item]];
  }

  let stopWaiting = () => {};
  /** Learn of what is newer: by asking now and then, and at once of what live events tell. */
  function waitForNewer(): void {
    stopWaiting();
    const check = () => void checkNewer();
    const timer = setInterval(check, POLL_MILLISECONDS);
    // In the background, the tab has asked for nothing.
    document.addEventListener("visibilitychange", check);
    const stopNews = onNews(announce);
    stopWaiting = () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", check);
      stopNews();
    };
  }
  waitForNewer();
  onActivated(() => {
    void checkNewer();
    waitForNewer();
  });
  onDeactivated(() => stopWaiting());
  onScopeDispose(() => {
    stopWaiting();
    abort.abort();
  });
  // A block or a mute changes what any list shows.
  reloadAfter(["blocked", "muted"], reload);
  void reload();

  return {
    get pages() {
      return pages.value;
    },
    get status() {
      return state.status;
    },
    get refusal() {
      return state.refusal;
    },
    get hasMore() {
      return state.next !== null;
    },
    get isEmpty() {
      return state.status === "idle" && !state.next && isEmpty();
    },
    get newer() {
      return countNewer();
    },
    more,
    reload,
    checkNewer,
    showNewer,
    append,
  };
}

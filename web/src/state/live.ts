/** What happens elsewhere, shown as it happens: news, notifications, edits and deletions. */

import { watch } from "vue";
import { sendOnce, type Post, type TimelineEntry } from "../api/client";
import type { Block } from "../api/events";
import { reloadUser, session } from "../api/session";
import { shareEvents } from "../api/sharedEvents";
import { markDeleted, showEdited } from "./posts";

/** How long to wait for more notifications before the number of unread ones is loaded. */
const NOTIFICATION_MILLISECONDS = 300;

type NewsListener = (entry: TimelineEntry | null) => void;
const newsListeners = new Set<NewsListener>();
let stop = () => {};
let timer: ReturnType<typeof setTimeout> | undefined;

/**
 * Call back with each new entry of the user's timeline, and with null when there may be more than
 * the stream tells of. Returns what ends it.
 */
export function onNews(listener: NewsListener): () => void {
  newsListeners.add(listener);
  return () => newsListeners.delete(listener);
}

/** Load the user anew, with the number of unread notifications. */
function updateUnreadCount(): void {
  timer ??= setTimeout(() => {
    timer = undefined;
    void reloadUser({ fetch: sendOnce });
  }, NOTIFICATION_MILLISECONDS);
}

function take({ type, data }: Omit<Block, "id">): void {
  if (type === "edited") showEdited(data as Post);
  if (type === "deleted") markDeleted((data as { id: number }).id);
  if (type === "post") newsListeners.forEach((listener) => listener(data as TimelineEntry));
  // What was loaded before the stream began may already be old.
  const isIncomplete = type === "open" || type === "reset";
  if (type === "notification" || isIncomplete) updateUnreadCount();
  if (isIncomplete) newsListeners.forEach((listener) => listener(null));
}

function start(): void {
  stop();
  if (!session.user) return;
  const controller = new AbortController();
  stop = () => controller.abort();
  shareEvents(`pamps:live:${session.user.id}`, take, controller.signal);
}

/** Show what happens from now on, to whoever is signed in. */
export function startLive(): void {
  watch(() => session.user?.id, start, { immediate: true, flush: "sync" });
  // A page that was left must not keep the other tabs from the stream; it may be gone back to.
  window.addEventListener("pagehide", () => stop());
  window.addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    start();
    take({ type: "reset", data: {} });
  });
}

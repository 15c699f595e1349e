import { beforeEach, expect, test, vi } from "vitest";
import { session } from "../api/session";
import type { Me, Notification } from "../api/client";
import { useNewNotifications } from "./notifications";

let marked: number[] = [];
let status = 204;

beforeEach(() => {
  [marked, status] = [[], 204];
  session.user = { id: 1, unread_count: 0 } as Me;
  vi.stubGlobal("fetch", async (request: Request) => {
    if (request.method !== "POST") return Response.json(session.user);
    marked.push(((await request.json()) as { up_to: number }).up_to);
    return new Response(null, { status });
  });
});

function item(id: number, read: boolean): Notification {
  const user = { id: 2, username: "bea", avatar: null };
  return { id, kind: "follow", date: "2026-01-01T00:00:00Z", read, user, post: null };
}

test("what is unread is new until the user leaves after it was marked as read", async () => {
  const news = useNewNotifications();
  const [newest, older, old] = [item(9, false), item(8, false), item(7, true)].map(news.adopt);
  await news.markRead(newest!);
  expect([newest!, older!, old!].map(news.isNew)).toEqual([true, true, false]);
  // A list of one kind, loaded after that.
  expect(news.isNew(news.adopt(item(8, true)))).toBe(true);
  news.forgetRead();
  expect(news.isNew(newest!)).toBe(false);
  expect(marked).toEqual([9]);
});

test("nothing is sent when nothing is unread, or all of it was marked", async () => {
  const news = useNewNotifications();
  await news.markRead(news.adopt(item(5, true)));
  const newest = news.adopt(item(6, false));
  await Promise.all([news.markRead(newest), news.markRead(newest)]);
  expect(marked).toEqual([6]);
});

test("what could not be marked stays new and is tried again", async () => {
  const news = useNewNotifications();
  const newest = news.adopt(item(6, false));
  status = 500;
  await news.markRead(newest);
  news.forgetRead();
  expect(news.isNew(newest)).toBe(true);
  status = 204;
  await news.markRead(newest);
  news.forgetRead();
  expect([news.isNew(newest), marked]).toEqual([false, [6, 6]]);
});

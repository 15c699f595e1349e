import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Me } from "./client";

const online = vi.spyOn(navigator, "onLine", "get");
const hidden = vi.spyOn(document, "hidden", "get");

let unread = 0;
let status = 200;
let refreshStatus = 200;
let requests: string[] = [];

/** Load the page of somebody who is signed in. */
async function load(): Promise<typeof import("./session")> {
  vi.resetModules();
  const module = await import("./session");
  await module.loadSession();
  requests = [];
  return module;
}

beforeEach(() => {
  vi.useFakeTimers();
  [unread, status, refreshStatus, requests] = [0, 200, 200, []];
  online.mockReturnValue(true);
  hidden.mockReturnValue(false);
  localStorage.setItem("pamps:session", "1.x");
  vi.stubGlobal("fetch", async (request: Request) => {
    const { pathname } = new URL(request.url);
    requests.push(pathname);
    if (pathname === "/refresh_token") {
      const token = `x.${btoa('{"sub":"1"}')}.x`;
      return Response.json({ access_token: token }, { status: refreshStatus });
    }
    // Without a token, the answer is that to a stranger.
    const known = request.headers.has("Authorization") ? status : 401;
    return Response.json({ id: 1, unread_count: unread } as Me, { status: known });
  });
});

afterEach(() => {
  vi.useRealTimers();
});

test("the number of unread notifications is looked up every minute", async () => {
  const { session } = await load();
  unread = 3;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(session.user?.unread_count).toBe(3);
  expect(requests).toEqual(["/user/me/"]);
});

test("nothing is asked for while the tab is hidden or offline", async () => {
  await load();
  hidden.mockReturnValue(true);
  await vi.advanceTimersByTimeAsync(120_000);
  hidden.mockReturnValue(false);
  online.mockReturnValue(false);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(requests).toEqual([]);
});

test("a look that fails says nothing and is not tried again before the next one", async () => {
  const { session } = await load();
  const { waiting } = await import("./connection");
  status = 503;
  await vi.advanceTimersByTimeAsync(90_000);
  expect(requests).toEqual(["/user/me/"]);
  expect(waiting.reason).toBe(null);
  expect(session.user?.id).toBe(1);
});

test("a session that has ended signs out, and says so", async () => {
  refreshStatus = 401;
  const { session } = await load();
  expect(session).toMatchObject({ user: null, ended: true, ready: true });
  expect(localStorage.getItem("pamps:session")).toBe(null);
});

test("nobody is signed out because of an error of the server", async () => {
  refreshStatus = 500;
  const { session } = await load();
  expect(session.ended).toBe(false);
  expect(localStorage.getItem("pamps:session")).toBe("1.x");
});

test("nobody is signed out because an expired token cannot be renewed just now", async () => {
  const { reloadUser, session } = await load();
  [status, refreshStatus] = [401, 500];
  await reloadUser();
  expect(session).toMatchObject({ user: { id: 1 }, ended: false });
});

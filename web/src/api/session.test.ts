import { beforeEach, expect, test, vi } from "vitest";
import type { Me } from "./client";

const online = vi.spyOn(navigator, "onLine", "get");
const hidden = vi.spyOn(document, "hidden", "get");

let unread = 0;
let status = 200;
let requests: string[] = [];

/** Begin anew as somebody who is signed in, before a server that counts the requests. */
async function signedIn(): Promise<typeof import("./session")> {
  vi.resetModules();
  vi.useFakeTimers();
  [unread, status, requests] = [0, 200, []];
  online.mockReturnValue(true);
  hidden.mockReturnValue(false);
  localStorage.setItem("pamps:session", "1.x");
  vi.stubGlobal("fetch", async (request: Request) => {
    const { pathname } = new URL(request.url);
    requests.push(pathname);
    if (pathname === "/refresh_token") {
      const token = `x.${btoa('{"sub":"1"}')}.x`;
      return Response.json({ access_token: token });
    }
    return Response.json({ id: 1, unread_count: unread } as Me, { status });
  });
  const module = await import("./session");
  await module.loadSession();
  requests = [];
  return module;
}

beforeEach(() => {
  vi.useRealTimers();
});

test("the number of unread notifications is looked up every minute", async () => {
  const { session } = await signedIn();
  unread = 3;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(session.user?.unread_count).toBe(3);
  expect(requests).toEqual(["/user/me/"]);
});

test("nothing is asked for while the tab is hidden or offline", async () => {
  await signedIn();
  hidden.mockReturnValue(true);
  await vi.advanceTimersByTimeAsync(120_000);
  hidden.mockReturnValue(false);
  online.mockReturnValue(false);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(requests).toEqual([]);
});

test("a look that fails says nothing and is not tried again before the next one", async () => {
  const { session } = await signedIn();
  const { waiting } = await import("./connection");
  status = 503;
  await vi.advanceTimersByTimeAsync(90_000);
  expect(requests).toEqual(["/user/me/"]);
  expect(waiting.reason).toBe(null);
  expect(session.user?.id).toBe(1);
});

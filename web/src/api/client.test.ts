import { beforeEach, expect, test, vi } from "vitest";

// One tab of a browser. The other tabs are what changes localStorage, and the server is `answer`.
const MARK = "pamps:session";
type Answer = (path: string, request: Request) => Response | Promise<Response>;

let answer: Answer;
let sent: { path: string; user: string; key: string | null }[];

function tokenOf(user: number, n = 1): string {
  return `x.${btoa(JSON.stringify({ sub: String(user), n }))}.x`;
}

/** The user whose token a request carries; empty for none. */
function userOf(request: Request): string {
  const token = request.headers.get("Authorization")?.split(" ")[1];
  return token ? (JSON.parse(atob(token.split(".")[1]!)) as { sub: string }).sub : "";
}

function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status });
}

/** What another tab does: it has signed in or out. */
function otherTab(mark: string | null): void {
  if (mark) localStorage.setItem(MARK, mark);
  else localStorage.removeItem(MARK);
  window.dispatchEvent(new StorageEvent("storage", { key: MARK }));
}

async function openTab() {
  vi.resetModules();
  const tokens = await import("./tokens");
  const { api } = await import("./client");
  return { ...tokens, api };
}

beforeEach(() => {
  vi.useRealTimers();
  localStorage.clear();
  sent = [];
  vi.stubGlobal("fetch", async (request: Request) => {
    const path = new URL(request.url).pathname;
    const key = request.headers.get("Idempotency-Key");
    sent.push({ path, user: userOf(request), key });
    return answer(path, request);
  });
});

test("renews an access token that was refused, and sends the request again", async () => {
  const { api, beginSession } = await openTab();
  beginSession(tokenOf(1));
  answer = (path, request) => {
    if (path === "/refresh_token") return json({ access_token: tokenOf(1, 2) });
    return request.headers.get("Authorization")!.includes(tokenOf(1, 2)) ? json([]) : json({}, 401);
  };
  expect((await api.GET("/user/timeline")).response.status).toBe(200);
});

test("never sends what one user wanted as another", async () => {
  const { api, beginSession, signedInId } = await openTab();
  beginSession(tokenOf(1));
  answer = (path) => {
    if (path === "/refresh_token") return json({ access_token: tokenOf(2) });
    return json({}, 401);
  };
  const { response } = await api.POST("/post/", { body: { text: "by 1" } });
  expect([response.status, signedInId()]).toEqual([401, 2]);
  expect(sent.filter(({ path }) => path === "/post/").map(({ user }) => user)).toEqual(["1"]);
});

test("does not show an answer to whoever has signed in meanwhile", async () => {
  const { api, beginSession } = await openTab();
  beginSession(tokenOf(1));
  answer = () => {
    otherTab("2.b");
    return json([{ id: 1, text: "for 1" }]);
  };
  const { data, response } = await api.GET("/user/timeline");
  expect([data, response.status]).toEqual([undefined, 401]);
});

test("gets the new token after the same user has signed in anew in another tab", async () => {
  const { api, beginSession } = await openTab();
  beginSession(tokenOf(1));
  otherTab("1.b");
  answer = (path) => json(path === "/refresh_token" ? { access_token: tokenOf(1, 2) } : []);
  expect((await api.GET("/user/timeline")).response.status).toBe(200);
  expect(sent.map(({ path }) => path)).toEqual(["/refresh_token", "/user/timeline"]);
});

test("does not end a session that another tab has begun while the former was refused", async () => {
  const { accessToken, beginSession, renewAccessToken, signedInId } = await openTab();
  beginSession(tokenOf(1));
  let renewals = 0;
  answer = () => {
    renewals += 1;
    if (renewals > 1) return json({ access_token: tokenOf(2) });
    otherTab("2.b");
    return json({}, 401);
  };
  await renewAccessToken(tokenOf(1));
  await renewAccessToken(null);
  expect([signedInId(), accessToken()]).toEqual([2, tokenOf(2)]);
});

test("ends the session in all tabs when it is refused", async () => {
  const { beginSession, renewAccessToken, signedInId, whenSessionEnds } = await openTab();
  const ended = vi.fn();
  whenSessionEnds(ended);
  beginSession(tokenOf(1));
  answer = () => json({}, 401);
  await renewAccessToken(tokenOf(1));
  expect([signedInId(), localStorage.getItem(MARK), ended.mock.calls.length]).toEqual([
    null,
    null,
    1,
  ]);
});

test("asks again with the same key after a lost answer to a refresh", async () => {
  vi.useFakeTimers();
  const { accessToken, beginSession, renewAccessToken } = await openTab();
  beginSession(tokenOf(1));
  let attempts = 0;
  answer = () => {
    attempts += 1;
    if (attempts < 8) throw new TypeError("network");
    return json({ access_token: tokenOf(1, 2) });
  };
  const renewal = renewAccessToken(tokenOf(1));
  await vi.runAllTimersAsync();
  await renewal;
  expect(accessToken()).toBe(tokenOf(1, 2));
  expect(sent[0]!.key).toBeTruthy();
  expect(new Set(sent.map(({ key }) => key)).size).toBe(1);
});

test("sends the request again with a token that is the same text as the refused one", async () => {
  const { api, beginSession } = await openTab();
  beginSession(tokenOf(1));
  let requests = 0;
  answer = (path) => {
    if (path === "/refresh_token") return json({ access_token: tokenOf(1) });
    requests += 1;
    return requests === 1 ? json({}, 401) : json([]);
  };
  expect((await api.GET("/user/timeline")).response.status).toBe(200);
});

test("renews the token once for requests at once", async () => {
  const { api, beginSession } = await openTab();
  beginSession(tokenOf(1));
  otherTab("1.b");
  answer = (path) => json(path === "/refresh_token" ? { access_token: tokenOf(1, 2) } : []);
  await Promise.all([api.GET("/post/"), api.GET("/post/"), api.GET("/post/")]);
  expect(sent.filter(({ path }) => path === "/refresh_token")).toHaveLength(1);
});

test("never asks without the token for what a user sees", async () => {
  localStorage.setItem(MARK, "1.a");
  const { api } = await openTab();
  answer = () => json({}, 500);
  await api.GET("/post/");
  expect(sent.map(({ path }) => path)).toEqual(["/refresh_token"]);
});

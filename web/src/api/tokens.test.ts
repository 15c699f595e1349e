import { beforeEach, expect, test, vi } from "vitest";

let refresh: () => Response | Promise<Response>;
let me: (token: string | null) => Response;
let requests: string[] = [];

const tokenOf = (id: number, name = "x") => `${name}.${btoa(`{"sub":"${id}"}`)}.x`;
const fresh = (token: string) => Response.json({ access_token: token });

/** The modules as they are after the page was loaded. */
async function load() {
  vi.resetModules();
  const [tokens, client, sessions] = await Promise.all([
    import("./tokens"),
    import("./client"),
    import("./session"),
  ]);
  return { ...tokens, ...client, ...sessions };
}

beforeEach(() => {
  requests = [];
  refresh = () => fresh(tokenOf(1));
  me = () => Response.json({ id: 1, unread_count: 0 });
  localStorage.clear();
  localStorage.setItem("pamps:session", "1.mark");
  vi.stubGlobal("fetch", async (request: Request) => {
    const { pathname } = new URL(request.url);
    requests.push(pathname);
    const token = request.headers.get("Authorization")?.replace("Bearer ", "") ?? null;
    return pathname === "/refresh_token" ? refresh() : me(token);
  });
});

test("requests at once renew the token once", async () => {
  const { api } = await load();
  await Promise.all([api.GET("/user/me/"), api.GET("/user/me/"), api.GET("/user/me/")]);
  expect(requests.filter((path) => path === "/refresh_token")).toHaveLength(1);
});

test("an expired token is renewed, and the request is sent again", async () => {
  const { api } = await load();
  await api.GET("/user/me/");
  refresh = () => fresh(tokenOf(1, "second"));
  me = (token) => new Response("{}", { status: token === tokenOf(1, "second") ? 200 : 401 });
  expect((await api.GET("/user/me/")).response.status).toBe(200);
});

test("a session that has ended signs out, and says so", async () => {
  refresh = () => new Response(null, { status: 401 });
  me = () => new Response("{}", { status: 401 });
  const { loadSession, session, signedInId } = await load();
  await loadSession();
  expect([session.user, session.ended, session.ready, signedInId()]).toEqual([
    null,
    true,
    true,
    null,
  ]);
  expect(localStorage.getItem("pamps:session")).toBe(null);
});

test("nobody is signed out because of an error of the server", async () => {
  refresh = () => new Response(null, { status: 500 });
  me = (token) => new Response("{}", { status: token ? 200 : 401 });
  const { loadSession, session, signedInId } = await load();
  await loadSession();
  expect([session.ended, signedInId()]).toEqual([false, 1]);
});

test("nobody is signed out because an expired token cannot be renewed just now", async () => {
  const { loadSession, reloadUser, session } = await load();
  await loadSession();
  refresh = () => new Response(null, { status: 500 });
  me = () => new Response("{}", { status: 401 });
  await reloadUser();
  expect([session.user?.id, session.ended]).toEqual([1, false]);
});

test("what a user sees is never asked for without the token", async () => {
  refresh = () => new Response(null, { status: 500 });
  const { api } = await load();
  await api.GET("/post/");
  expect(requests).not.toContain("/post/");
});

test("an answer for one user is not shown to the next, who has signed in in another tab", async () => {
  const { api, noticeOtherTabs } = await load();
  await api.GET("/user/me/");
  me = () => {
    localStorage.setItem("pamps:session", "2.other");
    noticeOtherTabs();
    return Response.json({ id: 1 });
  };
  refresh = () => fresh(tokenOf(2));
  expect((await api.GET("/user/me/")).response.status).toBe(401);
});

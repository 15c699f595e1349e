import { afterEach, expect, test, vi } from "vitest";
import type { Profile } from "../api/client";
import { loadProfile, relationChanges, toggleRelation } from "./users";

const BOB: Profile = {
  id: 2,
  username: "bob",
  avatar: null,
  bio: null,
  post_count: 0,
  follower_count: 5,
  following_count: 0,
  followed: false,
  follows_you: false,
  blocked: false,
  muted: false,
};

type Answer = (body: unknown, status?: number) => void;

/** Requests to the API by method, each with the function that answers it. */
function network(): Record<string, Answer[]> {
  const requests: Record<string, Answer[]> = { GET: [], POST: [], DELETE: [] };
  vi.stubGlobal("fetch", ({ method }: Request) => {
    return new Promise<Response>((resolve) => {
      requests[method]!.push((body, status = 200) =>
        resolve(new Response(status === 204 ? null : JSON.stringify(body), { status })),
      );
    });
  });
  return requests;
}

afterEach(() => vi.unstubAllGlobals());

test("a follow counts at once", async () => {
  const { POST } = network();
  const bob = { ...BOB };
  const { followed } = relationChanges;
  const done = toggleRelation(bob, "followed");
  expect(bob).toMatchObject({ followed: true, follower_count: 6 });
  await expect.poll(() => POST!.length).toBe(1);
  expect(relationChanges.followed).toBe(followed);
  POST![0]!({}, 201);
  expect(await done).toBe(true);
  expect(relationChanges.followed).toBe(followed + 1);
});

test("a profile that was loaded during a follow is loaded again", async () => {
  const { GET, POST } = network();
  const loaded = loadProfile("bob");
  await expect.poll(() => GET!.length).toBe(1);
  const followed = toggleRelation({ ...BOB }, "followed");
  GET![0]!(BOB);
  await expect.poll(() => POST!.length).toBe(1);
  POST![0]!({}, 201);
  await followed;
  await expect.poll(() => GET!.length).toBe(2);
  GET![1]!({ ...BOB, followed: true });
  expect((await loaded).data?.followed).toBe(true);
});

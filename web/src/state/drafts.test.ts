import { beforeEach, expect, test, vi } from "vitest";
import { session } from "../api/session";
import type { Me } from "../api/client";
import { removeDrafts, useDraft } from "./drafts";

beforeEach(() => {
  localStorage.clear();
  session.user = { id: 1 } as Me;
});

/** The draft as it is after the page was loaded anew. */
async function afterReload(place: string) {
  vi.resetModules();
  const [{ session: newSession }, drafts] = await Promise.all([
    import("../api/session"),
    import("./drafts"),
  ]);
  newSession.user = session.user;
  return drafts.useDraft(place);
}

test("a draft and its key survive a reload", async () => {
  const draft = useDraft("new");
  draft.text.value = "half a tho";
  const again = await afterReload("new");
  expect([again.text.value, again.key()]).toEqual(["half a tho", draft.key()]);
});

test("another text has another key, and the text that was sent keeps its own", () => {
  const draft = useDraft("new");
  draft.text.value = "one";
  const key = draft.key();
  draft.text.value = "one ";
  expect(draft.key()).not.toBe(key);
  draft.text.value = "one";
  expect(draft.key()).toBe(key);
});

test("the same text has a new key after it was stored", () => {
  const draft = useDraft("new");
  draft.text.value = "again";
  const key = draft.key();
  draft.clear();
  draft.text.value = "again";
  expect(draft.key()).not.toBe(key);
});

test("nothing is left of a draft that was sent", () => {
  const draft = useDraft("new");
  draft.text.value = "sent";
  draft.clear();
  expect([draft.text.value, localStorage.length]).toEqual(["", 0]);
});

test("a draft belongs to its place and its user", () => {
  useDraft("new").text.value = "secret";
  expect(useDraft("reply.1").text.value).toBe("");
  session.user = { id: 2 } as Me;
  expect(useDraft("new").text.value).toBe("");
});

test("two composers of the same place have the same draft", () => {
  const [one, other] = [useDraft("reply.1"), useDraft("reply.1")];
  one.text.value = "text";
  expect([other.text.value, other.key()]).toEqual(["text", one.key()]);
  other.clear();
  expect(one.text.value).toBe("");
});

test("a user's drafts are removed, and nobody else's", async () => {
  useDraft("new").text.value = "mine";
  session.user = { id: 12 } as Me;
  useDraft("new").text.value = "theirs";
  removeDrafts(1);
  expect(useDraft("new").text.value).toBe("theirs");
  session.user = { id: 1 } as Me;
  expect((await afterReload("new")).text.value).toBe("");
});

test("what is no draft is left out", () => {
  localStorage.setItem("pamps:draft:1:new", "{broken");
  expect(useDraft("new").text.value).toBe("");
  localStorage.setItem("pamps:draft:1:reply.2", '{"text": 7}');
  expect(useDraft("reply.2").text.value).toBe("");
});

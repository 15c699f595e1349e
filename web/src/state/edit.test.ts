import { expect, test } from "vitest";
import { ref } from "vue";
import { useEdit } from "./edit";

interface Stored {
  bio: string;
  email: string;
}

/** A server that stores a profile, and answers like the API does. */
function server(stored: Stored) {
  const etag = () => JSON.stringify(stored);
  const answer = () => ({
    data: { ...stored },
    response: new Response(null, { headers: { ETag: etag() } }),
  });
  return {
    stored,
    load: () => Promise.resolve(answer()),
    save: (bio: string, headers: { "If-Match": string }) => {
      if (headers["If-Match"] !== etag()) {
        return Promise.resolve({ response: new Response(null, { status: 412 }) });
      }
      stored.bio = bio;
      return Promise.resolve(answer());
    },
  };
}

function edit(shown: string, api: ReturnType<typeof server>) {
  const form = ref(shown);
  const state = useEdit<Stored, string>(form, {
    versionOf: ({ bio }) => bio,
    load: api.load,
    save: (headers) => api.save(form.value, headers),
  });
  return { form, ...state };
}

test("stores what is in the form", async () => {
  const api = server({ bio: "old", email: "a" });
  const { form, start, submit } = edit("old", api);
  await start();
  form.value = "new";
  expect(await submit()).toEqual({ bio: "new", email: "a" });
  form.value = "newer";
  expect(await submit()).toEqual({ bio: "newer", email: "a" });
});

test("takes over what is stored as long as nothing was typed", async () => {
  const api = server({ bio: "stored", email: "a" });
  const { form, other, start } = edit("outdated", api);
  await start();
  expect([form.value, other.value]).toEqual(["stored", null]);
});

test("shows what was stored meanwhile, and stores the form when asked again", async () => {
  const api = server({ bio: "old", email: "a" });
  const { form, other, start, submit } = edit("old", api);
  await start();
  form.value = "mine";
  api.stored.bio = "theirs";
  expect(await submit()).toBeNull();
  expect([other.value, form.value, api.stored.bio]).toEqual(["theirs", "mine", "theirs"]);
  expect(await submit()).toEqual({ bio: "mine", email: "a" });
  expect(other.value).toBeNull();
});

test("takes the other version", async () => {
  const api = server({ bio: "old", email: "a" });
  const { form, other, start, submit, takeOther } = edit("old", api);
  await start();
  form.value = "mine";
  api.stored.bio = "theirs";
  await submit();
  takeOther();
  expect([form.value, other.value]).toEqual(["theirs", null]);
});

test("goes on when only something else has changed", async () => {
  const api = server({ bio: "old", email: "a" });
  const { form, start, submit } = edit("old", api);
  await start();
  form.value = "mine";
  api.stored.email = "b";
  expect(await submit()).toEqual({ bio: "mine", email: "b" });
});

test("knows its own edit whose answer was lost", async () => {
  const api = server({ bio: "old", email: "a" });
  const { form, other, start, submit } = edit("old", api);
  await start();
  form.value = "mine";
  api.stored.bio = "mine";
  expect(await submit()).toEqual({ bio: "mine", email: "a" });
  expect(other.value).toBeNull();
});

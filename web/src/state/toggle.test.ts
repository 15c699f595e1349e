import { beforeEach, expect, test } from "vitest";
import { messages } from "./messages";
import { toggle } from "./toggle";

/** A switch of a server that answers when the test says so. */
class Lamp {
  shown = false;
  sent: boolean[] = [];
  answers: ((status: number) => void)[] = [];

  toggle(): Promise<boolean> {
    return toggle(
      "lamp",
      !this.shown,
      (on) => (this.shown = on),
      (on) => {
        this.sent.push(on);
        return new Promise((resolve) =>
          this.answers.push((status) =>
            resolve({ response: new Response(null, { status }), error: { detail: "no" } }),
          ),
        );
      },
    );
  }
}

let lamp: Lamp;

beforeEach(() => {
  lamp = new Lamp();
  messages.length = 0;
});

test("a change shows at once", async () => {
  const done = lamp.toggle();
  expect(lamp.shown).toBe(true);
  lamp.answers[0]!(201);
  expect(await done).toBe(true);
  expect(lamp.shown).toBe(true);
});

test("a change that fails is taken back with a message", async () => {
  const done = lamp.toggle();
  lamp.answers[0]!(403);
  expect(await done).toBe(false);
  expect(lamp.shown).toBe(false);
  expect(messages).toMatchObject([{ kind: "failure" }]);
});

test("of changes during a request only the last is sent", async () => {
  const all = [lamp.toggle(), lamp.toggle(), lamp.toggle(), lamp.toggle()];
  expect(lamp.shown).toBe(false);
  lamp.answers[0]!(201);
  await expect.poll(() => lamp.sent).toEqual([true, false]);
  lamp.answers[1]!(204);
  expect(await Promise.all(all)).toEqual([true, true, true, true]);
  expect(lamp.shown).toBe(false);
});

test("changes that end where they began send nothing more", async () => {
  const all = [lamp.toggle(), lamp.toggle(), lamp.toggle()];
  lamp.answers[0]!(201);
  await Promise.all(all);
  expect(lamp.sent).toEqual([true]);
  expect(lamp.shown).toBe(true);
});

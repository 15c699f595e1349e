import { expect, test } from "vitest";
import { confirmedFieldErrors, type Answer } from "../api/failures";
import { useForm } from "./form";

function answer(status: number, detail?: unknown): Answer {
  return { response: new Response(null, { status }), error: detail && { detail } };
}

const tooLong = {
  type: "string_too_long",
  loc: ["body", "text"],
  msg: "String should have at most 255 characters",
};

test("tells what is wrong beside the field, else in a sentence, and nothing when sent again", async () => {
  const answers = [answer(422, [tooLong]), answer(503), answer(204)];
  const { errors, failure, submit } = useForm(async () => answers.shift()!);
  expect(await submit()).toBeNull();
  expect([errors.value, failure.value]).toEqual([{ text: "At most 255 characters." }, ""]);
  expect(await submit()).toBeNull();
  expect([errors.value, failure.value]).toEqual([{}, "Pamps is busy just now. Try again."]);
  expect((await submit())?.response.status).toBe(204);
  expect([errors.value, failure.value]).toEqual([{}, ""]);
});

test("is sent once at a time", async () => {
  let release = (_: Answer) => {};
  const held = new Promise<Answer>((resolve) => (release = resolve));
  let sent = 0;
  const { sending, submit } = useForm(() => ((sent += 1), held));
  const first = submit();
  expect(sending.value).toBe(true);
  expect(await submit()).toBeNull();
  release(answer(200));
  expect(await first).not.toBeNull();
  expect([sent, sending.value]).toEqual([1, false]);
});

test.each([
  [answer(401, "Incorrect username or password"), { password: "The current password is wrong." }],
  [
    answer(403, "The current password is incorrect"),
    { password: "The current password is wrong." },
  ],
  [answer(409, "Email already taken"), { email: "This e-mail address is taken." }],
  [answer(403, "This account is disabled"), {}],
])("a wrong password of the user is told beside it", (refusal, told) => {
  expect(confirmedFieldErrors(refusal)).toEqual(told);
});

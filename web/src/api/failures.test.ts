import { expect, test } from "vitest";
import { explainFailure, fieldErrors } from "./failures";

function refused(type: string, msg: string) {
  const error = { detail: [{ type, loc: ["query", "q"], msg }] };
  return { response: new Response(null, { status: 422 }), error };
}

test("a 422 names the limit that its message has", () => {
  expect(
    fieldErrors(refused("string_too_long", "String should have at most 255 characters")),
  ).toEqual({ q: "At most 255 characters." });
  expect(
    explainFailure(refused("string_too_short", "String should have at least 8 characters")),
  ).toBe("At least 8 characters.");
});

test("a 422 of a kind that is not known here says what the API says", () => {
  expect(explainFailure(refused("other", "Say something else"))).toBe("Say something else");
});

import { expect, test } from "vitest";
import { linkTo, readPage } from "./pages";

const ADDRESS = "https://example.com/pamps/post/?limit=5";

test.each([
  ['<?cursor=2>; rel="next"', "https://example.com/pamps/post/?cursor=2"],
  ["<?cursor=2>; rel=next, <?a=1>; rel=prev", "https://example.com/pamps/post/?cursor=2"],
  ['<?a=1>; rel="prev", <?cursor=2>; rel="next"', "https://example.com/pamps/post/?cursor=2"],
  ['<?q=a,b;c>; rel="next", <?a=1>; rel="prev"', "https://example.com/pamps/post/?q=a,b;c"],
  ['<?cursor=2>; rel="last next"', "https://example.com/pamps/post/?cursor=2"],
  ['<https://cdn.example/x?cursor=2>; title="x"; rel="next"', "https://cdn.example/x?cursor=2"],
  ['<?cursor=2>; rel="nextdoor"', null],
  ['<?next>; rel="prev"', null],
  ["", null],
  [null, null],
])("the next page of %s", (header, expected) => {
  expect(linkTo("next", header, ADDRESS)).toBe(expected);
});

test("an answer that is no list is an error with that answer", async () => {
  const response = new Response(null, { status: 404 });
  const error = { detail: "User not found" };
  await expect(readPage(Promise.resolve({ response, error }))).rejects.toMatchObject({
    answer: { response, error },
  });
});

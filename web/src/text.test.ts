import { describe, expect, test } from "vitest";
import { foldTag, splitText, textLength } from "./text";

const ANA = { id: 1, username: "Ana" };

function split(text: string, mentions = [ANA], tags: string[] = []) {
  return splitText({ text, mentions, tags });
}

describe("splitText", () => {
  test("finds mentions of users who exist, in any case", () => {
    expect(split("oi @ana, @bia!")).toEqual([
      { kind: "text", text: "oi " },
      { kind: "mention", text: "@ana", username: "Ana" },
      { kind: "text", text: ", @bia!" },
    ]);
  });

  test("finds no mention inside of a word or an address", () => {
    expect(split("x@ana https://example.com/@ana")).toEqual([
      { kind: "text", text: "x@ana " },
      { kind: "link", text: "https://example.com/@ana", href: "https://example.com/@ana" },
    ]);
  });

  test("finds the hashtags that the API has found", () => {
    expect(split("#Café #x", [], ["café"])).toEqual([
      { kind: "tag", text: "#Café", tag: "café" },
      { kind: "text", text: " #x" },
    ]);
  });

  test("links http and https only, without the end of the sentence", () => {
    expect(split("(see https://example.com/a?b=c). javascript:alert(1)")).toEqual([
      { kind: "text", text: "(see " },
      { kind: "link", text: "https://example.com/a?b=c", href: "https://example.com/a?b=c" },
      { kind: "text", text: "). javascript:alert(1)" },
    ]);
  });

  test("leaves markup as text", () => {
    const text = '<img src=x onerror="alert(1)">';
    expect(split(text)).toEqual([{ kind: "text", text }]);
  });
});

test("foldTag makes one of upper case, wide letters and ß", () => {
  expect([foldTag("CAFÉ"), foldTag("ｗｉｄｅ"), foldTag("Straße")]).toEqual([
    "café",
    "wide",
    "strasse",
  ]);
});

test("textLength counts an emoji once", () => {
  expect(textLength("a👍")).toBe(2);
});

import { afterEach, expect, test } from "vitest";
import { formatAge, formatDuration, setLanguage, t } from ".";

afterEach(() => setLanguage("en"));

const NOW = Date.parse("2026-03-05T12:00:00");
const HOUR = 3_600_000;

test.each([
  [0.01, "now"],
  [0.1, "6m ago"],
  [23, "23h ago"],
  // The day before yesterday, less than two days ago.
  [37, "1d ago"],
  [6 * 24, "6d ago"],
  [30 * 24, "Feb 3"],
  [90 * 24, "Dec 5, 2025"],
])("%d hours ago", (hours, expected) => {
  expect(formatAge(new Date(NOW - hours * HOUR).toISOString(), NOW)).toBe(expected);
});

test("none of something is plural, also in Portuguese", () => {
  expect(t("profile.followers", { count: 0 })).toBe("0 followers");
  setLanguage("pt-BR");
  expect(t("profile.followers", { count: 0 })).toBe("0 seguidores");
  expect(t("profile.followers", { count: 1 })).toBe("1 seguidor");
  expect(t("profile.followers", { count: 1234 })).toBe("1.234 seguidores");
});

test.each([
  [1, "1 second"],
  [119, "119 seconds"],
  [121, "3 minutes"],
  [7_200, "2 hours"],
  [86_399, "24 hours"],
])("says a duration as people do", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

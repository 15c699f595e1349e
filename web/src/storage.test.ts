import { afterEach, expect, test, vi } from "vitest";
import { readStored, removeStored, removeStoredWith, store } from "./storage";

afterEach(() => {
  vi.restoreAllMocks();
  removeStoredWith("");
});

test("keeps in memory what a full localStorage does not take", () => {
  store("a", "old");
  vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  store("a", "new");
  expect(readStored("a")).toBe("new");
  removeStored("a");
  expect(readStored("a")).toBeNull();
});

test("works where there is no localStorage", () => {
  vi.spyOn(window, "localStorage", "get").mockImplementation(() => {
    throw new DOMException("denied", "SecurityError");
  });
  store("a", "1");
  expect(readStored("a")).toBe("1");
  removeStoredWith("a");
  expect(readStored("a")).toBeNull();
});

test("removes the names with a prefix and no others", () => {
  store("draft:1:new", "x");
  store("draft:12:new", "y");
  removeStoredWith("draft:1:");
  expect([readStored("draft:1:new"), readStored("draft:12:new")]).toEqual([null, "y"]);
});

import { expect, test, vi } from "vitest";
import { answer, idsOf, leave, page, server, show, tell } from "./listInView";

test("asks every minute for what is newer, and shows it when told to", async () => {
  const list = await show(async () => page([1]));
  server.answers = [() => answer([3, 2], '<?newer_than=3>; rel="prev"'), () => answer([])];
  await vi.advanceTimersByTimeAsync(60_000);
  expect([list.newer, idsOf(list)]).toEqual([2, [1]]);
  await list.showNewer();
  expect([list.newer, idsOf(list)]).toEqual([0, [3, 2, 1]]);
});

test("asks for what is newer also if the list came after its view", async () => {
  const list = await show(async () => page([1]), { isLate: true });
  server.answers = [() => answer([2])];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(list.newer).toBe(1);
});

test("asks for what is newer when its tab is looked at again", async () => {
  const list = await show(async () => page([1]));
  const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(true);
  tell(null);
  await vi.advanceTimersByTimeAsync(0);
  expect(server.asked).toEqual([]);
  hidden.mockRestore();
  server.answers = [() => answer([2])];
  document.dispatchEvent(new Event("visibilitychange"));
  await vi.advanceTimersByTimeAsync(0);
  expect(list.newer).toBe(1);
});

test("does not ask for what is newer after it has gone", async () => {
  await show(async () => page([1]));
  leave();
  document.dispatchEvent(new Event("visibilitychange"));
  await vi.advanceTimersByTimeAsync(180_000);
  expect(server.asked).toEqual([]);
});

test("stays as it is when what is newer cannot be had", async () => {
  const list = await show(async () => page([1]));
  server.answers = [() => answer([], "", 500)];
  await list.checkNewer();
  expect(list.status).toBe("idle");
});

test("asks once for what is newer, however often it is told to", async () => {
  const list = await show(async () => page([1]));
  server.answers = [() => answer([2])];
  await Promise.all([list.checkNewer(), list.checkNewer()]);
  expect(server.asked).toEqual(["?newer_than=1"]);
});

test("shows nothing twice if it asks while what is newer is shown", async () => {
  const list = await show(async () => page([1]));
  server.answers = [() => answer([2], '<?newer_than=2>; rel="prev"')];
  await list.checkNewer();
  let respond!: (response: Response) => void;
  server.answers = [() => new Promise((resolve) => (respond = resolve)), () => answer([])];
  const late = list.checkNewer();
  await vi.advanceTimersByTimeAsync(0);
  await list.showNewer();
  respond(answer([3, 2], '<?newer_than=3>; rel="prev"'));
  await late;
  await list.showNewer();
  expect(idsOf(list)).toEqual([2, 1]);
});

test("goes on where a page of newer items that has none ends", async () => {
  const list = await show(async () => page([1]));
  server.answers = [() => answer([], '<?newer_than=50>; rel="prev"'), () => answer([60])];
  await list.checkNewer();
  await list.checkNewer();
  expect([server.asked, list.newer]).toEqual([["?newer_than=1", "?newer_than=50"], 1]);
});

test("asks for the rest at once when more than a page was newer", async () => {
  const list = await show(async () => page([1]));
  const link = '<?cursor=2>; rel="next", <?newer_than=3>; rel="prev"';
  server.answers = [() => answer([3, 2], link), () => answer([4])];
  await list.checkNewer();
  await list.showNewer();
  await vi.advanceTimersByTimeAsync(0);
  expect([idsOf(list), list.newer]).toEqual([[3, 2, 1], 1]);
});

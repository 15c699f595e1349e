import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { patientFetch, retryAfter, waiting } from "./connection";

let answers: (Response | TypeError)[] = [];
let requests: { at: number; body: string; key: string | null }[] = [];

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  [answers, requests] = [[], []];
  vi.stubGlobal("fetch", async (request: Request) => {
    const key = request.headers.get("Idempotency-Key");
    requests.push({ at: Date.now(), body: await request.text(), key });
    const answer = answers.length > 1 ? answers.shift()! : answers[0]!;
    if (answer instanceof TypeError) throw answer;
    return answer.clone();
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const get = (init: RequestInit = {}) => new Request("http://localhost:3000/post/", init);
const post = () => get({ method: "POST", body: "text", headers: { "Idempotency-Key": "a" } });
const away = () => new TypeError("Failed to fetch");
const busy = (status: number, seconds?: string) =>
  new Response(null, { status, headers: seconds ? { "Retry-After": seconds } : {} });

test.each([
  ["7", 7],
  [null, 1],
  ["0", 1],
  ["-3", 1],
  ["Wed, 21 Oct 2015 07:28:00 GMT", 1],
])("Retry-After: %s means %d seconds", (header, seconds) => {
  const headers = header === null ? undefined : { "Retry-After": header };
  expect(retryAfter(new Response(null, { headers }))).toBe(seconds);
});

test("waits as long as a 429 asks, and says so meanwhile", async () => {
  answers = [busy(429, "7"), new Response("done")];
  const answer = patientFetch(get());
  await vi.advanceTimersByTimeAsync(0);
  expect(waiting).toEqual({ reason: "rate-limited", until: 7_000 });
  await vi.advanceTimersByTimeAsync(7_000);
  expect(await (await answer).text()).toBe("done");
  expect(requests.map(({ at }) => at)).toEqual([0, 7_000]);
  expect(waiting.reason).toBe(null);
});

test("waits longer each time while a server is away or busy", async () => {
  answers = [busy(503, "1"), busy(502), away(), new Response()];
  const answer = patientFetch(get());
  await vi.advanceTimersByTimeAsync(10_000);
  expect((await answer).status).toBe(200);
  expect(requests.map(({ at }) => at)).toEqual([0, 1_000, 3_000, 7_000]);
});

test("sends the same body with the same Idempotency-Key again", async () => {
  answers = [away(), new Response()];
  const answer = patientFetch(post());
  await vi.advanceTimersByTimeAsync(1_000);
  await answer;
  expect(requests.map(({ body, key }) => [body, key])).toEqual([
    ["text", "a"],
    ["text", "a"],
  ]);
});

test("gives a write up after two minutes, and a read never", async () => {
  answers = [away()];
  const write = patientFetch(post());
  await vi.advanceTimersByTimeAsync(120_000);
  expect((await write).status).toBe(0);
  const controller = new AbortController();
  const read = patientFetch(get({ signal: controller.signal }));
  read.catch(() => {});
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(waiting.reason).toBe("unreachable");
  controller.abort();
  await expect(read).rejects.toThrow("abort");
});

test("ends at once when the request is not wanted any more", async () => {
  answers = [away()];
  const controller = new AbortController();
  const answer = patientFetch(get({ signal: controller.signal }));
  await vi.advanceTimersByTimeAsync(0);
  controller.abort();
  await expect(answer).rejects.toThrow("abort");
  expect(waiting.reason).toBe(null);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(requests).toHaveLength(1);
});

test("goes on at once when the browser is online again", async () => {
  const online = vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  answers = [away(), away(), away(), new Response()];
  const answer = patientFetch(get());
  await vi.advanceTimersByTimeAsync(3_500);
  expect(waiting.reason).toBe("offline");
  online.mockReturnValue(true);
  window.dispatchEvent(new Event("online"));
  expect((await answer).status).toBe(200);
  expect(requests.map(({ at }) => at)).toEqual([0, 1_000, 3_000, 3_500]);
});

test("does not send earlier than a 429 asks when the browser is online again", async () => {
  answers = [busy(429, "60"), new Response()];
  const answer = patientFetch(get());
  await vi.advanceTimersByTimeAsync(5_000);
  window.dispatchEvent(new Event("online"));
  await vi.advanceTimersByTimeAsync(55_000);
  await answer;
  expect(requests.map(({ at }) => at)).toEqual([0, 60_000]);
});

test("says why it waits for as long as any request does", async () => {
  answers = [busy(429, "5"), busy(429, "20"), new Response()];
  const first = patientFetch(get());
  const second = patientFetch(get());
  await vi.advanceTimersByTimeAsync(5_000);
  await first;
  expect(waiting).toEqual({ reason: "rate-limited", until: 20_000 });
  await vi.advanceTimersByTimeAsync(15_000);
  await second;
  expect(waiting.reason).toBe(null);
});

test.each([400, 401, 404, 409, 500])("passes a %d on", async (status) => {
  answers = [busy(status)];
  expect((await patientFetch(get())).status).toBe(status);
  expect(requests).toHaveLength(1);
});

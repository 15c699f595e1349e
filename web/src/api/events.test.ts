import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { followEvents, type Block } from "./events";

// The server is `answers`, one for each time that the stream is read.
type Answer = (signal: AbortSignal) => Response;

let answers: Answer[];
let asked: { lastId: string | null; at: number }[];
let blocks: Block[];
let controller: AbortController;

/** A stream of these pieces, which then ends, or stays open until it is not wanted. */
function stream(pieces: string[], stays = false): Answer {
  return (signal) => {
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      start(stream) {
        for (const piece of pieces) stream.enqueue(encoder.encode(piece));
        if (!stays) stream.close();
        signal.addEventListener("abort", () => stream.error(signal.reason));
      },
    });
    return new Response(body);
  };
}

const refuse =
  (status: number, headers = {}): Answer =>
  () =>
    new Response(null, { status, headers });

/** Follow the stream for that long. */
async function follow(milliseconds: number, lastId = ""): Promise<void> {
  controller = new AbortController();
  const done = followEvents(lastId, (block) => blocks.push(block), controller.signal);
  done.catch(() => {});
  await vi.advanceTimersByTimeAsync(milliseconds);
}

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  [answers, asked, blocks] = [[], [], []];
  vi.stubGlobal("fetch", async (request: Request) => {
    asked.push({ lastId: request.headers.get("Last-Event-ID"), at: Date.now() });
    return (answers.shift() ?? stream([], true))(request.signal);
  });
});

afterEach(() => {
  controller.abort();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("reads events however the stream is cut into pieces", async () => {
  const text =
    'retry: 2000\nevent: open\nid: 1-0\ndata: {}\n\nevent: post\nid: 1-1\ndata: {"a":"é"}\n\n';
  for (const cut of [0, 5, 40, 41, text.length - 8, text.length - 1]) {
    [answers, blocks] = [[stream([text.slice(0, cut), text.slice(cut)], true)], []];
    await follow(0);
    expect(blocks, String(cut)).toEqual([
      { id: "1-0", type: "open", data: {} },
      { id: "1-1", type: "post", data: { a: "é" } },
    ]);
    controller.abort();
  }
});

test("reads a text with a line separator of Unicode, which ends no line", async () => {
  answers = [stream(['event: post\nid: 1\ndata: "one\u2028two"\n\n'], true)];
  await follow(0);
  expect(blocks).toEqual([{ id: "1", type: "post", data: "one\u2028two" }]);
});

test("goes on after the last position, also one that came without an event", async () => {
  answers = [stream(["retry: 2000\nid: 1-0\ndata: {}\n\n", ": still here\nid: 1-7\n\n"])];
  await follow(2_000, "1-0");
  expect(asked).toEqual([
    { lastId: "1-0", at: 0 },
    { lastId: "1-7", at: 2_000 },
  ]);
});

test("tells where a stream begins, and not where it goes on", async () => {
  const open = "retry: 1000\nevent: open\nid: 1-0\ndata: {}\n\n";
  answers = [stream([open]), stream([open])];
  await follow(1_000);
  expect(blocks.map(({ type }) => type)).toEqual(["open", ""]);
});

test("pauses as long as the server says, and longer while there is no stream", async () => {
  const fails = () => Response.error();
  answers = [
    stream(["retry: 1000\nid: 1\n\n"]),
    ...Array<Answer>(7).fill(fails),
    refuse(503, { "Retry-After": "90" }),
    stream(["id: 2\n\n"]),
  ];
  await follow(1_000_000);
  const pauses = asked.slice(1).map(({ at }, index) => (at - asked[index]!.at) / 1000);
  expect(pauses.slice(0, 10)).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 90, 1]);
});

test("takes a silent connection for dead", async () => {
  answers = [stream(["retry: 1000\nid: 1\n\n"], true)];
  await follow(47_000);
  expect(asked.map(({ at }) => at)).toEqual([0, 46_000]);
});

test("drops the part of a block after which the connection broke", async () => {
  answers = [stream(["retry: 1000\nid: 1\n\nevent: post\nid: 2\nda"])];
  await follow(1_000);
  expect(blocks).toEqual([{ id: "1", type: "", data: null }]);
  expect(asked[1]!.lastId).toBe("1");
});

test("ends where the server has no such stream, or when it is not wanted", async () => {
  answers = [refuse(404)];
  await follow(100_000);
  expect(asked).toHaveLength(1);
  await follow(0);
  controller.abort();
  await vi.advanceTimersByTimeAsync(100_000);
  expect(asked).toHaveLength(2);
});

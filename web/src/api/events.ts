/**
 * The stream of live events (Server-Sent Events) of the user who is signed in.
 *
 * It is read with `fetch`: an EventSource can send neither the access token nor, in a tab that goes
 * on where another has stopped, the id of the last event.
 */

import { ROOT } from "./base";
import { sendForStream } from "./client";
import { pause, retryAfter } from "./connection";

/**
 * A block of the stream: an event if it has a type; else it only tells the position, its id.
 *
 * The type is `open` only where a stream begins, not where it goes on.
 */
export interface Block {
  id: string;
  type: string;
  data: unknown;
}

/** The server sends something every 15 seconds. A connection that is silent for longer is dead. */
const SILENCE_MILLISECONDS = 45_000;
const LONGEST_PAUSE = 60_000;

/** Return the fields of a block, of which the server sends each at most once. */
function parseFields(block: string): Record<string, string> {
  const lines = block.split("\n").map((line) => /^([^:]*):? ?(.*)/s.exec(line)!.slice(1));
  return Object.fromEntries(lines) as Record<string, string>;
}

/** Read the stream once, from after an event. Resolves to its response when it has ended. */
async function readStream(
  lastId: string,
  take: (fields: Record<string, string>) => void,
  signal: AbortSignal,
): Promise<Response> {
  const silence = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  function waitForMore(): void {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MILLISECONDS);
  }

  waitForMore();
  const headers = lastId ? { "Last-Event-ID": lastId } : undefined;
  const signals = AbortSignal.any([signal, silence.signal]);
  const request = new Request(new URL("live/", ROOT), { headers, signal: signals });
  const response = await sendForStream(request);
  try {
    const reader = response.ok && response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; reader;) {
      const { done, value } = await reader.read();
      if (done) break;
      waitForMore();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop()!;
      blocks.map(parseFields).forEach(take);
    }
  } catch {
    // The connection has broken.
  }
  clearTimeout(timer);
  return response;
}

/**
 * Read the stream of events from after `lastId`, and go on whenever it ends, until the signal.
 *
 * The pauses before that are as long as the server says, and grow while there is no stream.
 * Resolves if the server has no such stream; throws the signal's reason.
 */
export async function followEvents(
  lastId: string,
  take: (block: Block) => void,
  signal: AbortSignal,
): Promise<void> {
  let firstPause = 1_000 + 4_000 * Math.random();

  function takeFields({ id, retry, event = "", data = "null" }: Record<string, string>): void {
    if (retry) firstPause = Number(retry);
    if (id === undefined) return;
    const type = event === "open" && lastId ? "" : event;
    lastId = id;
    take({ id, type, data: JSON.parse(data) });
  }

  for (let failures = 0; ;) {
    const response = await readStream(lastId, takeFields, signal);
    signal.throwIfAborted();
    if (response.status === 404) return;
    failures = response.ok ? 0 : failures + 1;
    const growing = Math.min(firstPause * 2 ** failures, LONGEST_PAUSE);
    const asked = response.ok ? firstPause : retryAfter(response) * 1000;
    await pause(Math.max(growing, asked), signal, false);
  }
}

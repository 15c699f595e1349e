/** Requests that wait and try again while Pamps cannot be reached or asks for time. */

import { reactive } from "vue";

/** Why requests are waiting, as the page tells it; `until` is a time in milliseconds. */
export interface Waiting {
  reason: "offline" | "unreachable" | "rate-limited" | "busy" | null;
  until: number;
}

export const waiting = reactive<Waiting>({ reason: null, until: 0 });

// A write is given up after this time; a read waits for as long as somebody wants to see it.
const WRITE_MILLISECONDS = 120_000;
// The server gives up a request long before.
const ANSWER_MILLISECONDS = 30_000;
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

let waitingRequests = 0;

/**
 * Wait some time, or until the request is not wanted; where there was no answer, only until the
 * browser is online again.
 */
export function pause(
  milliseconds: number,
  signal: AbortSignal,
  hasAnswer: boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      window.removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      if (signal.aborted) reject(signal.reason as Error);
      else resolve();
    };
    const timer = setTimeout(end, milliseconds);
    if (!hasAnswer) window.addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}

/** Return a new Idempotency-Key. (`crypto.randomUUID` is there on secure origins only.) */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
}

/** Return the seconds of a `Retry-After` header (RFC 9110, section 10.2.3), and 1 without one. */
export function retryAfter(response: Response): number {
  return Math.max(1, Number(response.headers.get("Retry-After")) || 1);
}

/** Tell whether all of an answer arrives; Chromium does not always fail if some of it does not. */
async function isWhole(response: Response): Promise<boolean> {
  const { byteLength } = await response.clone().arrayBuffer();
  // The length of what a proxy has compressed is another.
  if (response.headers.has("Content-Encoding")) return true;
  return byteLength >= Number(response.headers.get("Content-Length"));
}

/** Send a request. Resolves to a response with status 0 if there is no answer, or only a part. */
export async function fetchOnce(request: Request): Promise<Response> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), ANSWER_MILLISECONDS);
  try {
    const signal = AbortSignal.any([request.signal, silence.signal]);
    const response = await fetch(request, { signal });
    return (await isWhole(response)) ? response : Response.error();
  } catch {
    return Response.error();
  } finally {
    clearTimeout(timer);
  }
}

/** Send a request whose answer is read as it comes. Resolves to status 0 if there is no answer. */
export function fetchStream(request: Request): Promise<Response> {
  return fetch(request).catch(() => Response.error());
}

/** Tell why a request has to wait and for how many milliseconds; null if it was answered. */
function reasonToWait(response: Response, attempt: number): [Waiting["reason"], number] | null {
  const longer = Math.min(FIRST_PAUSE * 2 ** attempt, LONGEST_PAUSE);
  if (response.status === 0) return [navigator.onLine ? "unreachable" : "offline", longer];
  if (response.status === 429) return ["rate-limited", retryAfter(response) * 1000];
  // An earlier attempt, of which the answer was lost, is not finished yet.
  if (response.status === 409 && response.headers.has("Retry-After")) return ["busy", longer];
  // A gateway answers 502 or 504 for a server that is away.
  if ([502, 503, 504].includes(response.status)) {
    return ["busy", Math.max(longer, retryAfter(response) * 1000)];
  }
  return null;
}

/**
 * Send a request, and again while there is no answer or the answer asks to wait.
 *
 * Sending again is safe: reads change nothing, PUT, PATCH and DELETE give the same result twice,
 * and each POST has an Idempotency-Key. Returns the last answer when it is given up after `limit`
 * milliseconds; throws the signal's reason once the request is not wanted any more.
 */
export async function patientFetch(
  request: Request,
  { once = fetchOnce, limit = request.method === "GET" ? Infinity : WRITE_MILLISECONDS } = {},
): Promise<Response> {
  const started = Date.now();
  let counted = false;
  try {
    for (let attempt = 0; ; attempt += 1) {
      const response = await once(request.clone());
      request.signal.throwIfAborted();
      const wait = reasonToWait(response, attempt);
      if (!wait || Date.now() + wait[1] - started > limit) return response;
      if (!counted) waitingRequests += 1;
      counted = true;
      [waiting.reason, waiting.until] = [wait[0], Date.now() + wait[1]];
      await pause(wait[1], request.signal, response.status !== 0);
    }
  } finally {
    if (counted) waitingRequests -= 1;
    if (waitingRequests === 0) waiting.reason = null;
  }
}

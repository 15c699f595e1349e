/** The API of Pamps, with types that are generated from its documentation. */

import createClient from "openapi-fetch";
import { ROOT } from "./base";
import { fetchOnce, fetchStream, newKey, patientFetch } from "./connection";
import type { components, paths } from "./schema";
import { accessToken, renewAccessToken, signedInId } from "./tokens";

export type Post = components["schemas"]["PostResponse"];
export type TimelineEntry = components["schemas"]["TimelineEntry"];
export type User = components["schemas"]["UserResponse"];
export type Author = components["schemas"]["PostAuthor"];
export type Profile = components["schemas"]["UserProfile"];
export type Me = components["schemas"]["UserMe"];
export type Notification = components["schemas"]["NotificationResponse"];
export type PopularTag = components["schemas"]["PopularTag"];

/** Return the request with the access token, if there is one. */
function authorized(request: Request): Request {
  const token = accessToken();
  const copy = request.clone();
  if (token) copy.headers.set("Authorization", `Bearer ${token}`);
  return copy;
}

/** Return the response to a request whose user is no longer signed in. */
function refusal(): Response {
  return new Response('{"detail":"Could not validate credentials"}', { status: 401 });
}

async function sendBy(
  transport: (request: Request) => Promise<Response>,
  request: Request,
): Promise<Response> {
  if (request.headers.has("Authorization")) return transport(request);
  if (request.method === "POST" && !request.headers.has("Idempotency-Key")) {
    request.headers.set("Idempotency-Key", newKey());
  }
  const user = signedInId();
  // After another tab has signed in, for instance.
  if (user !== null && !accessToken()) await renewAccessToken(null);
  if (signedInId() !== user) return refusal();
  const token = accessToken();
  // The token cannot be had just now. Without it, the answer would be that to a stranger.
  if (user !== null && !token) return Response.error();
  let response = await transport(authorized(request));
  if (response.status === 401 && token) {
    await renewAccessToken(token);
    // What one user wanted is never sent as another.
    if (signedInId() !== user) return refusal();
    if (!accessToken()) return Response.error();
    response = await transport(authorized(request));
  }
  return signedInId() === user ? response : refusal();
}

/**
 * Send a request as the user who is signed in, and renew the access token when it has expired.
 *
 * A request that brings its own `Authorization` header keeps it.
 */
export function send(request: Request): Promise<Response> {
  return sendBy(patientFetch, request);
}

/** Send a request like `send`, but show every answer at once, a 429 included. */
export function sendOnce(request: Request): Promise<Response> {
  return sendBy(fetchOnce, request);
}

/** Send a request like `sendOnce`, but leave its answer to be read as it comes, however long. */
export function sendForStream(request: Request): Promise<Response> {
  return sendBy(fetchStream, request);
}

const baseUrl = ROOT.href.replace(/\/$/, "");

export const api = createClient<paths>({ baseUrl, fetch: send });

/** The API without a token, for forms that show every answer at once, a 429 included. */
export const formApi = createClient<paths>({ baseUrl, fetch: fetchOnce });

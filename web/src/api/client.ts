/** The API of Pamps, with types that are generated from its documentation. */

import createClient from "openapi-fetch";
import { ROOT } from "./base";
import { fetchOnce, patientFetch } from "./connection";
import type { components, paths } from "./schema";
import { accessToken, renewAccessToken } from "./tokens";

export type Post = components["schemas"]["PostResponse"];
export type TimelineEntry = components["schemas"]["TimelineEntry"];
export type User = components["schemas"]["UserResponse"];
export type Author = components["schemas"]["PostAuthor"];
export type Profile = components["schemas"]["UserProfile"];
export type Me = components["schemas"]["UserMe"];
export type Notification = components["schemas"]["NotificationResponse"];
export type PopularTag = components["schemas"]["PopularTag"];
export type Session = components["schemas"]["SessionResponse"];

/** Return a new Idempotency-Key. (`crypto.randomUUID` is there on secure origins only.) */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
}

/** Return the request with the access token, if there is one. */
function authorized(request: Request): Request {
  const token = accessToken();
  const copy = request.clone();
  if (token) copy.headers.set("Authorization", `Bearer ${token}`);
  return copy;
}

/**
 * Send a request as the user who is signed in, and renew the access token when it has expired.
 *
 * A request that brings its own `Authorization` header keeps it.
 */
export async function send(request: Request): Promise<Response> {
  if (request.headers.has("Authorization")) return patientFetch(request);
  if (request.method === "POST" && !request.headers.has("Idempotency-Key")) {
    request.headers.set("Idempotency-Key", newKey());
  }
  const token = accessToken();
  const response = await patientFetch(authorized(request));
  if (response.status !== 401 || !token) return response;
  await renewAccessToken(token);
  return patientFetch(authorized(request));
}

const baseUrl = ROOT.href.replace(/\/$/, "");

export const api = createClient<paths>({ baseUrl, fetch: send });

/** The API for forms that show every answer at once, a 429 included, and never try again. */
export const formApi = createClient<paths>({ baseUrl, fetch: fetchOnce });

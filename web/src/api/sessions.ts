/** The sessions of the user who is signed in. */

import { api, type Session as ApiSession } from "./client";

/** A session; the id is a text, as it can be larger than what a JavaScript number keeps exactly. */
export type Session = Omit<ApiSession, "id"> & { id: string };

/** Read JSON in which the ids of sessions are larger than a number of JavaScript can be. */
export function parseSessions(json: string): Session[] {
  return JSON.parse(json.replace(/"id":\s*(\d+)/g, '"id":"$1"')) as Session[];
}

/** Return all sessions, or null if they cannot be had. */
export async function listSessions(
  headers: Record<string, string> = {},
): Promise<Session[] | null> {
  const query = { limit: 100 };
  const { data } = await api.GET("/user/me/sessions/", {
    params: { query },
    headers,
    parseAs: "text",
  });
  return data === undefined ? null : parseSessions(data as unknown as string);
}

/** End a session. Returns whether it has ended. */
export async function endSessionById(
  id: string,
  headers: Record<string, string> = {},
): Promise<boolean> {
  // A path takes the text as it is.
  const path = { session_id: id as unknown as number };
  const { response } = await api.DELETE("/user/me/sessions/{session_id}/", {
    params: { path },
    headers,
  });
  return response.ok || response.status === 404;
}

/** End the session that these headers belong to. */
export async function endSessionOf(headers: Record<string, string>): Promise<void> {
  const current = (await listSessions(headers))?.find((each) => each.current);
  if (current) await endSessionById(current.id, headers);
}

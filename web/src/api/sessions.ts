/** The sessions of the user who is signed in. */

import { api } from "./client";
import type { Answer } from "./failures";
import type { components } from "./schema";
import type { OwnRequest } from "./session";

/** A session. Its id is a text, as it can be larger than what a number keeps exactly. */
export type Session = Omit<components["schemas"]["SessionResponse"], "id"> & { id: string };

/** Read sessions from JSON with their ids as texts. */
function parseSessions(json: string): Session[] {
  return JSON.parse(json.replace(/"id":\s*(\d+)/g, '"id":"$1"')) as Session[];
}

/** Return all sessions, up to 100, or null if they cannot be had. */
export async function listSessions(options: Partial<OwnRequest> = {}): Promise<Session[] | null> {
  const params = { query: { limit: 100 } };
  const answer = await api.GET("/user/me/sessions/", { params, ...options, parseAs: "text" });
  return answer.data === undefined ? null : parseSessions(answer.data);
}

/** End a session. A session that has ended already is a 404. */
export function endSessionById(id: string, options: Partial<OwnRequest> = {}): Promise<Answer> {
  // A path takes the text as it is.
  const params = { path: { session_id: id as unknown as number } };
  return api.DELETE("/user/me/sessions/{session_id}/", { params, ...options });
}

/** End the session that these options belong to. */
export async function endSessionOf(options: OwnRequest): Promise<void> {
  const current = (await listSessions(options))?.find((each) => each.current);
  if (current) await endSessionById(current.id, options);
}

/** What the user does to other users: follow, mute, block. */

import { api, type Profile } from "../api/client";
import { toggle } from "./toggle";

export type Relation = "followed" | "muted" | "blocked";

/** How often each relation was changed in this tab; lists that depend on it load anew. */
export const relationChanges: Record<Relation, number> = { followed: 0, muted: 0, blocked: 0 };

const ROUTES = {
  followed: "/user/follow/{user_id}",
  muted: "/user/mute/{user_id}",
  blocked: "/user/block/{user_id}",
} as const;

// Resolves when all changes have been sent.
let changes: Promise<unknown> = Promise.resolve();

/** Load a profile as it is after what this tab has changed, also while it is loaded. */
export async function loadProfile(username: string) {
  for (;;) {
    const seen = changes;
    await seen;
    const answer = await api.GET("/user/{username}/", { params: { path: { username } } });
    if (seen === changes) return answer;
  }
}

/** Set a relation to a user by the API. Resolves to whether the API has taken it. */
export async function setRelation(
  userId: number,
  relation: Relation,
  on: boolean,
  show: (on: boolean) => void,
): Promise<boolean> {
  const route = ROUTES[relation];
  const params = { params: { path: { user_id: userId } } };
  const change = toggle(`${relation}.${userId}`, on, show, (on) =>
    on ? api.POST(route, params) : api.DELETE(route, params),
  );
  changes = Promise.all([changes, change]);
  const done = await change;
  if (done) relationChanges[relation] += 1;
  return done;
}

function show(profile: Profile, relation: "followed" | "muted", on: boolean): void {
  if (profile[relation] === on) return;
  profile[relation] = on;
  if (relation === "followed") profile.follower_count += on ? 1 : -1;
}

/** Follow or mute a user, or undo it. Resolves to whether the API has taken it. */
export function toggleRelation(profile: Profile, relation: "followed" | "muted"): Promise<boolean> {
  return setRelation(profile.id, relation, !profile[relation], (on) => show(profile, relation, on));
}

/** Block a user, or undo it. It shows when it is done, as it ends follows and brings back posts. */
export async function toggleBlock(profile: Profile): Promise<void> {
  const done = await setRelation(profile.id, "blocked", !profile.blocked, () => {});
  if (done) Object.assign(profile, (await loadProfile(profile.username)).data);
}

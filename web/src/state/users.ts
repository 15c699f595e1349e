/** What the user does to other users: follow, block, mute. */

import { api, type Profile } from "../api/client";
import { toggle } from "./toggle";

export type Relation = "followed" | "blocked" | "muted";

const ROUTES = {
  followed: "/user/follow/{user_id}",
  blocked: "/user/block/{user_id}",
  muted: "/user/mute/{user_id}",
} as const;

/** How often each relation was changed in this tab; lists that depend on it load anew. */
export const relationChanges: Record<Relation, number> = { followed: 0, blocked: 0, muted: 0 };

function show(profile: Profile, relation: Relation, on: boolean): void {
  if (profile[relation] === on) return;
  profile[relation] = on;
  if (relation === "followed") profile.follower_count += on ? 1 : -1;
}

/** Follow, block or mute a user, or undo it. Resolves to whether it succeeded. */
export async function toggleRelation(profile: Profile, relation: Relation): Promise<boolean> {
  const params = { params: { path: { user_id: profile.id } } };
  const done = await toggle(
    `${relation}.${profile.id}`,
    !profile[relation],
    (on) => show(profile, relation, on),
    (on) => (on ? api.POST(ROUTES[relation], params) : api.DELETE(ROUTES[relation], params)),
  );
  if (done) relationChanges[relation] += 1;
  return done;
}

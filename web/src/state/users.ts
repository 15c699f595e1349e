/** What the user does to other users: follow, mute, block. */

import { api, type Profile } from "../api/client";
import { showFailure } from "./messages";
import { toggle } from "./toggle";

export type Relation = "followed" | "muted" | "blocked";

/** How often each relation was changed in this tab; lists that depend on it load anew. */
export const relationChanges: Record<Relation, number> = { followed: 0, muted: 0, blocked: 0 };

const ROUTES = { followed: "/user/follow/{user_id}", muted: "/user/mute/{user_id}" } as const;

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

function show(profile: Profile, relation: "followed" | "muted", on: boolean): void {
  if (profile[relation] === on) return;
  profile[relation] = on;
  if (relation === "followed") profile.follower_count += on ? 1 : -1;
}

/** Follow or mute a user, or undo it. Resolves to whether the API has taken it. */
export async function toggleRelation(
  profile: Profile,
  relation: "followed" | "muted",
): Promise<boolean> {
  const params = { params: { path: { user_id: profile.id } } };
  const change = toggle(
    `${relation}.${profile.id}`,
    !profile[relation],
    (on) => show(profile, relation, on),
    (on) => (on ? api.POST(ROUTES[relation], params) : api.DELETE(ROUTES[relation], params)),
  );
  changes = Promise.all([changes, change]);
  const done = await change;
  if (done) relationChanges[relation] += 1;
  return done;
}

/** Block a user, or undo it. It shows when it is done, as it ends follows and brings back posts. */
export async function toggleBlock(profile: Profile): Promise<void> {
  const params = { params: { path: { user_id: profile.id } } };
  const route = "/user/block/{user_id}";
  const answer = await (profile.blocked ? api.DELETE(route, params) : api.POST(route, params));
  if (!answer.response.ok) return showFailure(answer);
  relationChanges.blocked += 1;
  Object.assign(profile, (await loadProfile(profile.username)).data);
}

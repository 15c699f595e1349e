/** The posts that this tab has seen, each once, so that a change shows in every list. */

import { reactive } from "vue";
import { api, type Author, type Post, type TimelineEntry } from "../api/client";
import { showFailure } from "./messages";
import { recentlySwitched, toggle } from "./toggle";

/** A post as the page shows it; `deleted` after it was deleted while the page shows it. */
export interface ShownPost extends Post {
  deleted?: boolean;
}

/** An entry of a list of posts. `repostedBy` is set in a timeline only. */
export interface Entry {
  key: string;
  post: ShownPost;
  repostedBy: Author | null;
}

const FLAGS = ["liked", "reposted", "bookmarked"] as const;
export type Flag = (typeof FLAGS)[number];

const posts = new Map<number, ShownPost>();
const entries = new Map<string, Entry>();

/** Return the one object for a post, with the newest of what the API said of it. */
export function adoptPost(post: Post): ShownPost {
  const known = posts.get(post.id);
  if (known) {
    Object.assign(known, post);
    for (const flag of FLAGS) {
      const on = recentlySwitched(`${flag}.${post.id}`);
      if (on !== undefined) show(known, flag, on);
    }
    return known;
  }
  const shown = reactive({ ...post });
  posts.set(post.id, shown);
  return shown;
}

/** Return the one object for an entry of a list. */
export function adoptEntry(item: Post | TimelineEntry): Entry {
  const { reposted_by: repostedBy = null, ...post } = item as TimelineEntry;
  const key = `${post.id}.${repostedBy?.id ?? 0}`;
  const shown = adoptPost(post);
  const known = entries.get(key);
  if (known) return known;
  const entry = { key, post: shown, repostedBy };
  entries.set(key, entry);
  return entry;
}

/** Show what was made of a post elsewhere, if this tab has seen it. */
export function showEdited(post: Post): void {
  if (posts.has(post.id)) adoptPost(post);
}

/** Show that a post was deleted, here or elsewhere. */
export function markDeleted(id: number): void {
  const post = posts.get(id);
  if (!post || post.deleted) return;
  post.deleted = true;
  const parent = post.parent_id && posts.get(post.parent_id);
  if (parent) parent.reply_count -= 1;
}

/** Show the new picture of a user at all posts. */
export function showAvatar({ id, avatar }: Author): void {
  for (const post of posts.values()) if (post.user.id === id) post.user.avatar = avatar;
}

/** Forget all posts. Called when another user signs in, as they hold what the former may see. */
export function forgetPosts(): void {
  posts.clear();
  entries.clear();
}

const ROUTES = {
  liked: "/post/{post_id}/like/",
  reposted: "/post/{post_id}/repost/",
  bookmarked: "/post/{post_id}/bookmark/",
} as const;
const COUNTS = { liked: "like_count", reposted: "repost_count" } as const;

function show(post: ShownPost, flag: Flag, on: boolean): void {
  if (post[flag] === on) return;
  post[flag] = on;
  if (flag !== "bookmarked") post[COUNTS[flag]] += on ? 1 : -1;
}

/** Like, repost or bookmark a post, or undo it. */
export async function toggleFlag(post: ShownPost, flag: Flag): Promise<void> {
  const params = { params: { path: { post_id: post.id } } };
  await toggle(
    `${flag}.${post.id}`,
    !post[flag],
    (on) => show(post, flag, on),
    (on) => (on ? api.POST(ROUTES[flag], params) : api.DELETE(ROUTES[flag], params)),
  );
}

/** Delete a post of the user. Returns whether it is deleted. */
export async function deletePost(post: ShownPost): Promise<boolean> {
  const path = { post_id: post.id };
  const answer = await api.DELETE("/post/{post_id}/", { params: { path } });
  const { response } = answer;
  if (response.ok || response.status === 404) markDeleted(post.id);
  else showFailure(answer);
  return Boolean(post.deleted);
}

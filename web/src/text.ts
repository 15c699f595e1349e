/** The parts of a post's text: plain text, mentions, hashtags and links. */

import type { Post } from "./api/client";

export type TextPart =
  | { kind: "text"; text: string }
  | { kind: "mention"; text: string; username: string }
  | { kind: "tag"; text: string; tag: string }
  | { kind: "link"; text: string; href: string };

// An address ends before the punctuation that ends a sentence.
const CANDIDATE =
  /(?<link>https?:\/\/[^\s<>"]*[^\s<>"'.,;:!?()[\]{}])|(?<![\p{L}\p{N}\p{M}_@/])@(?<name>\w{1,30})|(?<![\p{L}\p{N}\p{M}_&/])[#＃﹟](?<tag>[\p{L}\p{N}\p{M}_]+)/gu;

/** Return a hashtag in the form in which the API compares hashtags. */
export function foldTag(tag: string): string {
  return tag.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFKC");
}

function link(text: string): TextPart {
  return URL.canParse(text) ? { kind: "link", text, href: text } : { kind: "text", text };
}

/**
 * Split the text of a post into parts. Mentions and hashtags are those that the API has found: a
 * name that nobody has is plain text.
 */
export function splitText({ text, mentions, tags }: Pick<Post, "text" | "mentions" | "tags">) {
  const names = new Map(mentions.map(({ username }) => [username.toLowerCase(), username]));
  const parts: TextPart[] = [];
  let end = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const [found] = match;
    const groups = match.groups!;
    const username = names.get(groups.name?.toLowerCase() ?? "");
    let part: TextPart = { kind: "text", text: found };
    if (groups.link) part = link(found);
    else if (username) part = { kind: "mention", text: found, username };
    else if (groups.tag && tags.includes(foldTag(groups.tag))) {
      part = { kind: "tag", text: found, tag: foldTag(groups.tag) };
    }
    if (part.kind === "text") continue;
    if (match.index > end) parts.push({ kind: "text", text: text.slice(end, match.index) });
    parts.push(part);
    end = match.index + found.length;
  }
  if (end < text.length) parts.push({ kind: "text", text: text.slice(end) });
  return parts;
}

/** Return the length of a text as the API counts it: in code points. */
export function textLength(text: string): number {
  return [...text].length;
}

/** Limits that an operator can set, which Pamps writes into the page. */

const meta = document.querySelector<HTMLMetaElement>("meta[name=post-max-length]");

/** The maximum length of a post's text, in code points. */
export const POST_MAX_LENGTH = Number(meta?.content ?? 255);

/** The token of a link in a mail, which must stay neither in the address nor in the history. */

import { readonly, ref } from "vue";
import type { RouteLocationNormalized, RouteLocationRaw } from "vue-router";

const token = ref("");

/** The token of the link that led to the page; empty if none did, or after a reload. */
export const linkToken = readonly(token);

/** Keep the token that an address ends with. Returns where to go instead, or null if it has none. */
export function takeLinkToken({ path, hash }: RouteLocationNormalized): RouteLocationRaw | null {
  const [, found] = /^#token=(.+)/.exec(hash) ?? [];
  if (!found) return null;
  token.value = found;
  return { path, replace: true };
}

/** Forget the token, which is good once. */
export function forgetLinkToken(): void {
  token.value = "";
}

/** Lists that are read page by page, by the `Link` header of each page (RFC 8288). */

import { ROOT } from "./base";
import { send } from "./client";
import type { Answer } from "./failures";

/** A page of a list. `next` and `previous` are absolute addresses, or null. */
export interface Page<T> {
  items: T[];
  next: string | null;
  previous: string | null;
}

/** What a request of openapi-fetch for a list resolves to. */
interface ListAnswer<T> extends Answer {
  data?: T[];
}

/** An answer other than the list. */
export class ListError extends Error {
  constructor(readonly answer: Answer) {
    super(`status ${answer.response.status}`);
  }
}

/** Return the address that a `Link` header has for a relation, resolved against the page's own. */
export function linkTo(relation: string, header: string | null, address: string): string | null {
  for (const [, reference, parameters] of (header ?? "").matchAll(/<([^>]*)>([^<]*)/g)) {
    const relations = /;\s*rel="?([^";,]*)/.exec(parameters!)?.[1] ?? "";
    if (relations.split(" ").includes(relation)) {
      return new URL(reference!, address).href;
    }
  }
  return null;
}

/** Return the page that an answer is. Throws ListError if it is something else. */
export async function readPage<T>(answer: Promise<ListAnswer<T>>): Promise<Page<T>> {
  const { data, response, error } = await answer;
  if (!data) throw new ListError({ response, error });
  const link = response.headers.get("Link");
  return {
    items: data,
    next: linkTo("next", link, response.url),
    previous: linkTo("prev", link, response.url),
  };
}

/** Load the page at an address that an earlier page has given. Throws ListError. */
export async function loadPage<T>(
  address: string,
  signal: AbortSignal,
  transport = send,
): Promise<Page<T>> {
  // The path only, so that the token never goes to another server.
  const { pathname, search } = new URL(address);
  const request = new Request(Object.assign(new URL(ROOT), { pathname, search }), { signal });
  const answer = transport(request).then(async (response) => {
    const body: unknown = await response.json();
    return response.ok ? { response, data: body as T[] } : { response, error: body };
  });
  return readPage(answer);
}

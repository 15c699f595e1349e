/** Lists that are read page by page, by the `Link` header of each page (RFC 8288). */

import { send } from "./client";

/** A page of a list. `next` and `previous` are absolute addresses, or null. */
export interface Page<T> {
  items: T[];
  next: string | null;
  previous: string | null;
}

/** What a request of openapi-fetch for a list resolves to. */
interface ListAnswer<T> {
  data?: T[];
  response: Response;
}

/** An answer other than the list. */
export class ListError extends Error {
  constructor(readonly response: Response) {
    super(`status ${response.status}`);
  }
}

/** Return the address that a `Link` header has for a relation, resolved against the page's own. */
export function linkTo(relation: string, header: string | null, address: string): string | null {
  for (const [, reference, parameters] of (header ?? "").matchAll(/<([^>]*)>([^<]*)/g)) {
    if (new RegExp(`;\\s*rel="?${relation}"?`).test(parameters!)) {
      return new URL(reference!, address).href;
    }
  }
  return null;
}

/** Return the page that an answer is. Throws ListError if it is something else. */
export async function readPage<T>(answer: Promise<ListAnswer<T>>): Promise<Page<T>> {
  const { data, response } = await answer;
  if (!data) throw new ListError(response);
  const link = response.headers.get("Link");
  return {
    items: data,
    next: linkTo("next", link, response.url),
    previous: linkTo("prev", link, response.url),
  };
}

/** Load the page at an address that an earlier page has given. Throws ListError. */
export async function loadPage<T>(address: string, signal: AbortSignal): Promise<Page<T>> {
  // The path only, so that the token never goes to another server.
  const { pathname, search } = new URL(address);
  const request = new Request(new URL(pathname + search, document.baseURI), { signal });
  const answer = send(request).then(async (response) => ({
    response,
    data: response.ok ? ((await response.json()) as T[]) : undefined,
  }));
  return readPage(answer);
}

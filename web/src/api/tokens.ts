/**
 * The tokens of this tab: the access token in memory, the refresh token in a cookie that no script
 * can read.
 *
 * All tabs of a browser share the cookie, and so the session. What they share besides is a mark in
 * localStorage, `<user id>.<random>`: it says that there is a session and whose, and its change
 * tells the other tabs.
 */

import { readStored, removeStored, store } from "../storage";
import { ROOT } from "./base";
import { fetchOnce, newKey, patientFetch } from "./connection";

const MARK = "pamps:session";

let mark = readStored(MARK);
let token: string | null = null;
let renewal: Promise<void> | null = null;
let onEnd: () => void = () => {};
let onChange: () => void = () => {};

export function accessToken(): string | null {
  return token;
}

/** Return the id of the user who is signed in in this browser, or null. */
export function signedInId(): number | null {
  return mark === null ? null : Number(mark.split(".")[0]);
}

/** Return the id of the user whom an access token (a JWT) is for. */
function subject(accessToken: string): string {
  const payload = accessToken.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/");
  return (JSON.parse(atob(payload)) as { sub: string }).sub;
}

/** Keep the tokens of a new session. The mark differs for each, so that all tabs notice. */
export function beginSession(newToken: string): void {
  token = newToken;
  mark = `${subject(newToken)}.${newKey()}`;
  store(MARK, mark);
}

/** Forget the tokens, in all tabs. */
export function endSession(): void {
  token = mark = null;
  removeStored(MARK);
}

/** Call back when the session has ended without having been signed out in this browser. */
export function whenSessionEnds(callback: () => void): void {
  onEnd = callback;
}

/** Call back when another tab has signed in or out. The token of this tab is forgotten before. */
export function whenAnotherTabChanges(callback: () => void): void {
  onChange = callback;
}

/** Notice that another tab has signed in or out. */
export function noticeOtherTabs(): void {
  const stored = readStored(MARK);
  if (stored === mark) return;
  [mark, token] = [stored, null];
  onChange();
}

window.addEventListener("storage", ({ key }) => {
  if (key === MARK || key === null) noticeOtherTabs();
});
// A page that was left and is gone back to has missed the events.
window.addEventListener("pageshow", noticeOtherTabs);

/**
 * Do something while no other tab of Pamps does, where the browser has locks.
 *
 * Whatever sets the cookie goes through here: the answer of a refresh must not come after that of a
 * sign-in and put back the cookie of the former session.
 */
export async function inTurn<T>(act: () => Promise<T>): Promise<T> {
  // On insecure origins, such as a machine in the local network, there are none.
  if (!navigator.locks) return act();
  return navigator.locks.request("pamps:cookie", act);
}

async function requestToken(): Promise<void> {
  const address = new URL("refresh_token", ROOT);
  while (mark !== null) {
    const before = mark;
    // A used refresh token gets its answer again for seconds; with a key, for as long as one waits.
    const headers = { "Idempotency-Key": newKey() };
    const request = new Request(address, { method: "POST", credentials: "same-origin", headers });
    // The lock is held for one attempt at a time, so that every tab tells why it waits.
    const once = (attempt: Request) => inTurn(() => fetchOnce(attempt));
    const response = await patientFetch(request, { once, limit: Infinity });
    const body = response.ok ? ((await response.json()) as { access_token: string }) : null;
    noticeOtherTabs();
    // If another tab has signed in meanwhile, the answer may belong to the former session. And if
    // another has renewed the cookie between two attempts, the key was used with the former one.
    if (mark !== before || response.status === 422) continue;
    if (body && subject(body.access_token) === String(signedInId())) {
      token = body.access_token;
    } else if (body) {
      // Without locks, the cookie can be another session's than the mark. The cookie is right.
      beginSession(body.access_token);
      onChange();
    } else if ([401, 403].includes(response.status)) {
      endSession();
      onEnd();
    }
    return;
  }
}

/**
 * Get a new access token in place of one that was refused, or of none.
 *
 * If the session has ended, there is none afterwards. Only one tab renews at a time, as each
 * refresh token is good once; where the browser has no locks, the server gives the same answer
 * again to a tab that comes a moment later.
 */
export async function renewAccessToken(refused: string | null): Promise<void> {
  if (!renewal) {
    if (token !== refused) return;
    // A new one is the same text as the refused one if both are of the same second.
    token = null;
    renewal = requestToken().finally(() => (renewal = null));
  }
  await renewal;
}

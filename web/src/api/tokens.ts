/**
 * The tokens of this tab: the access token in memory, the refresh token in a cookie that no script
 * can read.
 *
 * All tabs of a browser share the cookie, and so the session. What they share besides is a mark in
 * localStorage: it says that there is a session and whose, and its change tells the other tabs.
 */

import { ROOT } from "./base";
import { patientFetch } from "./connection";

const MARK = "pamps:session";

let token: string | null = null;
let renewal: Promise<void> | null = null;
let onEnd: () => void = () => {};

export function accessToken(): string | null {
  return token;
}

/** Tell whether this browser has signed in and not out, as far as it knows. */
export function hasSession(): boolean {
  return localStorage.getItem(MARK) !== null;
}

/** Keep the tokens of a new session. The mark differs for each, so that all tabs notice. */
export function beginSession(newToken: string): void {
  token = newToken;
  localStorage.setItem(MARK, String(Date.now()));
}

/** Forget the tokens, in all tabs. */
export function endSession(): void {
  token = null;
  localStorage.removeItem(MARK);
}

/** Call back when the session has ended without having been signed out in this tab. */
export function whenSessionEnds(callback: () => void): void {
  onEnd = callback;
}

/** Call back when another tab has signed in or out. The token of this tab is forgotten before. */
export function whenAnotherTabChanges(callback: () => void): void {
  window.addEventListener("storage", (event) => {
    if (event.key !== MARK && event.key !== null) return;
    token = null;
    callback();
  });
}

async function requestToken(): Promise<void> {
  const response = await patientFetch(
    new Request(new URL("refresh_token", ROOT), { method: "POST", credentials: "same-origin" }),
  );
  if (response.ok) {
    token = ((await response.json()) as { access_token: string }).access_token;
  } else if ([401, 403].includes(response.status) && hasSession()) {
    endSession();
    onEnd();
  }
}

/** Do something while no other tab of Pamps does it, where the browser has locks. */
async function inTurn(act: () => Promise<void>): Promise<void> {
  // On insecure origins, such as a machine in the local network, there are none.
  if ("locks" in navigator) await navigator.locks.request("pamps:refresh", act);
  else await act();
}

/**
 * Get a new access token in place of one that was refused, or of none.
 *
 * If the session has ended, there is none afterwards. Only one tab renews at a time, as each
 * refresh token is good once; where the browser has no locks, the server gives the same answer
 * again to a tab that comes a moment later.
 */
export async function renewAccessToken(refused: string | null): Promise<void> {
  if (token !== refused) return;
  renewal ??= inTurn(requestToken).finally(() => (renewal = null));
  await renewal;
}

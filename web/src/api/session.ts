/** Who is signed in. */

import { reactive } from "vue";
import { api, formApi, sendOnce, type Me } from "./client";
import type { Answer } from "./failures";
import { endSessionOf } from "./sessions";
import {
  accessToken,
  beginSession,
  endSession,
  inTurn,
  noticeOtherTabs,
  renewAccessToken,
  signedInId,
  whenAnotherTabChanges,
  whenSessionEnds,
} from "./tokens";

/** How often the user who looks at the page is loaded anew. */
const POLL_MILLISECONDS = 60_000;

/**
 * `user` is null while nobody is signed in. `ready` is false until that is known, and `ended` is
 * true after a session that ended without having been signed out in this tab.
 */
export const session = reactive({
  user: null as Me | null,
  ready: false,
  ended: false,
});

/** Load the user who is signed in. Called at the start, and when another tab has changed it. */
export async function loadSession(): Promise<void> {
  let id;
  do {
    id = signedInId();
    await reloadUser();
  } while (signedInId() !== id);
  session.ready = true;
}

/** Load the user anew: counts, the number of unread notifications, and whether still signed in. */
export async function reloadUser(options: { fetch?: typeof sendOnce } = {}): Promise<void> {
  const id = signedInId();
  if (id === null) {
    session.user = null;
    return;
  }
  const { data, response } = await api.GET("/user/me/", options);
  if (data) updateUser(data);
  // The tokens are valid, but not for this account: it is disabled.
  else if (response.status === 401 && signedInId() === id) loseSession();
}

/** Show what the API says of the user, unless another user has signed in meanwhile. */
export function updateUser(user: Me): void {
  if (user.id !== signedInId()) return;
  session.user = user;
  session.ended = false;
}

/** Ask for tokens with a password; `cookie` keeps the refresh token in a cookie. */
function requestTokens(username: string, password: string, cookie: "true" | "false") {
  return formApi.POST("/token", {
    body: { grant_type: "password", username, password, refresh_token: "", cookie },
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  });
}

/** Have this browser sign in, while no other tab uses the cookie. */
async function beginNewSession(username: string, password: string): Promise<Answer> {
  const answer = await requestTokens(username, password, "true");
  if (answer.data) beginSession(answer.data.access_token);
  return answer;
}

/** Sign in. The answer has status 401 for a wrong name or password. */
export async function signIn(username: string, password: string): Promise<Answer> {
  const answer = await inTurn(() => beginNewSession(username, password));
  if (answer.response.ok) await reloadUser();
  return answer;
}

/** Sign out in all tabs of this browser. An answer that is an error has changed nothing. */
export async function signOut(): Promise<Answer> {
  if (!accessToken()) await renewAccessToken(null);
  // A token that has expired is good enough for this.
  const options = { headers: authorization(accessToken()), fetch: sendOnce };
  const answer = await inTurn(() => api.POST("/logout", options));
  if (answer.response.ok || answer.response.status === 401) forgetSession();
  return answer;
}

/** Be signed out without asking the server, after the account was deleted. */
export function forgetSession(): void {
  endSession();
  session.user = null;
}

function loseSession(): void {
  forgetSession();
  session.ended = true;
}

function authorization(token: string | null): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

/** Options of a request with a token of its own, of which every answer is shown at once. */
export type OwnRequest = { headers: Record<string, string>; fetch: typeof sendOnce };

/**
 * Do what needs a fresh sign-in, in a session of its own that ends with it.
 *
 * `act` gets the options to send. Returns its answer, or that of the sign-in if it failed.
 */
export async function withPassword<T extends Answer>(
  password: string,
  act: (options: OwnRequest) => Promise<T>,
): Promise<T | Answer> {
  const tokens = await requestTokens(session.user?.username ?? "", password, "false");
  if (!tokens.data) return tokens;
  const options = { headers: authorization(tokens.data.access_token), fetch: sendOnce };
  const answer = await act(options);
  await endSessionOf(options);
  return answer;
}

/**
 * Change the password, which ends all sessions, and sign in with the new one, so that the tabs of
 * this browser stay signed in. If that fails, nobody is signed in afterwards. If no answer came,
 * the new password tells whether it is changed.
 */
export async function changePassword(current: string, next: string): Promise<Answer> {
  const { username } = session.user!;
  const body = { current_password: current, new_password: next };
  // In one turn, so that no tab loses its session in between.
  const change = () =>
    inTurn(async () => {
      const options = { body, headers: authorization(accessToken()), fetch: sendOnce };
      const answer = await api.PUT("/user/me/password/", options);
      const isLost = answer.response.status === 0;
      if (!answer.response.ok && !isLost) return answer;
      const signedIn = await beginNewSession(username, next);
      if (isLost) return signedIn.response.ok ? signedIn : answer;
      if (!signedIn.response.ok) forgetSession();
      return answer;
    });
  const token = accessToken();
  const answer = await change();
  if (answer.response.status !== 401) return answer;
  await renewAccessToken(token);
  return session.user?.username === username ? change() : answer;
}

whenSessionEnds(loseSession);

whenAnotherTabChanges(() => {
  const id = signedInId();
  // Somebody else: nothing of the former user stays, and nothing is done as the new one by mistake.
  if (session.user && session.user.id !== id) {
    session.user = null;
    session.ended = id === null;
  }
  if (!session.user && id !== null) session.ready = false;
  void loadSession();
});

/** See what has changed meanwhile, such as the number of unread notifications. */
function poll(): void {
  if (document.hidden || !session.ready) return;
  noticeOtherTabs();
  // Nobody waits for it: the next time is soon enough if it fails.
  if (navigator.onLine) void reloadUser({ fetch: sendOnce });
}

setInterval(poll, POLL_MILLISECONDS);
// A tab that was in the background may have missed anything.
document.addEventListener("visibilitychange", poll);

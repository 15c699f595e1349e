/** Who is signed in. */

import { reactive } from "vue";
import { api, formApi, type Me } from "./client";
import type { Answer } from "./failures";
import { endSessionOf } from "./sessions";
import {
  accessToken,
  beginSession,
  endSession,
  hasSession,
  renewAccessToken,
  whenAnotherTabChanges,
  whenSessionEnds,
} from "./tokens";

/**
 * `user` is null while nobody is signed in. `ready` is false until that is known, and `ended` is
 * true after a session that ended without having been signed out here.
 */
export const session = reactive({
  user: null as Me | null,
  ready: false,
  ended: false,
});

/** Load the user who is signed in. Called at the start, and when another tab has changed it. */
export async function loadSession(): Promise<void> {
  if (!accessToken() && hasSession()) await renewAccessToken(null);
  await reloadUser();
  session.ready = true;
}

/** Load the user anew: counts, the number of unread notifications, and whether still signed in. */
export async function reloadUser(): Promise<void> {
  if (!accessToken()) {
    session.user = null;
    return;
  }
  const { data, response } = await api.GET("/user/me/");
  if (data) session.user = data;
  else if (response.status === 401) session.user = null;
}

/** Ask for tokens with a password; `cookie` keeps the refresh token in a cookie. */
function requestTokens(username: string, password: string, cookie: boolean) {
  return formApi.POST("/token", {
    body: { grant_type: "password", username, password, refresh_token: "", cookie },
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
  });
}

/** Sign in. The answer has status 401 for a wrong name or password. */
export async function signIn(username: string, password: string): Promise<Answer> {
  const answer = await requestTokens(username, password, true);
  if (answer.data) {
    beginSession(answer.data.access_token);
    session.ended = false;
    await reloadUser();
  }
  return answer;
}

/** Sign out in all tabs of this browser. Returns false if the server did not take it. */
export async function signOut(): Promise<boolean> {
  if (!accessToken()) await renewAccessToken(null);
  if (accessToken()) {
    const { response } = await api.POST("/logout");
    if (!response.ok && response.status !== 401) return false;
  }
  forgetSession();
  return true;
}

/** Be signed out without asking the server, after the account was deleted or the password changed. */
export function forgetSession(): void {
  endSession();
  session.user = null;
}

/**
 * Do what needs a fresh sign-in, in a session of its own that ends with it.
 *
 * `act` gets the headers to send. Returns its answer, or that of the sign-in if it failed.
 */
export async function withPassword(
  password: string,
  act: (headers: Record<string, string>) => Promise<Answer>,
): Promise<Answer> {
  const tokens = await requestTokens(session.user?.username ?? "", password, false);
  if (!tokens.data) return tokens;
  const headers = { Authorization: `Bearer ${tokens.data.access_token}` };
  const answer = await act(headers);
  await endSessionOf(headers);
  return answer;
}

whenSessionEnds(() => {
  session.user = null;
  session.ended = true;
});

whenAnotherTabChanges(() => void loadSession());

// A tab that was in the background may have missed anything.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && session.ready) void reloadUser();
});

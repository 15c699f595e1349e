/** Leaving: signing out, and deleting the account. */

import { nextTick } from "vue";
import { api, formApi } from "../api/client";
import { patientFetch } from "../api/connection";
import type { Answer } from "../api/failures";
import { forgetSession, session, signOut, withPassword } from "../api/session";
import { t } from "../i18n";
import { router } from "../router";
import { removeDrafts } from "./drafts";
import { showFailure, showMessage } from "./messages";

async function goHome(message: string): Promise<void> {
  showMessage(message);
  // The page, if it is only for users, goes to the sign-in page first; see App.vue.
  await nextTick();
  await router.push({ name: "home" });
}

/** Sign out, and say so. */
export async function signOutAndGoHome(): Promise<void> {
  const answer = await signOut();
  if (session.user) showFailure(answer);
  else await goHome(t("settings.signedOut"));
}

/** Tell whether there is no such user, as soon as Pamps can be reached. */
async function isGone(username: string): Promise<boolean> {
  const fetch = (request: Request) => patientFetch(request);
  const params = { path: { username } };
  const { response } = await formApi.GET("/user/{username}/", { params, fetch });
  return response.status === 404;
}

/** Delete the account of the user and what this browser keeps of it. Takes the password. */
export async function deleteAccount(password: string): Promise<Answer> {
  const { id, username } = session.user!;
  const answer = await withPassword(password, (options) => api.DELETE("/user/me/", options));
  const isLost = answer.response.status === 0;
  if (answer.response.ok || (isLost && (await isGone(username)))) {
    forgetSession();
    removeDrafts(id);
    await goHome(t("settings.deleted"));
  }
  return answer;
}

/** Leaving: signing out, taking along what is one's own, and deleting the account. */

import { nextTick } from "vue";
import { api, formApi, sendForStream } from "../api/client";
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

/** Have the browser save a file. */
function saveFile(content: Blob, name: string): void {
  const href = URL.createObjectURL(content);
  Object.assign(document.createElement("a"), { href, download: name }).click();
  // The browser has begun to copy it by then.
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

/** Tell whether a file has the end of an export. */
async function isWhole(content: Blob): Promise<boolean> {
  return (await content.slice(-2).text()) === "}\n";
}

/** Save everything that is the user's in a file. Takes the password. */
export function exportData(password: string): Promise<Answer> {
  return withPassword(password, async (options) => {
    // As a Blob, a large one is on the disk and not in memory.
    const request = { ...options, fetch: sendForStream, parseAs: "blob" } as const;
    // It rejects if the connection breaks, but not always if that is before the body.
    const answer = await api.GET("/user/me/export/", request).catch(() => null);
    if (!answer || (answer.data && !(await isWhole(answer.data)))) {
      return { response: Response.error() };
    }
    const [, name] =
      /filename="(.+)"/.exec(answer.response.headers.get("Content-Disposition") ?? "") ?? [];
    if (answer.data) saveFile(answer.data, name ?? "pamps.json");
    return answer;
  });
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

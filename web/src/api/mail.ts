/** Asking for mails with a link, and what these links are good for. */

import { language } from "../i18n";
import { api, formApi, sendOnce } from "./client";

/** The language that the mail is to be in. */
const inLanguage = () => ({ "Accept-Language": language.value });

/** Ask for a link to choose a new password. The answer is the same if nobody has the address. */
export function sendPasswordLink(email: string) {
  return formApi.POST("/password/forgot/", { body: { email }, headers: inLanguage() });
}

/** Ask for a link to verify the user's e-mail address. */
export function sendEmailLink() {
  return api.POST("/user/me/email/verify/", { headers: inLanguage(), fetch: sendOnce });
}

/**
 * Choose a new password. An attempt whose answer was lost is sent again with the same key, as the
 * token is good once.
 */
export function resetPassword(token: string, password: string, key: string) {
  const body = { token, new_password: password };
  return formApi.POST("/password/reset/", { body, headers: { "Idempotency-Key": key } });
}

/** Verify the e-mail address that the token was sent to. */
export function verifyEmail(token: string, key: string) {
  return formApi.POST("/email/verify/", { body: { token }, headers: { "Idempotency-Key": key } });
}

/** What went wrong, in the language of the page. */

import { formatDuration, t, type MessageKey } from "../i18n";
import { retryAfter } from "./connection";

/** What openapi-fetch gives for a request; `error` is the body of an error. */
export interface Answer {
  response: Response;
  error?: unknown;
}

/** Details of errors of the API, which are always English, and their messages here. */
const DETAILS: Record<string, MessageKey> = {
  "Incorrect username or password": "failure.credentials",
  "This account is disabled": "failure.disabled",
  "The current password is incorrect": "failure.currentPassword",
  "You cannot do this": "failure.blocked",
  "This post is not yours": "failure.notYours",
  "Post not found": "failure.postNotFound",
  "User not found": "failure.userNotFound",
  "This link has expired or was used; ask for another": "failure.link",
  "An export of this account is in progress": "failure.exporting",
  "Username already taken": "failure.usernameTaken",
  "Email already taken": "failure.emailTaken",
};

/** Types of pydantic's errors for a field, and their messages here. */
const FIELD_ERRORS: Record<string, MessageKey> = {
  missing: "field.missing",
  string_too_long: "field.tooLong",
  string_too_short: "field.tooShort",
  string_invisible: "field.invisible",
  string_unicode: "field.unicode",
  string_pattern_mismatch: "field.username",
  username_reserved: "field.reserved",
  email: "field.email",
  url: "field.url",
  password_name: "field.passwordName",
  password_common: "field.passwordCommon",
  too_many_follows: "failure.tooManyFollows",
};

interface FieldError {
  type: string;
  loc: (string | number)[];
  msg: string;
}

/** Fields whose value another account has, by the detail of the 409. */
const TAKEN: Record<string, string> = {
  "Username already taken": "username",
  "Email already taken": "email",
};

/** Return a message for each wrong field of a 409 or 422; empty if the answer is something else. */
export function fieldErrors(answer: Answer): Record<string, string> {
  const { detail } = (answer.error || {}) as { detail?: string | FieldError[] };
  if (typeof detail === "string") {
    const field = TAKEN[detail];
    return field ? { [field]: t(DETAILS[detail]!) } : {};
  }
  if (answer.response.status !== 422 || !detail) return {};
  return Object.fromEntries(
    detail.map(({ type, loc, msg }) => {
      const key = FIELD_ERRORS[type];
      // The limit is in the message only, such as "String should have at most 255 characters".
      const limit = Number(/\d+/.exec(msg));
      return [String(loc.at(-1)), key ? t(key, { min: limit, max: limit }) : msg];
    }),
  );
}

const WRONG_PASSWORD = ["Incorrect username or password", "The current password is incorrect"];

/** The same for a form in which `password` is the user's, of which a wrong one is a 401 or 403. */
export function confirmedFieldErrors(answer: Answer): Record<string, string> {
  const { detail = "" } = (answer.error || {}) as { detail?: unknown };
  const isWrong = WRONG_PASSWORD.some((each) => each === detail);
  return isWrong ? { password: t("failure.currentPassword") } : fieldErrors(answer);
}

/** Return a sentence for an answer that is an error, or for no answer (status 0). */
export function explainFailure(answer: Answer): string {
  const { status } = answer.response;
  if (status === 0) return t("failure.unreachable");
  if (status === 422) return Object.values(fieldErrors(answer)).join(" ");
  const { detail = String(status) } = (answer.error || {}) as { detail?: string };
  const key = DETAILS[detail];
  if (key) return t(key);
  if (status === 503) return t("failure.busy");
  if (status !== 429) return t("failure.unknown", { detail });
  return t("failure.rateLimited", { time: formatDuration(retryAfter(answer.response)) });
}

/** What a user switches on and off by a button, such as a like or a follow. */

import type { Answer } from "../api/failures";
import { showFailure } from "./messages";

// For each switch whose request is on its way: what the user wants by now.
const wanted = new Map<string, boolean>();

/**
 * Switch something: shown at once, and taken back if it fails.
 *
 * `key` names the switch. Of several changes during a request only the last is sent. Resolves to
 * whether the request that this call has sent succeeded.
 */
export async function toggle(
  key: string,
  on: boolean,
  show: (on: boolean) => void,
  send: (on: boolean) => Promise<Answer>,
): Promise<boolean> {
  const underWay = wanted.has(key);
  wanted.set(key, on);
  show(on);
  if (underWay) return false;
  let sent = !on;
  try {
    while (sent !== wanted.get(key)) {
      sent = wanted.get(key)!;
      const answer = await send(sent);
      if (!answer.response.ok) {
        show(!sent);
        showFailure(answer);
        return false;
      }
    }
    return true;
  } finally {
    wanted.delete(key);
  }
}

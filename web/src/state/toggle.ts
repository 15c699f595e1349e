/** What a user switches on and off by a button, such as a like or a follow. */

import type { Answer } from "../api/failures";
import { signedInId } from "../api/tokens";
import { showFailure } from "./messages";

/** A switch whose request is on its way: what the user wants by now, and what becomes true of it. */
interface Switch {
  wanted: boolean;
  done: Promise<boolean>;
}

const underWay = new Map<string, Switch>();

// What was read from the API until so long after a switch may be older than the switch.
const SETTLE_MILLISECONDS = 2_000;
const recent = new Map<string, boolean>();

/** Return what a switch was just set to; undefined if what the API says of it is newer. */
export function recentlySwitched(name: string): boolean | undefined {
  return recent.get(`${signedInId()}.${name}`);
}

/**
 * Switch something: shown at once, and taken back with a message if it fails.
 *
 * `name` names the switch of the user who is signed in. Of several changes during a request only
 * the last is sent. Resolves to whether the API has taken what the user wanted last.
 */
export function toggle(
  name: string,
  on: boolean,
  show: (on: boolean) => void,
  send: (on: boolean) => Promise<Answer>,
): Promise<boolean> {
  async function sendUntilWanted(): Promise<boolean> {
    let sent = !on;
    while (sent !== state.wanted) {
      sent = state.wanted;
      const answer = await send(sent);
      if (!answer.response.ok) {
        recent.delete(key);
        show(!sent);
        showFailure(answer);
        return false;
      }
    }
    // What was read before may have come after, and be shown.
    show(sent);
    return true;
  }

  const key = `${signedInId()}.${name}`;
  recent.set(key, on);
  show(on);
  const running = underWay.get(key);
  if (running) {
    running.wanted = on;
    return running.done;
  }
  const state: Switch = { wanted: on, done: Promise.resolve(false) };
  underWay.set(key, state);
  state.done = sendUntilWanted().finally(() => {
    underWay.delete(key);
    setTimeout(() => underWay.has(key) || recent.delete(key), SETTLE_MILLISECONDS);
  });
  return state.done;
}

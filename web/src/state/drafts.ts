/** Texts that are being written, kept in this browser until they are sent. */

import { computed, shallowRef, type Ref, type ShallowRef } from "vue";
import { newKey } from "../api/connection";
import { session } from "../api/session";
import { readStored, removeStored, removeStoredWith, store } from "../storage";

/**
 * A draft. `key` is the Idempotency-Key to send the text with: a text that was sent, without an
 * answer, is sent again with the same key, so that it is stored once. Another text gets another key.
 */
export interface Draft {
  text: Ref<string>;
  key: () => string;
  /** Remove the text. With a key, only if it is still the text that was sent with it. */
  clear: (key?: string) => void;
}

interface StoredDraft {
  text: string;
  key: string;
}

const PREFIX = "pamps:draft:";

/** Remove all drafts of a user, who has deleted the account. */
export function removeDrafts(userId: number): void {
  removeStoredWith(`${PREFIX}${userId}:`);
  showOtherTabs(null);
}

interface SharedDraft {
  stored: ShallowRef<StoredDraft>;
  /** The keys of the texts that the API may have stored, although no answer came. */
  sent: Map<string, string>;
}

// All composers of a place have the same draft, also those of kept pages and of other tabs.
const drafts = new Map<string, SharedDraft>();

function readDraft(name: string): StoredDraft {
  try {
    const { text, key } = JSON.parse(readStored(name) ?? "") as StoredDraft;
    if (typeof text === "string" && typeof key === "string") return { text, key };
  } catch {
    // Nothing is stored there, or something else.
  }
  return { text: "", key: newKey() };
}

/** Show what another tab has written into a draft, or into any. */
function showOtherTabs(changed: string | null): void {
  for (const [name, { stored }] of drafts) {
    if (changed === null || changed === name) stored.value = readDraft(name);
  }
}

window.addEventListener("storage", ({ key }) => showOtherTabs(key));

/** Return the draft of a place, such as `new` or `reply.12`, of the user who is signed in. */
export function useDraft(place: string): Draft {
  const name = `${PREFIX}${session.user?.id ?? 0}:${place}`;
  const found = readDraft(name);
  const { stored, sent } = drafts.get(name) ?? { stored: shallowRef(found), sent: new Map() };
  drafts.set(name, { stored, sent });
  // Another tab may have written meanwhile.
  if (stored.value.text !== found.text) stored.value = found;
  sent.set(stored.value.text, stored.value.key);

  function write(text: string): void {
    if (text === stored.value.text) return;
    stored.value = { text, key: sent.get(text) ?? newKey() };
    if (text) store(name, JSON.stringify(stored.value));
    else removeStored(name);
  }

  return {
    text: computed({ get: () => stored.value.text, set: write }),
    key: () => {
      const { text, key } = stored.value;
      sent.set(text, key);
      return key;
    },
    clear: (key = stored.value.key) => {
      sent.clear();
      if (key === stored.value.key) write("");
    },
  };
}

/** Texts that are being written, kept in this browser until they are sent. */

import { ref, watch, type Ref } from "vue";
import { newKey } from "../api/connection";
import { session } from "../api/session";
import { readStored, removeStored, removeStoredWith, store } from "../storage";

/**
 * A draft. `key` is the Idempotency-Key of the text: a text that was sent, without an answer, is
 * sent again with the same key, so that it is stored once. Another text gets another key.
 */
export interface Draft {
  text: Ref<string>;
  key: () => string;
  clear: () => void;
}

interface StoredDraft {
  text: string;
  key: string;
}

const PREFIX = "pamps:draft:";

/** Remove all drafts of a user, who has deleted the account. */
export function removeDrafts(userId: number): void {
  removeStoredWith(`${PREFIX}${userId}:`);
}

/** Return the draft of a place, such as `new` or `reply.12`, of the user who is signed in. */
export function useDraft(place: string): Draft {
  const name = `${PREFIX}${session.user?.id ?? 0}:${place}`;
  let stored: StoredDraft = { text: "", key: newKey() };
  try {
    stored = { ...stored, ...(JSON.parse(readStored(name) ?? "{}") as StoredDraft) };
  } catch {
    // Something else is stored there: begin anew.
  }
  const text = ref(stored.text);
  watch(
    text,
    (value) => {
      if (value === stored.text) return;
      stored = { text: value, key: newKey() };
      if (value) store(name, JSON.stringify(stored));
      else removeStored(name);
    },
    { flush: "sync" },
  );
  return {
    text,
    key: () => stored.key,
    clear: () => (text.value = ""),
  };
}

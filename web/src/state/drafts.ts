/** Texts that are being written, kept in this browser until they are sent. */

import { ref, watch, type Ref } from "vue";
import { newKey } from "../api/client";
import { session } from "../api/session";

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

/** Return the draft of a place, such as `new` or `reply.12`, of the user who is signed in. */
export function useDraft(place: string): Draft {
  const name = `pamps:draft:${session.user?.id ?? 0}:${place}`;
  let stored: StoredDraft = { text: "", key: newKey() };
  try {
    stored = { ...stored, ...(JSON.parse(localStorage.getItem(name) ?? "{}") as StoredDraft) };
  } catch {
    // Something else is stored there: begin anew.
  }
  const text = ref(stored.text);
  watch(
    text,
    (value) => {
      if (value === stored.text) return;
      stored = { text: value, key: newKey() };
      if (value) localStorage.setItem(name, JSON.stringify(stored));
      else localStorage.removeItem(name);
    },
    { flush: "sync" },
  );
  return {
    text,
    key: () => stored.key,
    clear: () => (text.value = ""),
  };
}

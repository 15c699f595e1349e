/** Edits that overwrite nothing unseen: `If-Match` goes along, and a 412 shows both versions. */

import { ref, shallowRef, type Ref } from "vue";
import { explainFailure, fieldErrors, type Answer } from "../api/failures";

interface StoredAnswer<T> extends Answer {
  data?: T;
}

interface EditOptions<T, V> {
  /** What the user edits, of what is stored. */
  versionOf: (stored: T) => V;
  load: () => Promise<StoredAnswer<T>>;
  save: (headers: { "If-Match": string }) => Promise<StoredAnswer<T>>;
}

/** Return the state of an edit of `form`, which begins as what the page shows. */
export function useEdit<T, V>(form: Ref<V>, { versionOf, load, save }: EditOptions<T, V>) {
  let known = JSON.stringify(form.value);
  /** The ETag that stands for what is stored; null until that is loaded. */
  const etag = ref<string | null>(null);
  /** What somebody, such as the user in another tab, has stored meanwhile. */
  const other = shallowRef<V | null>(null);
  const sending = ref(false);
  const failure = ref("");
  const errors = ref<Record<string, string>>({});

  /** Remember what is stored now, as the form or beside it. Returns null if there was no answer. */
  function take({ data, response }: StoredAnswer<T>): T | null {
    if (!data) return null;
    const mine = JSON.stringify(form.value);
    const version = versionOf(data);
    const stored = JSON.stringify(version);
    if (stored !== mine && stored !== known) {
      if (mine === known) form.value = version;
      else other.value = version;
    }
    known = stored;
    etag.value = response.headers.get("ETag");
    return data;
  }

  async function readStored(): Promise<T | null> {
    const answer = await load();
    if (!answer.data) failure.value = explainFailure(answer);
    return take(answer);
  }

  let reading: Promise<T | null> | null = null;

  function start(): Promise<T | null> {
    reading ??= readStored().finally(() => (reading = null));
    return reading;
  }

  /** Store what is in the form. Resolves to what is stored then, or null if it was not. */
  async function submit(): Promise<T | null> {
    if (sending.value) return null;
    [sending.value, failure.value, errors.value, other.value] = [true, "", {}, null];
    let stored: T | null = null;
    // A quick user has sent it before what is stored was there.
    if (!etag.value) await start();
    while (!stored && etag.value && other.value === null) {
      const answer = await save({ "If-Match": etag.value });
      if (answer.response.status === 412) {
        const current = await start();
        // It may be this very edit, whose answer was lost.
        if (current && known === JSON.stringify(form.value)) stored = current;
        // Otherwise both versions are shown, unless only what is not in this form has changed.
        else if (!current) break;
      } else if (answer.data) {
        known = JSON.stringify(form.value);
        stored = take(answer);
      } else {
        errors.value = fieldErrors(answer);
        if (!Object.keys(errors.value).length) failure.value = explainFailure(answer);
        break;
      }
    }
    sending.value = false;
    return stored;
  }

  function takeOther(): void {
    form.value = other.value!;
    other.value = null;
  }

  return { etag, other, sending, failure, errors, start, submit, takeOther };
}

/** Forms that are sent to the API: while they are sent, and what is said against them. */

import { ref } from "vue";
import { explainFailure, fieldErrors, type Answer } from "../api/failures";

/**
 * Return the state of a form that `send` sends. What is wrong is told beside its field by `errors`,
 * or else in the sentence `failure`.
 */
export function useForm<A extends Answer>(
  send: () => Promise<A>,
  errorsOf: (answer: Answer) => Record<string, string> = fieldErrors,
) {
  const sending = ref(false);
  const failure = ref("");
  const errors = ref<Record<string, string>>({});

  /** Send the form, unless it is being sent. Resolves to null if the API has not taken it. */
  async function submit(): Promise<A | null> {
    if (sending.value) return null;
    [sending.value, failure.value, errors.value] = [true, "", {}];
    const answer = await send();
    sending.value = false;
    if (answer.response.ok) return answer;
    errors.value = errorsOf(answer);
    if (!Object.keys(errors.value).length) failure.value = explainFailure(answer);
    return null;
  }

  return { sending, failure, errors, submit };
}

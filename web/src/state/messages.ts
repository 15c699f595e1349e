/** Short messages that appear for a moment, and are read out by screen readers. */

import { reactive } from "vue";
import { explainFailure, type Answer } from "../api/failures";

const MILLISECONDS = 8_000;

export interface Message {
  id: number;
  text: string;
  kind: "success" | "failure";
}

export const messages = reactive<Message[]>([]);
let lastId = 0;

export function dismissMessage(id: number): void {
  const index = messages.findIndex((message) => message.id === id);
  if (index >= 0) messages.splice(index, 1);
}

export function showMessage(text: string, kind: Message["kind"] = "success"): void {
  const id = (lastId += 1);
  messages.push({ id, text, kind });
  setTimeout(() => dismissMessage(id), MILLISECONDS);
}

/** Say that a request failed, and why. A session that ended says so itself. */
export function showFailure(answer: Answer): void {
  if (answer.response.status !== 401) showMessage(explainFailure(answer), "failure");
}

/** The title of the window, with the number of unread notifications. */

import { ref, watchEffect } from "vue";
import { session } from "../api/session";

const title = ref("");

export function setTitle(text: string): void {
  title.value = text;
}

watchEffect(() => {
  const unread = session.user?.unread_count;
  document.title = `${unread ? `(${unread}) ` : ""}${title.value} · Pamps`;
});

/** The title of the window, with the number of unread notifications. */

import { onActivated, onDeactivated, ref, watchEffect } from "vue";
import { session } from "../api/session";

const title = ref("");

export function setTitle(text: string): void {
  title.value = text;
}

/** Keep the title for as long as the component is on the page, also when one comes back to it. */
export function usePageTitle(text: () => string | undefined): void {
  const isActive = ref(true);
  onActivated(() => (isActive.value = true));
  onDeactivated(() => (isActive.value = false));
  watchEffect(() => {
    const current = text();
    if (isActive.value && current) setTitle(current);
  });
}

watchEffect(() => {
  const unread = session.user?.unread_count;
  document.title = `${unread ? `(${unread}) ` : ""}${title.value} · Pamps`;
});

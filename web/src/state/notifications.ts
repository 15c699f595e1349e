/** Notifications as their page shows them: which are new, until the user leaves the page. */

import { ref } from "vue";
import { api, type Notification } from "../api/client";
import { reloadUser, session } from "../api/session";
import { adoptPost, type ShownPost } from "./posts";

export type Kind = Notification["kind"];
export const KINDS: Kind[] = ["reply", "mention", "like", "repost", "follow"];

export interface ShownNotification extends Omit<Notification, "post"> {
  post: ShownPost | null;
}

export interface NewNotifications {
  adopt: (item: Notification) => ShownNotification;
  /** Tell whether a notification was not read when it was shown. */
  isNew: (notification: ShownNotification) => boolean;
  /** Mark the notifications as read, from the oldest to this one, which has been shown. */
  markRead: (newest: ShownNotification) => Promise<void>;
  /** Take what has been marked as read for old from now on. */
  forgetRead: () => void;
}

/** Return what the page knows of new notifications. It is the same for the lists of all kinds. */
export function useNewNotifications(): NewNotifications {
  // What is new stays so after it was marked as read, which the API does by an id, too.
  const oldestNew = ref(Infinity);
  let newestNew = 0;
  let marked = 0;

  function adopt(item: Notification): ShownNotification {
    if (!item.read) {
      oldestNew.value = Math.min(oldestNew.value, item.id);
      newestNew = Math.max(newestNew, item.id);
    }
    return { ...item, post: item.post && adoptPost(item.post) };
  }

  async function markRead({ id }: ShownNotification): Promise<void> {
    const hasUnread = newestNew > marked || session.user?.unread_count;
    if (id <= marked || !hasUnread) return;
    const before = marked;
    marked = id;
    const { response } = await api.POST("/user/me/notifications/read/", { body: { up_to: id } });
    if (response.ok) await reloadUser();
    else marked = before;
  }

  function forgetRead(): void {
    if (newestNew <= marked) oldestNew.value = Infinity;
  }

  return { adopt, isNew: ({ id }) => id >= oldestNew.value, markRead, forgetRead };
}

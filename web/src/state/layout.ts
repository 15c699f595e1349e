/** The layout that the window has room for. */

import { ref } from "vue";

const query = window.matchMedia("(width >= 66rem)");

/** Whether there is room for the column beside the page; the same width as in the styles. */
export const isWide = ref(query.matches);
query.addEventListener("change", () => (isWide.value = query.matches));

/** The pages and their addresses. */

import {
  createRouter,
  createWebHistory,
  START_LOCATION,
  type RouteLocationNormalized,
  type RouteLocationRaw,
  type RouteRecordRaw,
} from "vue-router";
import { ROOT, ROOT_PATH } from "./api/base";
import { patientFetch } from "./api/connection";
import { session } from "./api/session";
import type { MessageKey } from "./i18n";
import { takeLinkToken } from "./state/linkToken";
import { KINDS } from "./state/notifications";
import { HAS_MAIL } from "./state/site";
import HomeView from "./views/HomeView.vue";

declare module "vue-router" {
  interface RouteMeta {
    /** The title of the page; a page with a title of its own, such as a profile, has none. */
    title?: MessageKey;
    /** Whether the page is only for users who are signed in (true), or who are not (false). */
    signedIn?: boolean;
  }
}

/** Pages that need mails, the last two of which their links lead to. */
const MAIL_ROUTES: RouteRecordRaw[] = [
  {
    path: "/forgot-password",
    name: "forgot-password",
    component: () => import("./views/ForgotPasswordView.vue"),
    meta: { title: "forgot.title" },
  },
  {
    path: "/reset-password",
    name: "reset-password",
    component: () => import("./views/ResetPasswordView.vue"),
    meta: { title: "reset.title" },
  },
  {
    path: "/verify-email",
    name: "verify-email",
    component: () => import("./views/VerifyEmailView.vue"),
    meta: { title: "verify.title" },
  },
];

const PeopleView = () => import("./views/PeopleView.vue");

export const router = createRouter({
  history: createWebHistory(ROOT_PATH),
  routes: [
    { path: "/", name: "home", component: HomeView, meta: { title: "nav.home" } },
    {
      path: "/timeline",
      name: "timeline",
      component: () => import("./views/TimelineView.vue"),
      meta: { title: "nav.timeline", signedIn: true },
    },
    {
      path: "/@:username",
      name: "profile",
      component: () => import("./views/ProfileView.vue"),
      props: ({ params, query }) => ({ username: params.username, tab: query.tab }),
    },
    {
      path: "/@:username/:list(followers|following)",
      name: "follows",
      component: PeopleView,
      props: true,
    },
    {
      path: "/@:username/:id(\\d+)",
      name: "post",
      component: () => import("./views/PostView.vue"),
      props: ({ params }) => ({ username: params.username, id: Number(params.id) }),
    },
    {
      path: "/@:username/:id(\\d+)/:list(likes|reposts)",
      name: "reactions",
      component: PeopleView,
      props: true,
    },
    { path: "/tag/:tag", name: "tag", component: () => import("./views/TagView.vue"), props: true },
    {
      path: "/search",
      name: "search",
      component: () => import("./views/SearchView.vue"),
      props: ({ query }) => ({
        q: String(query.q ?? "").trim(),
        kind: query.kind === "people" ? "people" : "posts",
      }),
    },
    {
      path: "/notifications",
      name: "notifications",
      component: () => import("./views/NotificationsView.vue"),
      props: ({ query }) => ({ kind: KINDS.find((kind) => kind === query.kind) }),
      meta: { title: "nav.notifications", signedIn: true },
    },
    {
      path: "/bookmarks",
      name: "bookmarks",
      component: () => import("./views/BookmarksView.vue"),
      meta: { title: "nav.bookmarks", signedIn: true },
    },
    {
      path: "/settings",
      name: "settings",
      component: () => import("./views/SettingsView.vue"),
      meta: { title: "nav.settings", signedIn: true },
    },
    {
      path: "/sign-in",
      name: "sign-in",
      component: () => import("./views/SignInView.vue"),
      meta: { title: "signIn.title", signedIn: false },
    },
    {
      path: "/sign-up",
      name: "sign-up",
      component: () => import("./views/SignUpView.vue"),
      meta: { title: "signUp.title", signedIn: false },
    },
    ...(HAS_MAIL ? MAIL_ROUTES : []),
    {
      path: "/:path(.*)*",
      name: "not-found",
      component: () => import("./views/NotFoundView.vue"),
      meta: { title: "notFound.title" },
    },
  ],
  scrollBehavior: (to, from, savedPosition) => {
    if (savedPosition) return savedPosition;
    // A tab of the same page, such as the posts and the likes of a profile, stays where it is.
    return to.path === from.path ? {} : { top: 0 };
  },
});

/** Return where to go from a page that is not for the current user, and null if it is. */
export function redirectFrom({
  meta,
  query,
  fullPath,
}: RouteLocationNormalized): RouteLocationRaw | null {
  if (!session.ready || meta.signedIn === undefined) return null;
  if (meta.signedIn && !session.user) return { name: "sign-in", query: { next: fullPath } };
  if (!meta.signedIn && session.user) return String(query.next || "/");
  return null;
}

let wanted: RouteLocationNormalized = START_LOCATION;

router.beforeEach((to) => {
  wanted = to;
  return takeLinkToken(to) ?? redirectFrom(to) ?? true;
});

// The files of a page come when one first goes there. If they do not, Pamps cannot be reached, or
// was updated meanwhile: then the page is loaded as a whole, once that is possible.
router.onError(async (_, to, from) => {
  if (from === START_LOCATION) return;
  await patientFetch(new Request(ROOT));
  if (wanted === to) location.assign(router.resolve(to.fullPath).href);
});

/** Go to the sign-in page, and from there to a page: the current one unless another is named. */
export function askToSignIn(next = router.currentRoute.value.fullPath): void {
  void router.push({ name: "sign-in", query: { next } });
}

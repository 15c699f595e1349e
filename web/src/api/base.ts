/** Addresses of the API and of pages, under whatever path Pamps is served. */

/** The root of Pamps, with a slash at its end. */
export const ROOT = new URL(".", document.baseURI);

/** The path of the root, with a slash at its end, such as `/` or `/pamps/`. */
export const ROOT_PATH = ROOT.pathname;

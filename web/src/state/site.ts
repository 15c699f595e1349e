/** What Pamps writes into the page about itself, by the settings of its operator. */

function read(name: string): string | undefined {
  return document.querySelector<HTMLMetaElement>(`meta[name=${name}]`)?.content;
}

/** The maximum length of a post's text, in code points. */
export const POST_MAX_LENGTH = Number(read("post-max-length") ?? 255);

/** Whether Pamps sends mails, and so has what needs them. */
export const HAS_MAIL = read("mail") === "yes";

// Which hub this page is of, and the token that it sends there.
//
// The token stays in this tab: it is in no address, and gone when the tab is.

const KEPT = "fanfare.token";

async function about() {
  try {
    const answer = await fetch("/dev/hub");
    if (answer.ok) return await answer.json();
  } catch { /* It will show soon enough that nobody is there. */ }
  return { path: "/.well-known/mercure", explains: false, mints: false };
}

/** `path`: where the hub is; `explains` and `mints`: what can be asked about tokens. */
export const hub = await about();

const followers = [];
let used = sessionStorage.getItem(KEPT) ?? "";

export const token = {
  /** The one that is sent; empty for none. */
  get used() { return used; },

  use(text) {
    if (text === used) return;
    used = text;
    if (text === "") sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, text);
    for (const follower of followers) follower();
  },

  /** Has `follower` called when another token is used. */
  follow(follower) { followers.push(follower); },

  /** What requests carry. */
  get headers() { return used === "" ? {} : { Authorization: `Bearer ${used}` }; },

  /** The same for a curl line: its beginning. */
  get curl() { return used === "" ? ["curl"] : ["curl", `-H 'Authorization: Bearer ${used.replaceAll("'", "'\\''")}'`]; },
};

//! npm `eventsource` as a client for the tests: its events in an inbox, its errors beside them.

import { after } from "node:test";

import { EventSource } from "eventsource";

import { Inbox, withDeadline } from "./inbox.mjs";

/** What a failed test has left behind would come back for ever, and keep the file's process alive. */
const sources = new Set();
after(() => {
  for (const source of sources) source.close();
});

/**
 * Opens npm's EventSource on `url`. `headers()` gives what each of its requests carries beside its own, by the `fetch` that
 * it lets its users put in.
 */
export async function open(url, types, headers = () => ({})) {
  const inbox = new Inbox();
  const source = new EventSource(url, {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers() } }),
  });
  sources.add(source);
  for (const type of types) {
    source.addEventListener(type, (event) => {
      if (type === "close") source.close();
      inbox.push({ type: event.type, data: event.data, id: event.lastEventId });
    });
  }
  return { inbox, source, close: () => source.close() };
}

/** The same, when it is subscribed. */
export async function opened(url, types, headers) {
  const client = await open(url, types, headers);
  const begun = new Promise((resolve, reject) => {
    client.source.addEventListener("open", resolve, { once: true });
    client.source.addEventListener("error", (error) => reject(new Error(error.message)), { once: true });
  });
  await withDeadline(begun, () => `${url} did not open`);
  return client;
}

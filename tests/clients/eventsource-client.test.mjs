//! npm `eventsource-client`: a client on `fetch` that reports every type.

import { createEventSource } from "eventsource-client";

import { Inbox } from "./inbox.mjs";
import { exampleSuite, hubSuite } from "./suite.mjs";

async function open(url) {
  const inbox = new Inbox();
  const source = createEventSource({
    url,
    onMessage: ({ event, data, id }) => {
      if (event === "close") source.close();
      inbox.push({ type: event ?? "message", data, id });
    },
  });
  return { inbox, close: () => source.close() };
}

hubSuite("npm eventsource-client", open);
exampleSuite("npm eventsource-client", open);

//! npm `eventsource`: the EventSource of Node.js programs.

import { EventSource } from "eventsource";

import { Inbox } from "./inbox.mjs";
import { exampleSuite, hubSuite } from "./suite.mjs";

async function open(url, types) {
  const inbox = new Inbox();
  const source = new EventSource(url);
  for (const type of types) {
    source.addEventListener(type, (event) => {
      if (type === "close") source.close();
      inbox.push({ type: event.type, data: event.data, id: event.lastEventId });
    });
  }
  return { inbox, close: () => source.close() };
}

hubSuite("npm eventsource", open);
exampleSuite("npm eventsource", open);

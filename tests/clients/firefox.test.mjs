//! The native `EventSource` of Firefox, on a page of nobody's.
//!
//! It does not heed a bookmark, so one that has seen no event has nothing to come back with; for the rest it sees what Chromium sees.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { compressedSuite } from "./compressed.mjs";
import { open, useFirefox } from "./firefox.mjs";
import { Relay, Server } from "./servers.mjs";
import { HUB, PATIENT, hubSuite, subscribed } from "./suite.mjs";

useFirefox();

/** Waits until the tab's EventSource has given up. */
const closed = (tab) => tab.evaluate(() => new Promise((resolve) => {
  const look = () => { if (window.source.readyState === EventSource.CLOSED) resolve(); };
  window.source.addEventListener("error", look);
  look();
}));

// It waits five seconds before it comes back, which cannot be set; so they wait together.
describe("Firefox", { concurrency: 8 }, () => {
  hubSuite("native EventSource", open);
  compressedSuite("native EventSource", open);

  describe("native EventSource and bookmarks", () => {
    test("one that has seen no event comes back without an id, and an event's own is kept", PATIENT, async () => {
      const hub = await Server.start("hub");
      const relay = await Relay.before(hub);
      const { inbox, close } = await open(`${relay.base}${HUB}?match=rooms/7`, ["message", "fanfare.gap"]);
      await relay.passed(/id: #1\S+\n\n/);
      await relay.finish();
      await relay.mend();
      const last = await subscribed(hub, inbox);
      assert.equal(relay.lastEventIds.at(-1), undefined);
      await relay.finish();
      const id = await hub.publish({ topic: "rooms/7", data: "missed" });
      await relay.mend();
      assert.deepEqual(await inbox.next(), { type: "message", data: "missed", id });
      assert.equal(relay.lastEventIds.at(-1), last.id);
      await close();
      await relay.end();
      await hub.stop();
    });
  });

  describe("native EventSource and the ends of a stream", () => {
    test("a hub that shuts down says when to come back, and the stream goes on behind the last event (P1, P2, P3)", PATIENT, async () => {
      const hub = await Server.start("hub");
      const relay = await Relay.before(hub);
      const { inbox, close } = await open(`${relay.base}${HUB}?match=rooms/7`, ["message", "fanfare.gap"]);
      const last = await subscribed(hub, inbox);
      await Promise.all([relay.passed(/retry: [1-4]\d{3}\n\n/), hub.stop("SIGTERM")]);
      await hub.again();
      assert.equal(JSON.parse((await inbox.next()).data).after, last.id);
      assert.equal(relay.lastEventIds.at(-1), last.id);
      await close();
      await relay.end();
      await hub.stop();
    });

    test("a stream that has ended for good is answered by 204, and nothing is tried again", PATIENT, async () => {
      const server = await Server.start("answers");
      const relay = await Relay.before(server);
      const asked = await fetch(`${server.base}/answers`, { method: "POST", body: "one two three" });
      const { inbox, tab, close } = await open(`${relay.base}${asked.headers.get("location")}`, ["message", "fanfare.close"]);
      while ((await inbox.next()).type !== "fanfare.close");
      await closed(tab);
      await relay.passed(/HTTP\/1\.1 204 /);
      await close();
      await relay.end();
      await server.stop();
    });

    test("a bad matcher ends the attempts, and nothing is retried", PATIENT, async () => {
      const hub = await Server.start("hub");
      const { tab, close } = await open(`${hub.base}${HUB}?match_urlpattern=${encodeURIComponent("https://[")}`, ["message"]);
      await closed(tab);
      await close();
      await hub.stop();
    });
  });
});

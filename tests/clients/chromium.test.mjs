//! The native `EventSource` of Chromium, on a page of nobody's.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { open, useChromium } from "./browser.mjs";
import { Relay, Server } from "./servers.mjs";
import { exampleSuite, HUB, hubSuite, PATIENT } from "./suite.mjs";

useChromium();
hubSuite("native EventSource", open);
exampleSuite("native EventSource", open);

/** It is never compressed, only put into a stored block. */
const BOOKMARK = /id: #1\S+\n\n/;

describe("native EventSource and bookmarks", () => {
  test("a reader that has seen no event resumes from the bookmark (P2)", PATIENT, async () => {
    const hub = await Server.start("hub");
    const relay = await Relay.before(hub);
    await hub.publish({ topic: "rooms/7", data: "before anybody came" });
    const { inbox, close } = await open(`${relay.base}${HUB}?match=rooms/7`, ["message", "fanfare.gap"]);
    await relay.passed(BOOKMARK);
    await relay.finish();
    const id = await hub.publish({ topic: "rooms/7", data: "missed" });
    await relay.mend();
    assert.deepEqual(await inbox.next(), { type: "message", data: "missed", id });
    assert.match(relay.lastEventIds.at(-1), /^#1/);
    await close();
    await relay.end();
    await hub.stop();
  });

  test("a reader that has seen no event is told when the hub was restarted (P2, P6)", PATIENT, async () => {
    const hub = await Server.start("hub");
    const relay = await Relay.before(hub);
    const { inbox, close } = await open(`${relay.base}${HUB}?match=rooms/7`, ["message", "fanfare.gap"]);
    await relay.passed(BOOKMARK);
    await relay.finish();
    await hub.stop();
    await hub.again();
    await relay.mend();
    const gap = await inbox.next();
    assert.equal(gap.type, "fanfare.gap");
    assert.equal(JSON.parse(gap.data).reason, "rewound");
    const live = { type: "message", data: "live again", id: await hub.publish({ topic: "rooms/7", data: "live again" }) };
    assert.deepEqual(await inbox.next(), live);
    await close();
    await relay.end();
    await hub.stop();
  });
});

describe("native EventSource and the ends of a stream", () => {
  test("a bad matcher ends the attempts, and nothing is retried", PATIENT, async () => {
    const hub = await Server.start("hub");
    const { tab, close } = await open(`${hub.base}${HUB}?match_urlpattern=${encodeURIComponent("https://[")}`, ["message"]);
    await tab.waitForFunction(() => window.source.readyState === EventSource.CLOSED);
    await close();
    await hub.stop();
  });
});

//! One stream that changes what it reads, in Chromium: rooms are joined and left while it goes on, and nothing is missed.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { newTabAt, subscribe, useChromium } from "./browser.mjs";
import { Relay, Server } from "./servers.mjs";
import { PATIENT } from "./suite.mjs";

useChromium();

/** Runs `body` with the example, a relay before it, and a page each for ada in room 7 and bob in room 8. */
async function withTwo(body) {
  const server = await Server.start("rooms");
  const relay = await Relay.before(server);
  const ask = async (method, path, text) => {
    const answer = await fetch(`${server.base}${path}`, { method, body: text });
    const said = await answer.text();
    assert.equal(answer.status, 200, said);
    return said;
  };
  await ask("PUT", "/streams/ada/rooms/7");
  await ask("PUT", "/streams/bob/rooms/8");
  const pages = [];
  const inboxes = [];
  try {
    for (const [name, room] of [["ada", 7], ["bob", 8]]) {
      const { tab, context } = await newTabAt(relay.base);
      pages.push(context);
      const inbox = await subscribe(tab, `${relay.base}/streams/${name}`, ["message"]);
      assert.equal((await inbox.next()).data, `you are in ["rooms/${room}"]`);
      inboxes.push(inbox);
    }
    const [ada, bob] = inboxes;
    await body({ ada, bob, relay, ask, say: (from, room, text) => ask("POST", `/rooms/${room}?from=${from}`, text) });
  } finally {
    for (const page of pages) await page.close();
    await relay.end();
    await server.stop();
  }
}

/** The next `count` things that were said to a page. */
const heard = async (inbox, count) => (await inbox.take(count)).map((event) => event.data);

describe("rooms", () => {
  test("each page hears its own room, and who speaks does not hear itself", PATIENT, () => withTwo(async ({ ada, bob, ask, say }) => {
    await ask("PUT", "/streams/bob/rooms/7");
    await say("ada", 7, "one");
    await say("bob", 7, "two");
    await say("ada", 8, "three");
    await say("bob", 7, "four");
    await say("ada", 7, "five");
    assert.deepEqual(await heard(ada, 2), ["bob: two", "bob: four"]);
    assert.deepEqual(await heard(bob, 3), ["ada: one", "ada: three", "ada: five"]);
  }));

  test("a page that goes over into another room misses nothing there, hears no more of the first, and need not connect anew", PATIENT, () => withTwo(async ({ ada, relay, ask, say }) => {
    await say("bob", 7, "here");
    await ask("PUT", "/streams/ada/rooms/8");
    for (const text of ["a", "b"]) await say("bob", 8, text);
    await ask("DELETE", "/streams/ada/rooms/7");
    await say("bob", 7, "nobody is here");
    for (const text of ["c", "d"]) await say("bob", 8, text);
    assert.deepEqual(await heard(ada, 5), ["here", "a", "b", "c", "d"].map((text) => `bob: ${text}`));
    assert.equal(relay.lastEventIds.filter((id) => id !== undefined).length, 0);
  }));

  test("what changes while a page is away counts when it comes back, with what it missed", PATIENT, () => withTwo(async ({ ada, relay, ask, say }) => {
    await say("bob", 7, "before");
    assert.deepEqual(await heard(ada, 1), ["bob: before"]);
    await relay.cut();
    await say("bob", 7, "missed");
    await ask("PUT", "/streams/ada/rooms/8");
    await say("bob", 8, "missed, too");
    await relay.mend();
    assert.deepEqual(await heard(ada, 2), ["bob: missed", "bob: missed, too"]);
    await say("bob", 8, "live again");
    assert.deepEqual(await heard(ada, 1), ["bob: live again"]);
  }));

  test("the list says who is connected and in which rooms, and forgets who has gone", PATIENT, () => withTwo(async ({ relay, ask, say }) => {
    await ask("PUT", "/streams/bob/rooms/7");
    assert.deepEqual((await ask("GET", "/streams")).trim().split("\n").sort(), ["ada rooms/7", "bob rooms/7 rooms/8"]);
    await relay.cut();
    // It hears of the reset when it next looks at the connections.
    while ((await ask("GET", "/streams")) !== "") await say("ada", 7, "is anybody there?");
  }));
});

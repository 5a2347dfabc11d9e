//! One stream for all tabs of a browser, with the lines of `docs/guide/connections.md`.
//!
//! More tabs than the six connections that Chromium opens to one origin. Whoever holds the stream may go: the next one goes on where it was.

import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";

import { newTabAt, useChromium } from "./browser.mjs";
import { Inbox, withDeadline } from "./inbox.mjs";
import { Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";

const TABS = 8;

/** The guide's lines, with a stream of the hub in place of `/events`. */
const GUIDE = fs.readFileSync(new URL("../../docs/guide/connections.md", import.meta.url), "utf8");
const LINES = /^```js\n(.*?)^```/ms.exec(GUIDE)[1];
const SCRIPT = LINES.replace("/events?", `${HUB}?match=rooms/7&`);
assert.notEqual(SCRIPT, LINES);

useChromium();

/** Waits until the hub has so many streams. */
async function streams(hub, count) {
  let open;
  const reached = async () => {
    while (open !== count) open = (await (await fetch(`${hub.base}/admin/subscribers`)).json()).length;
  };
  await withDeadline(reached(), () => `${open} streams, not ${count}`);
}

test("eight tabs share one stream, and miss nothing when the tab that holds it is closed", PATIENT, async () => {
  const hub = await Server.start("hub");
  const { tab, context } = await newTabAt(hub.base);
  await context.route(`${hub.base}/an-empty-document`, (route) => route.fulfill({ contentType: "text/html", body: "<!DOCTYPE html><title>empty</title>" }));
  const tabs = [];
  for (let n = 0; n < TABS; n += 1) {
    const page = n === 0 ? tab : await context.newPage();
    if (n > 0) await page.goto(`${hub.base}/an-empty-document`);
    const inbox = new Inbox();
    await page.exposeFunction("show", (data) => inbox.push(data));
    // The first one gets the lock.
    await page.evaluate((script) => { new Function(script)(); }, SCRIPT);
    tabs.push({ page, inbox });
  }
  await streams(hub, 1);
  for (const data of ["one", "two"]) {
    await hub.publish({ topic: "rooms/7", data });
    for (const { inbox } of tabs) assert.equal(await inbox.next(), data);
  }
  const [leader, ...others] = tabs;
  // The next one has to wait at the door until something was published that nobody reads.
  let asked;
  const asks = new Promise((resolve) => { asked = resolve; });
  await context.route((url) => url.pathname === HUB, (route) => asked(route));
  await leader.page.close();
  const route = await withDeadline(asks, () => "no other tab asks for the stream");
  await streams(hub, 0);
  await hub.publish({ topic: "rooms/7", data: "three" });
  await route.continue();
  for (const { inbox } of others) assert.equal(await inbox.next(), "three");
  await hub.publish({ topic: "rooms/7", data: "four" });
  for (const { inbox } of others) assert.equal(await inbox.next(), "four");
  await streams(hub, 1);
  await context.close();
  await hub.stop();
});

//! An answer that outlives its readers, in Chromium: reloaded in the midst, followed in two tabs, cut off, finished, stopped.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { newTab, useChromium } from "./browser.mjs";
import { withDeadline } from "./inbox.mjs";
import { Relay, Server } from "./servers.mjs";
import { PATIENT } from "./suite.mjs";

useChromium();

/** A question, which is its own answer, word by word; no word is in another. */
const question = (words) => Array.from({ length: words }, (_, word) => `<${word}>`).join(" ");

/** Runs `body` with the example, a relay before it, and a tab that shows its page. */
async function onThePage(body) {
  const server = await Server.start("answers");
  const relay = await Relay.before(server);
  const { tab, context } = await newTab();
  const complaints = [];
  tab.on("pageerror", (error) => complaints.push(error.message));
  try {
    await tab.goto(relay.base);
    await body({ tab, context, relay });
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
    await relay.end();
    await server.stop();
  }
}

async function ask(tab, words) {
  await tab.fill("#question", question(words));
  await tab.click("#form button");
}

/** Waits until the answer on the page has this word. */
const said = (tab, word) => tab.waitForFunction((word) => document.getElementById("answer").textContent.includes(word), `<${word}>`);
const shows = (tab, state) => tab.waitForFunction((state) => document.getElementById("state").textContent === state, state);
const answer = async (tab) => (await tab.textContent("#answer")).trim();

/** What the tab is answered from now on when it reads the answer. */
function statuses(tab) {
  const seen = [];
  tab.on("response", (response) => { if (/\/answers\/\d+$/.test(response.url()) && response.request().method() === "GET") seen.push(response.status()); });
  return seen;
}

describe("an answer that outlives its readers", () => {
  test("a page that is reloaded in the midst misses nothing and shows nothing twice", PATIENT, () => onThePage(async ({ tab, relay }) => {
    await ask(tab, 200);
    await said(tab, 4);
    await tab.reload();
    await said(tab, 8);
    await tab.reload();
    assert.equal(await tab.textContent("#state"), "coming", "it was reloaded in the midst");
    await shows(tab, "done");
    assert.equal(await answer(tab), question(200));
    assert.deepEqual(relay.lastEventIds.slice(0, 3), [undefined, undefined, undefined], "a page that is loaded begins at the beginning");
  }));

  test("a connection that is cut in the midst goes on where it was", PATIENT, () => onThePage(async ({ tab, relay }) => {
    await ask(tab, 100);
    await said(tab, 4);
    await relay.cut();
    const before = relay.lastEventIds.length;
    await relay.mend();
    await shows(tab, "done");
    assert.equal(await answer(tab), question(100));
    assert.match(relay.lastEventIds[before], /^#1/, "it came back with a last event ID");
  }));

  test("who comes back after the end is answered 204 and comes no more", PATIENT, () => onThePage(async ({ tab, relay }) => {
    const seen = statuses(tab);
    await ask(tab, 5);
    await shows(tab, "done");
    await tab.waitForFunction(() => source.readyState === EventSource.CLOSED);
    assert.deepEqual(seen, [200, 204]);
    assert.match(relay.lastEventIds.at(-1), /^#e1/);
    assert.equal(await answer(tab), question(5));
    // From its beginning it is still there.
    await tab.reload();
    await shows(tab, "done");
    assert.equal(await answer(tab), question(5));
  }));

  test("stop ends the answer for both tabs, and a tab that is closed does not", PATIENT, () => onThePage(async ({ tab, context, relay }) => {
    const open = async () => {
      const other = await context.newPage();
      await other.goto(tab.url());
      return other;
    };
    await ask(tab, 3_000);
    await said(tab, 2);
    const [second, third] = [await open(), await open()];
    await said(third, 4);
    await third.close();
    const seen = await second.evaluate(() => document.getElementById("answer").textContent.split(" ").length);
    await said(second, seen + 5);
    await second.click("#stop");
    for (const each of [tab, second]) await shows(each, "stopped");
    assert.equal(await answer(tab), await answer(second));
    const words = (await answer(tab)).split(" ");
    assert.equal(words.join(" "), question(words.length), "what came is the beginning, whole");
    assert.ok(words.length < 3_000);
    assert.equal(await tab.isDisabled("#stop"), true);
  }));

  test("a place where no answer is says so", PATIENT, () => onThePage(async ({ tab, relay }) => {
    const seen = statuses(tab);
    await tab.goto(`${relay.base}/#/answers/77`);
    await shows(tab, "not there");
    assert.deepEqual(seen, [404]);
    await withDeadline(fetch(`${relay.base}/answers/77/stop`, { method: "POST" }), () => "no answer");
  }));
});

//! The dev page in Chromium: what a person does there, and what they see.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";

import { newTab, useChromium } from "./browser.mjs";
import { Server } from "./servers.mjs";
import { PATIENT } from "./suite.mjs";

useChromium();

/** Runs `body` with a hub and its page, and fails if the page complained about anything. */
async function onThePage(body, { at = "/", expected = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|status of 4\d\d/ } = {}) {
  const hub = await Server.start("hub");
  const { tab, context } = await newTab();
  const complaints = [];
  tab.on("pageerror", (error) => complaints.push(error.message));
  tab.on("console", (message) => {
    if (message.type() === "error" && !expected.test(message.text())) complaints.push(message.text());
  });
  try {
    await tab.goto(hub.base + at);
    if (at === "/") await state(tab, "open");
    await body(tab, hub, context);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
    await hub.stop();
  }
}

const state = (tab, name) => tab.locator(`#state[data-state="${name}"]`).waitFor();
const event = (tab, data) => tab.locator(".event", { has: tab.locator(".data", { hasText: data }) });

async function publish(tab, fields) {
  for (const [name, value] of Object.entries(fields)) await tab.fill(`#${name}`, value);
  await tab.click("#publish button[type=submit]");
}

describe("the page", () => {
  test("what is published from the form is in the list, with its topic and the answered id", PATIENT, () => onThePage(async (tab) => {
    await publish(tab, { topic: "rooms/7", data: "one line\nand another" });
    const line = event(tab, "one line");
    await line.locator(".topic", { hasText: "rooms/7" }).waitFor();
    assert.equal(await line.locator(".data").textContent(), "one line\nand another");
    assert.equal(await line.locator(".type").textContent(), "message");
    await tab.locator('#answer[data-kind="good"]').waitFor();
    assert.equal(await line.locator(".event-id").textContent(), await tab.locator("#answer code").textContent());
    assert.match(await line.locator("time").getAttribute("datetime"), /^\d{4}-\d\d-\d\dT/);
  }));

  test("an event from elsewhere shows the matcher, because its topic is not on the wire", PATIENT, () => onThePage(async (tab, hub) => {
    const id = await hub.publish({ topic: "rooms/7", data: "from elsewhere" });
    const line = event(tab, "from elsewhere");
    await line.waitFor();
    assert.equal(await line.locator(".topic").textContent(), "matched by *");
    assert.equal(await line.locator(".event-id").textContent(), id);
  }));

  test("a type is shown once it is listened for, by hand or by publishing it", PATIENT, () => onThePage(async (tab, hub) => {
    await tab.fill("#listen-type", "price");
    await tab.press("#listen-type", "Enter");
    await hub.publish({ topic: "shop", type: "price", data: "12.50" });
    await event(tab, "12.50").waitFor();
    await publish(tab, { topic: "shop", type: "stock", data: "7 left" });
    const line = event(tab, "7 left");
    await line.waitFor();
    assert.equal(await line.locator(".type").textContent(), "stock");
    assert.deepEqual(await tab.locator("#types li").allTextContents(), ["message", "fanfare.gap", "fanfare.close", "price", "stock"]);
  }));

  test("a restart of the hub is shown as a lost connection, a reconnection and one gap (P2, P6)", PATIENT, () => onThePage(async (tab, hub) => {
    await publish(tab, { topic: "rooms/7", data: "before" });
    await event(tab, "before").waitFor();
    await hub.stop();
    await state(tab, "reconnecting");
    await hub.again();
    await state(tab, "open");
    await tab.locator('.gap[data-reason="rewound"]').waitFor();
    await hub.publish({ topic: "rooms/7", data: "after" });
    await event(tab, "after").waitFor();
    assert.equal(await tab.locator(".gap").count(), 1);
    assert.deepEqual(await tab.locator(".note-line .topic").allTextContents().then((texts) => texts.map((text) => text.split(" ")[0])), ["reconnected", "connection"]);
  }));

  test("a reader resumes after an event by its button", PATIENT, () => onThePage(async (tab, hub) => {
    for (const data of ["first", "second", "third"]) await hub.publish({ topic: "rooms/7", data });
    await event(tab, "third").waitFor();
    await event(tab, "first").locator(".after").click();
    await state(tab, "open");
    await tab.waitForFunction(() => document.querySelectorAll(".event").length === 5);
    assert.deepEqual(await tab.locator(".event .data").allTextContents(), ["third", "second", "third", "second", "first"]);
    assert.match(await tab.locator("#address").textContent(), /last_event_id=%231/);
  }));

  test("an exact matcher shows its topic and nothing else", PATIENT, () => onThePage(async (tab, hub) => {
    await tab.selectOption("#matcher-type", "match");
    await tab.fill("#matcher", "rooms/7");
    await tab.press("#matcher", "Enter");
    await tab.locator("#address", { hasText: "match=rooms" }).waitFor();
    await state(tab, "open");
    await hub.publish({ topic: "rooms/8", data: "not for me" });
    await hub.publish({ topic: "rooms/7", data: "for me" });
    await event(tab, "for me").waitFor();
    assert.deepEqual(await tab.locator(".event .data").allTextContents(), ["for me"]);
    assert.equal(await tab.locator(".event .topic").textContent(), "rooms/7");
  }));

  test("URL Patterns and URI Templates select topics, also from the address bar", PATIENT, async () => {
    for (const [kind, matcher] of [["match_urlpattern", "https://example.com/rooms/:id"], ["topic", "https://example.com/rooms/{id}"]]) {
      await onThePage(async (tab, hub) => {
        await state(tab, "open");
        await hub.publish({ topic: "https://example.com/doors/1", data: "not for me" });
        await hub.publish({ topic: "https://example.com/rooms/1", data: "for me" });
        await event(tab, "for me").waitFor();
        assert.deepEqual(await tab.locator(".event .data").allTextContents(), ["for me"]);
        assert.equal(await tab.locator(".event .topic").textContent(), `matched by ${matcher}`);
      }, { at: `/?${new URLSearchParams({ [kind]: matcher })}` });
    }
  });

  test("why a subscription was refused is said in the hub's own words", PATIENT, () => onThePage(async (tab) => {
    await tab.selectOption("#matcher-type", "match_urlpattern");
    await tab.fill("#matcher", "https://[");
    await tab.click("#subscribe .primary");
    await state(tab, "closed");
    const line = tab.locator(".end .topic");
    assert.match(await line.textContent(), /^refused: 400 \S+/);
  }));

  test("why a publication was refused is said in the hub's own words", PATIENT, () => onThePage(async (tab) => {
    await publish(tab, { topic: "rooms/7", data: "x", type: "fanfare.gap" });
    const answer = tab.locator('#answer[data-kind="bad"]');
    await answer.waitFor();
    assert.match(await answer.textContent(), /^400 .{10,}/);
    assert.equal(await tab.locator(".gap").count(), 0);
  }));

  test("a private publication is accepted and shown to nobody here", PATIENT, () => onThePage(async (tab, hub) => {
    await tab.check("#private");
    await publish(tab, { topic: "rooms/7", data: "a secret" });
    await tab.locator('#answer[data-kind="good"]', { hasText: "grant" }).waitFor();
    await hub.publish({ topic: "rooms/7", data: "for all" });
    await event(tab, "for all").waitFor();
    assert.equal(await event(tab, "a secret").count(), 0);
  }));

  test("markup in an event stays text", PATIENT, () => onThePage(async (tab, hub) => {
    const data = "<img src=x onerror=alert(1)><script>alert(1)</script><style>*{display:none}</style>";
    await hub.publish({ topic: "<b>rooms</b>", data, id: "<i>mine</i>" });
    await event(tab, data).waitFor();
    assert.equal(await tab.locator(".event img, .event script, .event style, .event b, .event i").count(), 0);
    assert.equal(await event(tab, data).locator(".event-id").textContent(), "<i>mine</i>");
  }));

  test("the copied curl line publishes the same, whatever is in the form", PATIENT, () => onThePage(async (tab, hub, context) => {
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const data = "it's 100 % \"quoted\" & $HOME `id` \\ +;=\n@file 🎺";
    await tab.fill("#topic", "rooms/7?a=b&c=d");
    await tab.fill("#data", data);
    await tab.click("#copy-curl");
    await tab.locator("#copy-curl", { hasText: "Copied" }).waitFor();
    const command = await tab.evaluate(() => navigator.clipboard.readText());
    const id = execFileSync("sh", ["-c", `${command} -fsS`], { encoding: "utf8" });
    const line = event(tab, "quoted");
    await line.waitFor();
    assert.equal(await line.locator(".data").textContent(), data);
    assert.equal(await line.locator(".event-id").textContent(), id);
  }));

  test("paused events wait, a filter hides, and clearing empties the list", PATIENT, () => onThePage(async (tab, hub) => {
    await hub.publish({ topic: "rooms/7", data: "apples" });
    await event(tab, "apples").waitFor();
    await tab.click("#pause");
    await hub.publish({ topic: "rooms/7", data: "pears" });
    await tab.locator("#held", { hasText: "1 event waits" }).waitFor();
    assert.equal(await event(tab, "pears").count(), 0);
    await tab.click("#pause");
    await event(tab, "pears").waitFor();
    await tab.fill("#filter", "pear");
    assert.deepEqual(await tab.locator(".event:visible .data").allTextContents(), ["pears"]);
    assert.equal(await tab.locator("#count").textContent(), "1 shown of 2 events");
    await tab.fill("#filter", "");
    await tab.click("#clear");
    assert.equal(await tab.locator(".event").count(), 0);
    await tab.locator("#empty").waitFor();
  }));

  test("the list is bounded", PATIENT, () => onThePage(async (tab, hub) => {
    for (let batch = 0; batch < 13; batch += 1) await Promise.all(Array.from({ length: 40 }, () => hub.publish({ topic: "flood", data: "one of many" })));
    await tab.locator("#count", { hasText: "520 events" }).waitFor();
    assert.equal(await tab.locator("#events > li").count(), 500);
  }));

  test("the close event is shown as the end, and the page does not come back for more", PATIENT, () => onThePage(async (tab) => {
    await tab.route("**/.well-known/mercure?*", (route) => route.fulfill({
      contentType: "text/event-stream",
      body: "id: the-end\nevent: fanfare.close\ndata: that was all\n\n",
    }));
    await tab.click("#subscribe .primary");
    await tab.locator(".end", { hasText: "that was all" }).waitFor();
    await state(tab, "closed");
    assert.equal(await tab.locator("#state-text").textContent(), "ended by the hub");
  }));

  test("every control has a name, and the form is sent from the keyboard", PATIENT, () => onThePage(async (tab) => {
    const nameless = await tab.evaluate(() => [...document.querySelectorAll("input, select, textarea, button")]
      .filter((control) => !control.textContent.trim() && !control.labels?.[0]?.textContent.trim() && !control.ariaLabel)
      .map((control) => control.id));
    assert.deepEqual(nameless, []);
    await tab.fill("#data", "sent from the keyboard");
    await tab.press("#data", "Control+Enter");
    await event(tab, "sent from the keyboard").waitFor();
  }));

  test("nothing is wider than a phone", PATIENT, () => onThePage(async (tab, hub) => {
    await tab.setViewportSize({ width: 375, height: 812 });
    await hub.publish({ topic: "rooms/7", data: "a".repeat(2_000), id: `urn:${"b".repeat(400)}` });
    await event(tab, "aaaa").waitFor();
    assert.equal(await tab.evaluate(() => document.documentElement.scrollWidth), 375);
  }));
});

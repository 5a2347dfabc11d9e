//! The dev page in Chromium: what a person does there, and what they see.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import { describe, test } from "node:test";

import { newTab, useChromium } from "./browser.mjs";
import { Server } from "./servers.mjs";
import { PATIENT } from "./suite.mjs";

useChromium();

/** Runs `body` with a hub and its page, and fails if the page complained about anything. */
async function onThePage(body, { at = "/", more = [], expected = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|status of 4\d\d/ } = {}) {
  const hub = await Server.start("hub", "--subscriptions", ...more);
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

/** Fills in the form for a token and has it made and used. */
async function mint(tab, fields = {}, { publish = "*", subscribe = "*", kind = "modern", lifetime = "3600" } = {}) {
  await tab.click("#mint-open");
  await tab.selectOption("#mint-kind", kind);
  await tab.selectOption("#mint-lifetime", lifetime);
  await tab.fill("#mint-publish input", publish);
  await tab.fill("#mint-subscribe input", subscribe);
  for (const [name, value] of Object.entries(fields)) await tab.fill(`#mint-${name}`, value);
  await tab.click("#mint .primary");
  await tab.locator("#explanation .verdict").first().waitFor();
  await state(tab, "open");
}

/** A token of a stranger, which is well but for its signature. */
const FORGED = [{ alg: "HS256", typ: "at+jwt" }, { iss: "https://localhost", aud: "https://localhost/.well-known/mercure", sub: "mallory", client_id: "x", iat: 1, jti: "1", exp: 4_000_000_000, authorization_details: [] }]
  .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).concat(Buffer.alloc(32).toString("base64url")).join(".");

describe("tokens on the page", () => {
  test("a token that is pasted is explained, with the reason why it is refused", PATIENT, () => onThePage(async (tab) => {
    await tab.fill("#token", `Bearer ${FORGED}\n`);
    const verdicts = tab.locator("#explanation .verdict.bad");
    await verdicts.first().waitFor();
    const [publishing, subscribing] = await verdicts.allTextContents();
    assert.match(publishing, /^✕Publishing: refused: .*signature/);
    assert.match(subscribing, /^✕Subscribing: refused: .*signature/);
    assert.match(await tab.locator("#explanation .facts").textContent(), /mallory/);
    await tab.fill("#token", "no token at all");
    await tab.locator("#explanation .verdict", { hasText: "Not a token" }).waitFor();
    assert.equal(await tab.locator("#use").getAttribute("aria-pressed"), "false");
  }));

  test("a refusal of a token in use is shown with its status, challenge and sentence", PATIENT, () => onThePage(async (tab) => {
    await tab.fill("#token", FORGED);
    await tab.click("#use");
    await state(tab, "closed");
    assert.match(await tab.locator(".refusal .topic").textContent(), /^refused: 401 The token is not valid here\.$/);
    assert.match(await tab.locator(".refusal dl").textContent(), /WWW-AuthenticateBearer error="invalid_token"/);
    await publish(tab, { topic: "rooms/7", data: "x" });
    assert.match(await tab.locator('#answer[data-kind="bad"]').textContent(), /^401 Unauthorized .*Bearer error="invalid_token"/);
    // Without it the stream is there again.
    await tab.click("#use");
    await state(tab, "open");
  }));

  test("a minted token says what it grants, and until when", PATIENT, () => onThePage(async (tab) => {
    await mint(tab, { subject: "desk-7", payload: '{"desk":"north"}' }, { publish: "rooms/7", lifetime: "600" });
    assert.deepEqual(await tab.locator("#explanation .verdict").allTextContents(), ["✓Publishing: accepted", "✓Subscribing: accepted"]);
    assert.deepEqual(await tab.locator("#explanation .granted li").allTextContents(), ["exactrooms/7", "exact*every topic"]);
    assert.match(await tab.locator("#explanation .payload").first().textContent(), /"desk": "north"/);
    assert.match(await tab.locator("#explanation .away").first().textContent(), /^in (10|9) min \d+ s$/);
    assert.match(await tab.locator("#identity").textContent(), /^desk-7/);
    await publish(tab, { topic: "rooms/8", data: "not granted" });
    assert.match(await tab.locator('#answer[data-kind="bad"]').textContent(), /^403 Forbidden The token does not grant .*insufficient_scope/);
  }));

  for (const kind of ["modern", "legacy"]) {
    test(`with a ${kind} token private events are read, and without one they are not`, PATIENT, () => onThePage(async (tab, hub) => {
      // A window of its own: tabs that are behind others draw late.
      const { tab: other, context } = await newTab();
      await other.goto(hub.base);
      await state(other, "open");
      await mint(tab, {}, { kind });
      await tab.check("#private");
      await publish(tab, { topic: "rooms/7", data: "for some" });
      await event(tab, "for some").waitFor();
      await tab.uncheck("#private");
      await publish(tab, { topic: "rooms/7", data: "for all" });
      await event(other, "for all").waitFor();
      assert.equal(await event(other, "for some").count(), 0);
      await context.close();
    }));
  }

  test("what cannot be minted is refused in words, and no token is used", PATIENT, () => onThePage(async (tab) => {
    await tab.click("#mint-open");
    await tab.fill("#mint-payload", "[1]");
    await tab.click("#mint .primary");
    await tab.locator("#mint-answer", { hasText: "400 Bad Request No token was made: the payload must be a JSON object." }).waitFor();
    assert.equal(await tab.locator("#token").inputValue(), "");
  }));

  test("who publishes too often is shown when to come back", PATIENT, () => onThePage(async (tab) => {
    await mint(tab);
    await publish(tab, { topic: "rooms/7", data: "the first" });
    await tab.locator('#answer[data-kind="good"]').waitFor();
    await publish(tab, { topic: "rooms/7", data: "the second" });
    const answer = tab.locator('#answer[data-kind="bad"]');
    await answer.waitFor();
    assert.match(await answer.textContent(), /^429 Too Many Requests .{10,}Retry-After\d+$/);
  }, { more: ["--publish-rate", "1/h"] }));

  test("a token survives a reload of the tab and is in no address", PATIENT, () => onThePage(async (tab) => {
    await mint(tab, { subject: "desk-7" });
    await tab.reload();
    await state(tab, "open");
    await tab.locator("#identity", { hasText: "desk-7" }).waitFor();
    assert.doesNotMatch(tab.url(), /eyJ/);
    await tab.click("#forget");
    await tab.locator("#identity", { hasText: "without a token" }).waitFor();
    await state(tab, "open");
    assert.equal(await tab.evaluate(() => sessionStorage.length), 0);
  }));

  test("a hub with keys of its own explains tokens and mints none", PATIENT, () => onThePage(async (tab) => {
    assert.equal(await tab.locator("#mint-open").isVisible(), false);
    assert.equal(await tab.locator("#no-mint").isVisible(), true);
    await tab.fill("#token", FORGED);
    await tab.locator("#explanation .verdict.bad").first().waitFor();
  }, { more: ["--publisher-jwt-key", "a secret of more than thirty-two bytes", "--subscriber-jwt-key", "a secret of more than thirty-two bytes"] }));
});

describe("active subscriptions on the page", () => {
  const subscriber = (tab, text) => tab.locator(".subscriber", { has: tab.locator("code", { hasText: text }) });

  test("somebody else's subscription is in the list as long as it lasts, with its payload", PATIENT, () => onThePage(async (tab, hub) => {
    await mint(tab, { payload: '{"desk":"north"}' });
    await subscriber(tab, "/.well-known/mercure/subscriptions/*").waitFor();
    const token = await tab.locator("#token").inputValue();
    const leaving = new AbortController();
    const stream = await fetch(`${hub.base}/.well-known/mercure?match=rooms/7&match_urlpattern=/doors/:id`, { headers: { Authorization: `Bearer ${token}` }, signal: leaving.signal });
    const line = subscriber(tab, "rooms/7");
    await line.waitFor();
    assert.deepEqual(await line.locator(".granted li").allTextContents(), ["exactrooms/7", "urlpattern/doors/:id"]);
    assert.deepEqual(await line.locator(".payload").allTextContents(), ['{"desk":"north"}']);
    leaving.abort();
    await stream.text().catch(() => {});
    await line.waitFor({ state: "detached" });
  }));

  test("whoever was there before is listed, clients of the older protocol too", PATIENT, () => onThePage(async (tab, hub) => {
    const streams = await Promise.all(["match=rooms/7", "topic=/rooms/{id}"].map((query) => fetch(`${hub.base}/.well-known/mercure?${query}`)));
    await tab.locator("#presence-state button", { hasText: "Mint one for everything" }).click();
    await subscriber(tab, "rooms/7").waitFor();
    await subscriber(tab, "/rooms/{id}").locator(".badge", { hasText: "older protocol" }).waitFor();
    await Promise.all(streams.map((stream) => stream.body.cancel()));
    await subscriber(tab, "/rooms/{id}").waitFor({ state: "detached" });
  }));

  test("after a restart of the hub the list is asked for anew", PATIENT, () => onThePage(async (tab, hub) => {
    const stream = await fetch(`${hub.base}/.well-known/mercure?match=rooms/7`);
    await mint(tab);
    await subscriber(tab, "rooms/7").waitFor();
    await hub.stop();
    await stream.text().catch(() => {});
    await state(tab, "reconnecting");
    await hub.again();
    await state(tab, "open");
    await subscriber(tab, "rooms/7").waitFor({ state: "detached" });
    await subscriber(tab, "/.well-known/mercure/subscriptions/*").waitFor();
  }));

  test("a token that grants too little is told so", PATIENT, () => onThePage(async (tab) => {
    await mint(tab, {}, { subscribe: "rooms/7" });
    await tab.locator("#presence-state", { hasText: "403 Forbidden The token does not grant to subscribe to this path." }).waitFor();
  }));
});

describe("the page's decoder", () => {
  const source = fs.readFileSync(new URL("../../crates/server/src/page/decode.js", import.meta.url), "utf8");
  const cases = JSON.parse(fs.readFileSync(new URL("../../testdata/streams.json", import.meta.url), "utf8"));

  test("reads every stream as it is meant, wherever the network cuts it", async () => {
    const { Decoder } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
    for (const { name, stream, expect } of cases) {
      const bytes = Buffer.concat(stream.map((piece) => (typeof piece === "number" ? Buffer.from([piece]) : Buffer.from(piece))));
      const cuts = Array.from(bytes.keys(), (at) => [bytes.subarray(0, at), bytes.subarray(at)]);
      for (const pieces of [[bytes], Array.from(bytes, (byte) => Buffer.of(byte)), ...cuts]) {
        const read = { events: [], bookmarks: [], retries: [], comments: [] };
        const decoder = new Decoder({
          event: ({ type, data, id }) => read.events.push({ type, data, last_event_id: id }),
          bookmark: (id) => read.bookmarks.push(id),
          retry: (milliseconds) => read.retries.push(milliseconds),
          comment: (text) => read.comments.push(text),
        });
        for (const piece of pieces) decoder.push(piece);
        assert.deepEqual({ ...read, last_event_id: decoder.lastEventId }, expect, name);
      }
    }
  });
});

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

  test("events of every type are shown, whoever published them", PATIENT, () => onThePage(async (tab, hub) => {
    await hub.publish({ topic: "shop", type: "price", data: "12.50" });
    await event(tab, "12.50").waitFor();
    await publish(tab, { topic: "shop", type: "stock", data: "7 left" });
    await event(tab, "7 left").waitFor();
    assert.deepEqual(await tab.locator(".event .type").allTextContents(), ["stock", "price"]);
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
    assert.deepEqual(await tab.locator(".back .topic, .lost .topic").allTextContents().then((texts) => texts.map((text) => text.split(" ")[0])), ["reconnected", "connection"]);
    assert.match(await tab.locator("#counters").textContent(), /1 gap · 1 lost connection/);
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
    await tab.selectOption("#matchers select", "match");
    await tab.fill("#matchers input", "rooms/7");
    await tab.press("#matchers input", "Enter");
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
    await tab.selectOption("#matchers select", "match_urlpattern");
    await tab.fill("#matchers input", "https://[");
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

  test("without a token a private publication is accepted and shown to nobody here", PATIENT, () => onThePage(async (tab, hub) => {
    await tab.check("#private");
    await publish(tab, { topic: "rooms/7", data: "a secret" });
    await tab.locator('#answer[data-kind="good"]', { hasText: "grant" }).waitFor();
    await hub.publish({ topic: "rooms/7", data: "for all" });
    await event(tab, "for all").waitFor();
    assert.equal(await event(tab, "a secret").count(), 0);
  }));

  test("several matchers are one subscription, also after a reload", PATIENT, () => onThePage(async (tab, hub) => {
    await tab.selectOption("#matchers select", "match");
    await tab.fill("#matchers input", "rooms/7");
    await tab.click("#matchers .add");
    await tab.selectOption("#matchers li:nth-child(2) select", "topic");
    await tab.fill("#matchers li:nth-child(2) input", "https://example.com/rooms/{id}");
    await tab.click("#subscribe .primary");
    await tab.locator("#address", { hasText: "match=rooms%2F7&topic=https" }).waitFor();
    await tab.reload();
    await state(tab, "open");
    assert.equal(await tab.locator("#matchers li").count(), 2);
    for (const [topic, data] of [["rooms/8", "not for me"], ["rooms/7", "by the first"], ["https://example.com/rooms/1", "by the second"]]) await hub.publish({ topic, data });
    await event(tab, "by the second").waitFor();
    assert.deepEqual(await tab.locator(".event .data").allTextContents(), ["by the second", "by the first"]);
    assert.equal(await event(tab, "by the first").locator(".topic").textContent(), "matched by one of rooms/7, https://example.com/rooms/{id}");
  }));

  test("a publication may have several topics, and a reconnection time", PATIENT, () => onThePage(async (tab, hub) => {
    const stream = await fetch(`${hub.base}/.well-known/mercure?match=rooms/8`);
    await publish(tab, { topic: "rooms/7\nrooms/8", data: "for both", retry: "1234" });
    await event(tab, "for both").locator(".topic", { hasText: "rooms/7, rooms/8" }).waitFor();
    let text = "";
    for await (const bytes of stream.body) if ((text += Buffer.from(bytes)).includes("for both\n\n")) break;
    assert.match(text, /^retry: 1234$/m);
  }));

  test("markup in an event stays text", PATIENT, () => onThePage(async (tab, hub) => {
    const data = "<img src=x onerror=alert(1)><script>alert(1)</script><style>*{display:none}</style>";
    await hub.publish({ topic: "<b>rooms</b>", data, id: "<i>mine</i>" });
    await event(tab, data).waitFor();
    assert.equal(await tab.locator(".event img, .event script, .event style, .event b, .event i").count(), 0);
    assert.equal(await event(tab, data).locator(".event-id").textContent(), "<i>mine</i>");
  }));

  test("the copied curl line subscribes to the same, with the token", PATIENT, () => onThePage(async (tab, hub, context) => {
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await mint(tab);
    await tab.fill("#last-event-id", "earliest");
    await hub.publish({ topic: "rooms/it's", data: "for some", private: "on" });
    await tab.selectOption("#matchers select", "match");
    await tab.fill("#matchers input", "rooms/it's");
    await tab.click("#copy-subscribe");
    await tab.locator("#copy-subscribe", { hasText: "Copied" }).waitFor();
    const command = await tab.evaluate(() => navigator.clipboard.readText());
    const curl = spawn("sh", ["-c", `exec ${command} -fsS`]);
    let text = "";
    for await (const bytes of curl.stdout) if ((text += bytes).includes("data: for some\n\n")) break;
    curl.kill();
    assert.match(text, /^data: for some$/m);
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

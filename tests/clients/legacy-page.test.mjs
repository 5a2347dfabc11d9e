//! A page of before Mercure 1.0 in Chromium, as its application serves it today, with this hub in the old one's place: it finds the
//! hub by a Link header, asks for topics by `topic`, and says in the query where it was.
//!
//! The hub has the variables that the reference hub had, and nothing else but the page's origin.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { describe, test } from "node:test";

import { newTab, useChromium } from "./browser.mjs";
import { Inbox } from "./inbox.mjs";
import { Relay, Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";
import { bearer, legacy, PUBLISHERS_KEY, SUBSCRIBERS_KEY } from "./tokens.mjs";

useChromium();

process.env.MERCURE_PUBLISHER_JWT_KEY = PUBLISHERS_KEY;
process.env.MERCURE_SUBSCRIBER_JWT_KEY = SUBSCRIBERS_KEY;

const BOOK = "https://shop.test/books/1";
const AUTHOR = "https://shop.test/authors/7";

/** The page. Its script is what the documentation of those years had people write. */
const PAGE = `<!DOCTYPE html><title>books</title><script type="module">
  const { topics, parameter, withCredentials } = Object.fromEntries([...new URLSearchParams(location.search)].map(([name, json]) => [name, JSON.parse(json)]));
  const book = await fetch("/books/1");
  const link = book.headers.get("Link");
  const url = new URL(link.match(/<([^>]+)>;\\s+rel=(?:mercure|"[^"]*mercure[^"]*")/)[1], location);
  for (const topic of topics) url.searchParams.append("topic", topic);
  const [, id] = link.match(/last-event-id="([^"]*)"/) ?? [];
  if (id) url.searchParams.append(parameter, id);
  const source = new EventSource(url, { withCredentials });
  source.onopen = () => received({ open: url.href });
  source.onmessage = ({ data, lastEventId }) => received({ data, id: lastEventId });
  source.addEventListener("book", ({ data, lastEventId }) => received({ book: data, id: lastEventId }));
  window.source = source;
</script>`;

/** The application: its page, its resource with the link, and its publications, of which it remembers the last one. */
class Application {
  server = http.createServer((request, answer) => this.#serve(request, answer));

  async start() {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.base = `http://127.0.0.1:${this.server.address().port}`;
    this.hub = await Server.start("hub with keys", "--cors-origin", this.base, "--anonymous", "--subscriptions");
    this.publisher = bearer(await legacy(PUBLISHERS_KEY, { publish: ["*"] }));
    await this.tells(this.hub.base);
  }

  #serve(request, answer) {
    if (request.url === "/books/1") {
      const last = this.last === undefined ? "" : `; last-event-id="${this.last}"`;
      answer.writeHead(200, { Link: `<${this.link}>; rel="mercure"${last}` }).end("{}");
    } else {
      const cookie = this.token === undefined ? {} : { "Set-Cookie": `mercureAuthorization=${this.token}; Path=${HUB}; HttpOnly; SameSite=Strict` };
      answer.writeHead(200, { "Content-Type": "text/html", ...cookie }).end(PAGE);
    }
  }

  /** Where its pages are told that the hub is, and what they may read. */
  async tells(base, readable) {
    this.link = `${base}${HUB}`;
    this.token = readable && (await legacy(SUBSCRIBERS_KEY, { subscribe: readable, payload: { user: "ann" } }));
  }

  publish(fields) {
    return this.hub.publish(fields, this.publisher);
  }

  /** Opens the page, and gives back what it is shown, once its stream is open. */
  async visit(topics, parameter = "lastEventID") {
    const inbox = new Inbox();
    const { tab, context } = await newTab();
    await tab.exposeFunction("received", (event) => inbox.push(event));
    const query = { topics, parameter, withCredentials: this.token !== undefined };
    await tab.goto(`${this.base}/?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, JSON.stringify(value)]))}`);
    const { open } = await inbox.next();
    assert.ok(open?.startsWith(this.link), open);
    return { inbox, tab, close: () => context.close() };
  }

  async stop() {
    this.server.close();
    this.server.closeAllConnections();
    await this.hub?.stop();
  }
}

/** Runs `body` with an application and its hub. */
async function using(body) {
  const application = new Application();
  try {
    await application.start();
    await body(application);
  } finally {
    await application.stop();
  }
}

describe("a page of before Mercure 1.0", () => {
  for (const parameter of ["lastEventID", "Last-Event-ID"]) {
    test(`goes on from the ${parameter} in its query, and from what it saw itself when its connection is cut`, PATIENT, () => using(async (application) => {
      const relay = await Relay.before(application.hub);
      await application.tells(relay.base);
      application.last = await application.publish({ topic: BOOK, data: "is in the page" });
      const expected = [];
      for (const [topic, data] of [[BOOK, "while it loads"], [AUTHOR, "of its author"]]) expected.push({ data, id: await application.publish({ topic, data }) });
      const { inbox, close } = await application.visit(["https://shop.test/books/{id}", AUTHOR], parameter);
      assert.deepEqual(await inbox.take(2), expected);
      await application.publish({ topic: "https://shop.test/authors/8", data: "of somebody else" });
      const live = await application.publish({ topic: [BOOK], data: "live", type: "book", retry: "10" });
      assert.deepEqual(await inbox.next(), { book: "live", id: live });
      await relay.cut();
      const missed = await application.publish({ topic: BOOK, data: "missed" });
      await relay.mend();
      assert.ok((await inbox.next()).open.includes(`${parameter}=`));
      assert.deepEqual(await inbox.next(), { data: "missed", id: missed });
      assert.deepEqual(relay.lastEventIds, [undefined, live]);
      await close();
      await relay.end();
    }));
  }

  test("is told of what it may read by the cookie of its application, and of nothing else that is private", PATIENT, () => using(async (application) => {
    await application.tells(application.hub.base, ["https://shop.test/books/{id}"]);
    const { inbox, close } = await application.visit([BOOK, AUTHOR]);
    await application.publish({ topic: AUTHOR, data: "not for it", private: "on" });
    const id = await application.publish({ topic: BOOK, data: "for it", private: "on" });
    assert.deepEqual(await inbox.next(), { data: "for it", id });
    await close();
  }));

  test("shows who else is there, from events without a name and from the list", PATIENT, () => using(async (application) => {
    const presence = `${HUB}/subscriptions{/topic}{/subscriber}`;
    await application.tells(application.hub.base, [presence]);
    const watching = await application.visit([presence]);
    const own = JSON.parse((await watching.inbox.next()).data);
    const reading = await application.visit([BOOK]);
    const came = JSON.parse((await watching.inbox.next()).data);
    const { id, subscriber } = came;
    assert.equal(id, `${HUB}/subscriptions/${encodeURIComponent(BOOK)}/${encodeURIComponent(subscriber)}`);
    const said = { type: "Subscription", topic: BOOK, subscriber, active: true, payload: { user: "ann" } };
    assert.deepEqual(came, { "@context": "https://mercure.rocks/", id, ...said });
    const list = await watching.tab.evaluate(async (url) => (await fetch(url, { credentials: "include" })).json(), `${application.hub.base}${HUB}/subscriptions`);
    assert.equal(list.type, "Subscriptions");
    assert.deepEqual(list.subscriptions.map(({ topic }) => topic).sort(), [BOOK, own.topic].sort());
    assert.deepEqual(list.subscriptions.find(({ topic }) => topic === BOOK), { id, ...said });
    await reading.close();
    const left = JSON.parse((await watching.inbox.next()).data);
    assert.deepEqual(left, { ...came, active: false });
    await watching.close();
  }));
});

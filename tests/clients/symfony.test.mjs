//! Symfony's Mercure component, as Debian has it, against a hub with keys: it publishes, and a subscriber gets it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import readline from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { createEventSource } from "eventsource-client";

import { Inbox, withDeadline } from "./inbox.mjs";
import { opened } from "./node-eventsource.mjs";
import { Server } from "./servers.mjs";
import { HUB, PATIENT, PUBLICATIONS } from "./suite.mjs";
import { bearer, legacy, PUBLISHERS_KEY, SECRETS, SUBSCRIBERS_KEY } from "./tokens.mjs";

const SCRIPT = fileURLToPath(new URL("symfony.php", import.meta.url));
const BOOK = "https://shop.test/books/1";
const AUTHOR = "https://shop.test/authors/7";
const TYPES = ["message", "price", "größe", "book"];

/** A Symfony application of one process, which does what it is told. */
class Symfony {
  #answers = new Inbox();
  #complaints = "";

  constructor(hub) {
    this.child = spawn("php", [SCRIPT, hub.base + HUB, PUBLISHERS_KEY, SUBSCRIBERS_KEY]);
    readline.createInterface({ input: this.child.stdout }).on("line", (line) => this.#answers.push(line));
    this.child.stderr.on("data", (bytes) => { this.#complaints += bytes; });
    this.gone = new Promise((resolve) => this.child.once("exit", resolve));
  }

  async #ask(order) {
    this.child.stdin.write(`${JSON.stringify(order)}\n`);
    const line = await Promise.race([this.#answers.next(), this.gone.then(() => { throw new Error(this.#complaints); })]);
    try {
      return JSON.parse(line);
    } catch {
      throw new Error(`${line}\n${this.#complaints}`);
    }
  }

  /** Publishes an update and gives back the id, or the status of the refusal. */
  async publish(update) {
    const { id, refused } = await this.#ask(update);
    return id ?? refused;
  }

  /** What the answer to a request for `page` would carry so that it can subscribe. */
  serve(page, subscribe) {
    return this.#ask({ page, subscribe });
  }

  stop() {
    this.child.kill("SIGKILL");
    return this.gone;
  }
}

describe("Symfony's Mercure component", () => {
  let hub, symfony;
  /** Subscribes by `topic`, as clients of before 1.0 do, and gives back the inbox. */
  const subscribe = async (topics, headers) => {
    const query = new URLSearchParams(topics.map((topic) => ["topic", topic]));
    const { inbox } = await opened(`${hub.base}${HUB}?${query}`, TYPES, () => headers);
    return inbox;
  };
  before(async () => {
    hub = await Server.start("hub with keys", "--anonymous", ...SECRETS);
    symfony = new Symfony(hub);
  });
  after(async () => {
    await symfony?.stop();
    await hub?.stop();
  });

  for (const client of ["curl", "native"]) {
    test(`every kind of update arrives as it was published, by its HTTP client \`${client}\``, PATIENT, async () => {
      const inbox = await subscribe(["rooms/7"]);
      for (const [fields, data] of PUBLICATIONS) {
        const id = await symfony.publish({ client, topic: "rooms/7", ...fields });
        assert.equal(id, fields.id ?? id);
        assert.deepEqual(await inbox.next(), { type: fields.type ?? "message", data, id });
      }
    });
  }

  test("the class Publisher of older versions publishes, too", PATIENT, async () => {
    const inbox = await subscribe([BOOK]);
    const id = await symfony.publish({ by: "publisher", topic: BOOK, data: "news", type: "book" });
    assert.deepEqual(await inbox.next(), { type: "book", data: "news", id });
    assert.equal(await symfony.publish({ by: "publisher", topic: BOOK, data: "news", granted: [AUTHOR] }), 403);
  });

  test("an update for several topics reaches who asks for one of them, and once who asks for all", PATIENT, async () => {
    const inboxes = [await subscribe([BOOK]), await subscribe([AUTHOR]), await subscribe([AUTHOR, "https://shop.test/books/{id}"])];
    for (const data of ["first", "second"]) {
      const id = await symfony.publish({ topic: [BOOK, AUTHOR], data });
      for (const inbox of inboxes) assert.deepEqual(await inbox.next(), { type: "message", data, id });
    }
  });

  test("its reconnection time is what the client waits for", PATIENT, async (t) => {
    const own = await Server.start("hub with keys", "--anonymous", ...SECRETS);
    const application = new Symfony(own);
    t.after(() => application.stop());
    const inbox = new Inbox();
    const source = createEventSource({
      url: `${own.base}${HUB}?topic=${encodeURIComponent(BOOK)}`,
      onConnect: () => inbox.push("connected"),
      onMessage: ({ data }) => inbox.push(data),
      onScheduleReconnect: ({ delay }) => inbox.push(delay),
    });
    t.after(() => source.close());
    assert.equal(await inbox.next(), "connected");
    await application.publish({ topic: BOOK, data: "come back in a while", retry: 54_321 });
    assert.equal(await inbox.next(), "come back in a while");
    // Not in order: then the hub would say when to come back.
    await own.stop("SIGKILL");
    assert.equal(await inbox.next(), 54_321);
  });

  test("a private update reaches who may read one of its topics, and nobody else", PATIENT, async () => {
    const granted = bearer(await legacy(SUBSCRIBERS_KEY, { subscribe: ["https://shop.test/authors/{id}"] }));
    const elsewhere = bearer(await legacy(SUBSCRIBERS_KEY, { subscribe: ["https://shop.test/users/{id}"] }));
    const [reader, stranger, anonymous] = [await subscribe([BOOK], granted), await subscribe([BOOK], elsewhere), await subscribe([BOOK])];
    const secret = await symfony.publish({ topic: [BOOK, AUTHOR], data: "a draft", private: true });
    const id = await symfony.publish({ topic: BOOK, data: "for all" });
    assert.deepEqual(await reader.next(), { type: "message", data: "a draft", id: secret });
    for (const inbox of [reader, stranger, anonymous]) assert.deepEqual(await inbox.next(), { type: "message", data: "for all", id });
  });

  test("the cookie and the link that it gives a page let that page read what is private", PATIENT, async () => {
    const { cookie, link } = await symfony.serve(`${hub.base}/`, [BOOK]);
    const [, url, rel] = /^<(.*)>; rel="(.*)"$/.exec(link);
    assert.deepEqual([url, rel], [hub.base + HUB, "mercure"]);
    const [pair] = cookie.split(";");
    assert.match(pair, /^mercureAuthorization=ey/);
    assert.match(cookie, /; path=\/\.well-known\/mercure; httponly; samesite=strict$/i);
    const inbox = await subscribe([BOOK], { Cookie: pair });
    const id = await symfony.publish({ topic: BOOK, data: "for the page", private: true });
    assert.deepEqual(await inbox.next(), { type: "message", data: "for the page", id });
  });

  test("what its token does not grant is refused, and nothing of it arrives", PATIENT, async () => {
    const inbox = await subscribe([BOOK, AUTHOR]);
    for (const granted of [[], [BOOK], ["https://shop.test/books/{id}"]]) {
      assert.equal(await symfony.publish({ topic: [BOOK, AUTHOR], data: "refused", granted }), 403);
    }
    const id = await symfony.publish({ topic: BOOK, data: "granted", granted: ["https://shop.test/books/{id}"] });
    assert.deepEqual(await inbox.next(), { type: "message", data: "granted", id });
  });
});

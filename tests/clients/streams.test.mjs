//! `testdata/streams.json` held against Chromium's native `EventSource`: proof that what we expect is what browsers do.
//!
//! Checked are the events, and the last event ID that Chromium comes back with. Reconnection times and comments never
//! reach a script. After a stream whose last `retry` is long, nobody waits for the browser to come back.

import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import { after, before, describe, test } from "node:test";

import { newTab, useChromium } from "./browser.mjs";
import { withDeadline } from "./inbox.mjs";

const cases = JSON.parse(fs.readFileSync(new URL("../../testdata/streams.json", import.meta.url), "utf8"));
const types = [...new Set(["message", ...cases.flatMap(({ expect }) => expect.events.map(({ type }) => type))])];

/** A browser opens six connections to one origin; with this many origins the cases run side by side. */
const ORIGINS = 16;
const PATIENCE_MS = 5_000;

const bytesOf = (stream) => Buffer.concat(stream.map((piece) => (typeof piece === "number" ? Buffer.from([piece]) : Buffer.from(piece))));

/** Serves each case once; whoever comes back for it is sent away, and their `Last-Event-ID` is kept. */
class Streams {
  servers = [];
  visits = new Map();

  async start() {
    for (let n = 0; n < ORIGINS; n += 1) {
      const server = http.createServer((request, response) => this.#answer(request, response));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      this.servers.push(server);
    }
  }

  address(index) {
    return `http://127.0.0.1:${this.servers[index % ORIGINS].address().port}/${index}`;
  }

  #answer(request, response) {
    if (request.url === "/") return void response.writeHead(200, { "Content-Type": "text/html" }).end("<!DOCTYPE html><title>streams</title>");
    const index = Number(request.url.slice(1));
    if (cases[index] === undefined) return void response.writeHead(404).end();
    const visits = this.visits.get(index) ?? [];
    this.visits.set(index, visits);
    const id = request.headers["last-event-id"];
    // Node.js reads header bytes as Latin-1; browsers send UTF-8.
    visits.push(id === undefined ? "" : Buffer.from(id, "latin1").toString("utf8"));
    const headers = { "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store", Connection: "close" };
    if (visits.length > 1) return void response.writeHead(204, headers).end();
    response.writeHead(200, { ...headers, "Content-Type": "text/event-stream" });
    response.end(bytesOf(cases[index].stream));
  }

  stop() {
    for (const server of this.servers) {
      server.close();
      server.closeAllConnections();
    }
  }
}

/** Runs in the browser: what an EventSource dispatches until it is sent away, or until its first end. */
function read([address, types, comesBack]) {
  return new Promise((resolve) => {
    const source = new EventSource(address);
    const events = [];
    for (const type of types) {
      source.addEventListener(type, (event) => {
        if (event instanceof MessageEvent) events.push({ type: event.type, data: event.data, last_event_id: event.lastEventId });
      });
    }
    source.addEventListener("error", (event) => {
      if (event instanceof MessageEvent || (comesBack && source.readyState !== EventSource.CLOSED)) return;
      source.close();
      resolve(events);
    });
  });
}

useChromium();

describe("native EventSource and testdata/streams.json", () => {
  const streams = new Streams();
  before(() => streams.start());
  after(() => streams.stop());

  test("every stream means what the file says", { timeout: 300_000 }, async (context) => {
    // A document from a real socket: Chromium lets no other read from several local origins.
    const { tab, context: tabs } = await newTab();
    await tab.goto(new URL("/", streams.address(0)).href);
    const disagreements = [];
    await Promise.all(cases.map(async ({ name, expect }, index) => {
      const comesBack = (expect.retries.at(-1) ?? 0) <= PATIENCE_MS;
      const events = await withDeadline(tab.evaluate(read, [streams.address(index), types, comesBack]), () => `no end: ${name}`);
      try {
        assert.deepEqual(events, expect.events);
        // HTTP takes the spaces around a header's value away.
        if (comesBack) assert.deepEqual(streams.visits.get(index).map((id) => id.trim()), ["", expect.last_event_id.trim()]);
      } catch (error) {
        disagreements.push(`${name}: ${error.message}`);
      }
    }));
    await tabs.close();
    context.diagnostic(`${cases.length} streams`);
    assert.equal(disagreements.length, 0, disagreements.join("\n\n"));
  });
});

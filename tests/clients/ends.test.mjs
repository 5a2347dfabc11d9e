//! What clients that do not reconnect make of the end of a stream: Node's `http.get` and `fetch`, Chromium's `fetch`, and
//! curl; alone, and behind nginx and HAProxy.
//!
//! The hub's streams come in chunks, and one that ends in order ends with the last chunk: whatever else happens is no clean end
//! to any of them but Node's `fetch`, which asks for no last chunk where the head announces the connection's end. Of HTTP/1.0,
//! which nginx speaks unless told otherwise, the body ends where the connection does: an end of the connection is a clean end
//! there wherever it comes. Nobody should conclude from a clean end that all has come: that is what the last event ID is for.
//! What clients that reconnect make of the same ends stands in `suite.mjs`, and what httpx makes of them in
//! `httpx_sse_test.py`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, test } from "node:test";

import { newTabAt, useChromium } from "./browser.mjs";
import { withDeadline } from "./inbox.mjs";
import { Proxy } from "./proxies.mjs";
import { NO_HEAD, Reading, httpGet } from "./reading.mjs";
import { Relay, Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";

/** Where a stream ends is looked for in its bytes; of compressed ones see compressed.test.mjs. */
const plain = () => Server.start("hub", "--compression", "off");

const STREAM = `${HUB}?match=rooms/7`;

// Each of these gives back a reading once the head is there; from then on the subscription is live.

/** Reads the body of a fetch, in Node as in the browser. */
async function readBody(response, add, end) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return void end("done");
      add(value);
    }
  } catch (error) {
    end(`${error.name}: ${error.message}`);
  }
}

async function nodeFetch(url) {
  const reading = new Reading();
  const leave = new AbortController();
  const response = await withDeadline(fetch(url, { signal: leave.signal }), NO_HEAD);
  void readBody(response, (text) => reading.add(text), (how) => reading.end(how));
  reading.close = () => leave.abort();
  return reading;
}

async function chromiumFetch(url) {
  const reading = new Reading();
  const { tab, context } = await newTabAt(url);
  await tab.exposeFunction("add", (text) => reading.add(text));
  await tab.exposeFunction("end", (how) => reading.end(how));
  await tab.evaluate(`fetch(${JSON.stringify(url)}).then((response) => { (${readBody})(response, window.add, window.end); })`);
  reading.close = () => context.close();
  return reading;
}

async function curl(url) {
  const reading = new Reading();
  const child = spawn("curl", ["-sNi", url], { stdio: ["ignore", "pipe", "inherit"] });
  child.stdout.setEncoding("utf8").on("data", (text) => reading.add(text));
  child.once("close", (code, signal) => reading.end(signal ?? code));
  reading.close = () => child.kill("SIGKILL");
  await reading.saw("\r\n\r\n");
  return reading;
}

/**
 * What each client makes of an end in order, of a reset, and of an end before the last chunk: of a connection to the hub, which is
 * announced to end, and of one to a proxy, which is not.
 */
const NODE_HTTP = {
  name: "Node's http.get",
  read: httpGet,
  clean: { heard: ["response: end"], complete: true },
  reset: { heard: ["request: ECONNRESET", "response: ECONNRESET"], complete: false },
  half: { heard: ["response: ECONNRESET"], complete: false },
  halfIs: "a broken end",
  halfBehindProxy: { heard: ["response: ECONNRESET"], complete: false },
};
const NODE_FETCH = {
  name: "Node's fetch",
  read: nodeFetch,
  clean: "done",
  reset: "done",
  half: "done",
  halfIs: "a clean end too",
  halfBehindProxy: "TypeError: terminated",
};
const CHROMIUM_FETCH = {
  name: "Chromium's fetch",
  read: chromiumFetch,
  clean: "done",
  reset: "TypeError: network error",
  half: "TypeError: network error",
  halfIs: "a broken end",
};
const CURL = { name: "curl", read: curl, clean: 0, reset: 56, half: 18, halfIs: "a broken end", halfBehindProxy: 18 };

/** Waits until the hub counts so many subscribers. */
async function subscribers(hub, count) {
  let counted;
  let waiting = true;
  const reached = async () => {
    while (waiting && counted !== count) {
      const metrics = await (await fetch(`${hub.base}/metrics`)).text();
      counted = Number(/^fanfare_subscribers\{.*\} (\d+)$/m.exec(metrics)[1]);
    }
  };
  await withDeadline(reached(), () => `${counted} subscribers, not ${count}`).finally(() => { waiting = false; });
}

/** The last thing in a stream that the hub ends in order. */
const RETRY = /\n\nretry: \d+\n\n$/;

useChromium();

for (const { name, read, clean, reset, half, halfIs } of [NODE_HTTP, NODE_FETCH, CHROMIUM_FETCH, CURL]) {
  describe(`${name} and the ends of a stream`, () => {
    test("a hub that ends in order is a clean end, behind a retry", PATIENT, async () => {
      const hub = await plain();
      const reading = await read(hub.base + STREAM);
      await hub.publish({ topic: "rooms/7", data: "the last" });
      await reading.saw("data: the last\n\n");
      await hub.stop("SIGTERM");
      assert.deepEqual(await reading.verdict(), clean);
      assert.match(reading.text, RETRY);
      await reading.close();
    });

    test(`a hub that is killed is ${halfIs}`, PATIENT, async () => {
      const hub = await plain();
      const reading = await read(hub.base + STREAM);
      await hub.publish({ topic: "rooms/7", data: "the last" });
      await reading.saw("data: the last\n\n");
      await hub.stop("SIGKILL");
      assert.deepEqual(await reading.verdict(), half);
      assert.match(reading.text, /data: the last\n\n$/);
      await reading.close();
    });

    test(`a connection that ends in the middle of an event is ${halfIs}, behind half an event`, PATIENT, async () => {
      const hub = await plain();
      const relay = await Relay.before(hub);
      const reading = await read(relay.base + STREAM);
      await Promise.all([relay.holdAfter(/^data: hal/m), hub.publish({ topic: "rooms/7", data: "half" })]);
      await reading.saw("\ndata: hal");
      await relay.part();
      assert.deepEqual(await reading.verdict(), half);
      assert.match(reading.text, /\ndata: hal$/);
      await reading.close();
      await relay.end();
      await hub.stop();
    });

    test(`a reset is ${halfIs}, between two events and in the middle of one`, PATIENT, async () => {
      const hub = await plain();
      const relay = await Relay.before(hub);
      for (const end of ["data: half\n\n", "data: hal"]) {
        const reading = await read(relay.base + STREAM);
        await Promise.all([relay.holdAfter(new RegExp(`^${end}`, "m")), hub.publish({ topic: "rooms/7", data: "half" })]);
        await reading.saw(`\n${end}`);
        await relay.cut();
        assert.deepEqual(await reading.verdict(), reset);
        await reading.close();
        await relay.mend();
      }
      await relay.end();
      await hub.stop();
    });
  });
}

/**
 * What each proxy makes of a connection to the hub that ends in the middle of an event. All give a client of HTTP/1.1 chunks, and
 * leave out the last one where they have not got it, and after a reset.
 */
const NGINX = { kind: "nginx", afterHalf: ({ halfBehindProxy }) => halfBehindProxy, halfIs: "a broken end" };
const NGINX_10 = { kind: "nginx with HTTP/1.0", afterHalf: ({ clean }) => clean, halfIs: "a clean end" };
const HAPROXY = { kind: "HAProxy", afterHalf: ({ halfBehindProxy }) => halfBehindProxy, halfIs: "a broken end" };
const PROXIES = [NGINX, NGINX_10, HAPROXY];

describe("the head of a stream", () => {
  test("says that the body comes in chunks, and that the connection ends with it", PATIENT, async () => {
    const hub = await plain();
    const { head, close } = await httpGet(hub.base + STREAM);
    assert.equal(head.connection, "close");
    assert.equal(head["transfer-encoding"], "chunked");
    assert.equal(head["content-length"], undefined);
    close();
    await hub.stop();
  });

  for (const { kind } of PROXIES) {
    test(`says the same of the body behind ${kind}`, PATIENT, async () => {
      const hub = await plain();
      const proxy = await Proxy.before(hub, kind);
      const { head, close } = await httpGet(proxy.base + STREAM);
      assert.equal(head["transfer-encoding"], "chunked");
      assert.equal(head["content-length"], undefined);
      close();
      await proxy.stop();
      await hub.stop();
    });
  }
});

for (const { kind, halfIs, afterHalf } of PROXIES) {
  for (const client of [NODE_HTTP, NODE_FETCH, CURL]) {
    const { name, read, clean, halfBehindProxy } = client;
    describe(`${name} behind ${kind}`, () => {
      test("events arrive while the stream goes on, and a hub that ends in order is a clean end", PATIENT, async () => {
        const hub = await plain();
        const proxy = await Proxy.before(hub, kind);
        const reading = await read(proxy.base + STREAM);
        for (const data of ["a", "b", "c"]) {
          await hub.publish({ topic: "rooms/7", data });
          await reading.saw(`data: ${data}\n\n`);
        }
        await hub.stop("SIGTERM");
        assert.deepEqual(await reading.verdict(), clean);
        assert.match(reading.text, RETRY);
        await proxy.stop();
      });

      test(`a connection that ends in the middle of an event is ${halfIs}, behind half an event`, PATIENT, async () => {
        const hub = await plain();
        const relay = await Relay.before(hub);
        const proxy = await Proxy.before(relay, kind);
        const reading = await read(proxy.base + STREAM);
        await Promise.all([relay.holdAfter(/^data: hal/m), hub.publish({ topic: "rooms/7", data: "half" })]);
        await reading.saw("\ndata: hal");
        await relay.part();
        assert.deepEqual(await reading.verdict(), afterHalf(client));
        assert.match(reading.text, /\ndata: hal$/);
        await proxy.stop();
        await relay.end();
        await hub.stop();
      });

      test("a reset at the hub is a broken end at the client", PATIENT, async () => {
        const hub = await plain();
        const relay = await Relay.before(hub);
        const proxy = await Proxy.before(relay, kind);
        const reading = await read(proxy.base + STREAM);
        await hub.publish({ topic: "rooms/7", data: "the last" });
        await reading.saw("data: the last\n\n");
        await relay.cut();
        assert.deepEqual(await reading.verdict(), halfBehindProxy);
        await proxy.stop();
        await relay.end();
        await hub.stop();
      });

      test("a client that leaves leaves the hub", PATIENT, async () => {
        const hub = await plain();
        const proxy = await Proxy.before(hub, kind);
        const reading = await read(proxy.base + STREAM);
        await subscribers(hub, 1);
        await reading.close();
        await subscribers(hub, 0);
        await proxy.stop();
        await hub.stop();
      });
    });
  }
}

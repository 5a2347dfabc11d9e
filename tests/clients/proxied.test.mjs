//! What proxies make of a stream that does not end: nginx, HAProxy and Caddy, configured as `docs/guide/deploy.md` says.
//!
//! That nothing is held back shows in the order: each event is published only when the one before has been read. What proxies make
//! of the ends of a stream stands in `ends.test.mjs`.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { describe, test } from "node:test";

import { withDeadline } from "./inbox.mjs";
import { Proxy } from "./proxies.mjs";
import { httpGet } from "./reading.mjs";
import { Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";

/** A stream of the hub, and one of the library in somebody's own handler, which sends a keep-alive after its default of 15 s. */
const STREAMS = {
  "the hub's stream": {
    start: () => Server.start("hub", "--compression", "off", "--keep-alive", "200ms"),
    path: `${HUB}?match=rooms/7`,
    publish: (server, data) => server.publish({ topic: "rooms/7", data }),
  },
  "a stream of the library": {
    start: () => Server.start("room"),
    path: "/rooms/7",
    publish: async (server, data) => assert.equal((await fetch(`${server.base}/rooms/7`, { method: "POST", body: data })).status, 200),
  },
};

describe("a proxy as the guide says", { concurrency: true }, () => {
  for (const kind of ["nginx", "nginx with HTTP/1.0", "HAProxy", "HAProxy that compresses", "Caddy"]) {
    for (const [name, { start, path, publish }] of Object.entries(STREAMS)) {
      test(`${kind} passes ${name} event by event, with its keep-alives`, PATIENT, async () => {
        const server = await start();
        const proxy = await Proxy.before(server, kind);
        // As a browser asks, which takes what is compressed: so the proxy could, and the hub itself does not here.
        const reading = await httpGet(proxy.base + path, { "Accept-Encoding": "gzip, deflate", Accept: "text/event-stream" });
        assert.equal(reading.head["content-encoding"], undefined);
        assert.equal(reading.head["content-length"], undefined);
        assert.match(reading.head["content-type"], /^text\/event-stream/);
        for (let n = 0; n < 20; n += 1) {
          await publish(server, `event ${n}`);
          await reading.saw(`data: event ${n}\n\n`);
        }
        const events = reading.text.length;
        await reading.sawWhat((text) => text.indexOf(":\n", events) >= 0, "a keep-alive");
        await publish(server, "behind a keep-alive");
        await reading.saw("data: behind a keep-alive\n\n");
        reading.close();
        await proxy.stop();
        await server.stop();
      });
    }
  }
});

/** Not the address that HAProxy connects from. */
const CLIENT = "127.0.0.9";

test("HAProxy's PROXY protocol names the client of a stream", async () => {
  const hub = await Server.start("hub", "--trusted-proxies", "127.0.0.1", "--proxy-protocol");
  const proxy = await Proxy.before(hub, "HAProxy with PROXY protocol");
  const request = http.get(`${proxy.base}/.well-known/mercure?match=rooms/7`, { localAddress: CLIENT });
  const [response] = await withDeadline(once(request, "response"), () => "the head did not come");
  let text = "";
  const came = new Promise((resolve) => {
    response.on("data", (bytes) => {
      text += bytes;
      if (text.includes("data: it works\n")) resolve();
    });
  });
  await withDeadline(once(response, "data"), () => "the stream did not begin");
  const body = new URLSearchParams({ topic: "rooms/7", data: "it works" });
  const published = await fetch(`${proxy.base}/.well-known/mercure`, { method: "POST", body });
  assert.equal(published.status, 200);
  const listed = await (await fetch(`${proxy.base}/admin/subscribers`)).json();
  assert.deepEqual(listed.map((each) => each.address), [CLIENT]);
  await withDeadline(came, () => `the event did not come: ${JSON.stringify(text)}`);
  request.destroy();
  await proxy.stop();
  await hub.stop();
});

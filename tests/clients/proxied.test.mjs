//! Whose stream it is behind HAProxy, which says so by the PROXY protocol.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";

import { withDeadline } from "./inbox.mjs";
import { Proxy } from "./proxies.mjs";
import { Server } from "./servers.mjs";

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

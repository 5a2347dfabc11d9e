//! `curl -N`: the stream as it is on the wire, line by line, and resume by hand.
//!
//! curl neither parses events nor reconnects, so what is checked here is the bytes.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import readline from "node:readline";
import { describe, test } from "node:test";

import { Inbox } from "./inbox.mjs";
import { Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";

/** Runs curl; its inbox gets the blocks of the body, each as a list of lines, without comments. */
function curl(url, ...more) {
  const child = spawn("curl", ["-sSN", "-D", "-", ...more, url], { stdio: ["ignore", "pipe", "inherit"] });
  const head = new Inbox();
  const inbox = new Inbox();
  let into = head;
  let block = [];
  readline.createInterface({ input: child.stdout }).on("line", (line) => {
    if (into === inbox && line.startsWith(":")) return;
    if (line !== "") return void block.push(line);
    into.push(block);
    into = inbox;
    block = [];
  });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  return {
    inbox,
    gone,
    head: async () => (await head.next()).map((line) => line.toLowerCase()),
    async close() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

describe("curl and the hub", () => {
  test("the head is that of an event stream, and comes before any event", PATIENT, async () => {
    const hub = await Server.start("hub");
    const client = curl(`${hub.base}${HUB}?match=*`);
    const head = await client.head();
    assert.equal(head[0], "http/1.1 200 ok");
    assert.ok(head.includes("content-type: text/event-stream"), head.join("\n"));
    assert.ok(head.some((line) => /^cache-control: .*no-cache/.test(line)), head.join("\n"));
    assert.ok(head.includes("x-accel-buffering: no"), head.join("\n"));
    await client.close();
    await hub.stop();
  });

  test("an event is its fields, one data line for each line, and a blank line", PATIENT, async () => {
    const hub = await Server.start("hub");
    const client = curl(`${hub.base}${HUB}?match=rooms/7`);
    await client.head();
    const id = await hub.publish({ topic: "rooms/7", type: "price", retry: "2500", data: "one\r\ntwo\rthree\n\n four" });
    const [first, ...rest] = await client.inbox.next();
    assert.equal(first, `id: ${id}`);
    assert.deepEqual(rest.filter((line) => line.startsWith("data")), ["data: one", "data: two", "data: three", "data: ", "data:  four"]);
    assert.deepEqual(rest.filter((line) => !line.startsWith("data")).sort(), ["event: price", "retry: 2500"]);
    await client.close();
    await hub.stop();
  });

  test("a resume by header or by query gets what came after, and is told so (P1, P2, P3)", PATIENT, async () => {
    const hub = await Server.start("hub");
    const ids = [];
    for (const data of ["a", "b", "c"]) ids.push(await hub.publish({ topic: "rooms/7", data }));
    const inHeader = ["-H", `Last-Event-ID: ${ids[0]}`];
    const inQuery = `&${new URLSearchParams({ last_event_id: ids[0] })}`;
    for (const client of [curl(`${hub.base}${HUB}?match=rooms/7`, ...inHeader), curl(`${hub.base}${HUB}?match=rooms/7${inQuery}`)]) {
      const head = await client.head();
      assert.ok(head.includes(`mercure-last-event-id: ${ids[0].toLowerCase()}`), head.join("\n"));
      assert.deepEqual(await client.inbox.take(2), [[`id: ${ids[1]}`, "data: b"], [`id: ${ids[2]}`, "data: c"]]);
      await client.close();
    }
    await hub.stop();
  });

  test("earliest gets everything that is kept", PATIENT, async () => {
    const hub = await Server.start("hub");
    const id = await hub.publish({ topic: "rooms/7", data: "a" });
    const client = curl(`${hub.base}${HUB}?match=rooms/7&last_event_id=earliest`);
    assert.ok((await client.head()).includes("mercure-last-event-id: earliest"));
    assert.deepEqual(await client.inbox.next(), [`id: ${id}`, "data: a"]);
    await client.close();
    await hub.stop();
  });

  test("an id from before a restart gets one gap, which names it (P2, P6)", PATIENT, async () => {
    const hub = await Server.start("hub");
    const id = await hub.publish({ topic: "rooms/7", data: "a" });
    const first = curl(`${hub.base}${HUB}?match=rooms/7`);
    await first.head();
    await hub.stop("SIGTERM");
    await first.gone;
    await hub.again();
    const second = curl(`${hub.base}${HUB}?match=rooms/7`, "-H", `Last-Event-ID: ${id}`);
    assert.ok((await second.head()).includes("mercure-last-event-id: earliest"));
    const gap = await second.inbox.next();
    assert.match(gap[0], /^id: #1[\w-]{22}$/);
    assert.equal(gap[1], "event: fanfare.gap");
    assert.deepEqual(JSON.parse(gap[2].slice("data: ".length)), { reason: "rewound", after: id });
    const next = await hub.publish({ topic: "rooms/7", data: "b" });
    assert.deepEqual(await second.inbox.next(), [`id: ${next}`, "data: b"]);
    await second.close();
    await hub.stop();
  });
});

for (const program of ["actix", "axum", "blocking", "hyper", "poem", "tower"]) {
  describe(`curl and the example \`${program}\``, () => {
    test("the stream begins, ends with the close event, and the connection ends", PATIENT, async () => {
      const server = await Server.start(program);
      const client = curl(`${server.base}/events?count=2`);
      const head = await client.head();
      assert.match(head[0], /^http\/1\.1 200/);
      assert.ok(head.includes("content-type: text/event-stream"), head.join("\n"));
      assert.deepEqual(await client.inbox.take(2), [["id: 1", "data: tick 1"], ["id: 2", "data: tick 2"]]);
      assert.deepEqual((await client.inbox.next()).sort(), ["data: Closing the connection", "event: close"]);
      assert.equal(await client.gone, 0);
      await server.stop();
    });

    test("a last event ID is where the ticks go on, also after a restart", PATIENT, async () => {
      const server = await Server.start(program);
      const first = curl(`${server.base}/events`);
      await first.inbox.next();
      await server.stop();
      await first.gone;
      await server.again();
      const client = curl(`${server.base}/events`, "-H", "Last-Event-ID: 41");
      assert.deepEqual(await client.inbox.take(2), [["id: 42", "data: tick 42"], ["id: 43", "data: tick 43"]]);
      await client.close();
      await server.stop();
    });
  });
}

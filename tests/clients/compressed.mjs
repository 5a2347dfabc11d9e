//! What a native `EventSource` has to see of a compressed stream, and what is needed to ask that of anybody else.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Relay, Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";

export const CODINGS = ["gzip", "zstd"];

/** Below and above what is compressed, more than one block of deflate, and what cannot be compressed. */
export const DATA = ["small", "x".repeat(300), JSON.stringify(Array.from({ length: 300 }, (_, id) => ({ id, price: (id * 37) % 90 }))), "y".repeat(100_000), "small again"];

export function hub(coding, ...more) {
  return Server.start("hub", "--compression", coding, "--keep-alive", "1s", ...more);
}

/** Publishes one after the other, each once the former was read. */
export async function oneByOne(server, next) {
  for (const data of DATA) {
    const id = await server.publish({ topic: "rooms/7", data });
    await next(data, id);
  }
}

/** A client as in `suite.mjs`, of hubs that compress in each of `codings`. */
export function compressedSuite(name, open, codings = CODINGS, hubOf = hub) {
  for (const coding of codings) {
    describe(`${name} and ${coding}`, () => {
      test("each event arrives before the next is published, behind keep-alives and a gap", PATIENT, async () => {
        const server = await hubOf(coding);
        const relay = await Relay.before(server);
        const { inbox, close } = await open(`${relay.base}${HUB}?match=rooms/7&last_event_id=lost`, ["message", "fanfare.gap"]);
        await relay.passed(new RegExp(`content-encoding: ${coding}\r`, "i"));
        assert.equal((await inbox.next()).type, "fanfare.gap");
        await oneByOne(server, async (data, id) => assert.deepEqual(await inbox.next(), { type: "message", data, id }));
        // Quiet for a while, and then one more.
        await relay.passed(/:\n[^]*:\n/);
        const id = await server.publish({ topic: "rooms/7", data: "at last" });
        assert.deepEqual(await inbox.next(), { type: "message", data: "at last", id });
        await close();
        await relay.end();
        await server.stop();
      });

      test("what was published while the connection was cut arrives once (P1, P2, P3)", PATIENT, async () => {
        const server = await hubOf(coding);
        const relay = await Relay.before(server);
        const { inbox, close } = await open(`${relay.base}${HUB}?match=rooms/7`, ["message"]);
        await relay.passed(/id: #1\S+\n\n/);
        for (const data of ["one ", "two "]) {
          const long = data.repeat(100);
          const id = await server.publish({ topic: "rooms/7", data: long });
          assert.deepEqual(await inbox.next(), { type: "message", data: long, id });
          await relay.cut();
          const missed = await server.publish({ topic: "rooms/7", data: "missed" });
          await relay.mend();
          assert.deepEqual(await inbox.next(), { type: "message", data: "missed", id: missed });
        }
        await close();
        await relay.end();
        await server.stop();
      });
    });
  }
}

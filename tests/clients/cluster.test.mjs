//! Chromium at a hub of two nodes over NATS: the node that it is connected to is killed, and it goes on at the other one.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { after, describe, test } from "node:test";

import { open, useChromium } from "./browser.mjs";
import { Relay, Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";

useChromium();

/** A server of NATS, with its log in a folder of its own. Stopped by its process id. */
async function startNats() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "fanfare-nats-"));
  const program = process.env.FANFARE_NATS_SERVER ?? "nats-server";
  const child = spawn(program, ["-js", "-sd", folder, "-a", "127.0.0.1", "-p", "-1"], { stdio: ["ignore", "ignore", "pipe"] });
  after(() => {
    child.kill("SIGKILL");
    fs.rmSync(folder, { recursive: true, force: true });
  });
  let url;
  for await (const line of readline.createInterface({ input: child.stderr })) {
    url ??= /Listening for client connections on (\S+)/.exec(line)?.[1];
    if (line.includes("Server is ready")) break;
  }
  assert.notEqual(url, undefined, "nats-server ended");
  // What it says from now on is read so that it can go on.
  child.stderr.resume();
  return `nats://${url}`;
}

describe("Chromium and a hub of two nodes", () => {
  test("a page goes on at another node when its own is killed, and sees every number once (P1, P2, P3)", PATIENT, async () => {
    const nats = await startNats();
    const node = () => Server.start("hub", "--engine", nats, "--nats-replicas", "1");
    const [first, second] = [await node(), await node()];
    const relay = await Relay.before(first);
    // Until both know the log.
    for (const hub of [first, second]) {
      while (!(await fetch(`${hub.base}/readyz`)).ok);
    }
    const { inbox, close } = await open(`${relay.base}${HUB}?match=numbers`, ["message", "fanfare.gap"]);
    let published = 0;
    const expected = [];
    const publish = async (hub, count) => {
      for (let left = count; left > 0; left -= 1) {
        published += 1;
        const id = await hub.publish({ topic: "numbers", data: String(published) });
        expected.push({ type: "message", data: String(published), id });
      }
    };
    // The page is there when it sees one.
    let seen = false;
    inbox.next().then((event) => { seen = event; });
    while (!seen) await publish(second, 1);
    await publish(second, 10);
    await first.stop("SIGKILL");
    await relay.cut();
    await publish(second, 20);
    relay.server = second;
    await relay.mend();
    await publish(second, 10);
    const last = expected.at(-1);
    while (inbox.all.at(-1)?.id !== last.id) await inbox.next();
    // It came in somewhere, and from there on it has everything.
    assert.deepEqual(inbox.all, expected.slice(-inbox.all.length));
    assert.match(relay.lastEventIds.at(-1), /^#1/);
    await close();
    await relay.end();
    await second.stop();
  });
});

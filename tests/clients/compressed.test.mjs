//! Compressed streams: Chromium, curl, Node's fetch and zlib read them event by event, and to an end that they can check; Chromium also with
//! a dictionary that it has fetched.
//!
//! The next event is published only after the former was read, so whoever holds one back waits for ever.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import zlib from "node:zlib";

import { newTabAt, open, subscribe, useChromium } from "./browser.mjs";
import { CODINGS, DATA, compressedSuite, hub, oneByOne } from "./compressed.mjs";
import { Inbox } from "./inbox.mjs";
import { Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";

useChromium();

compressedSuite("native EventSource", open);
compressedSuite("native EventSource that has the dictionary", openWithDictionary, ["dcz"], hubWithDictionary);

/** Its dictionary is a recording of a stream, as the guide says how to make one. */
async function hubWithDictionary() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "fanfare-dictionary-"));
  const file = path.join(folder, "sample");
  const frames = Array.from({ length: 50 }, (_, id) => `id: #1kV7Dm0c0Qy2n3T6wVbZs9A\ndata: {"id":${id},"price":${(id * 37) % 90}},small again\n\n`);
  fs.writeFileSync(file, frames.join(""));
  try {
    return await Server.start("hub", "--compression-dictionary", file, "--keep-alive", "1s");
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** As `open`, in a tab that has the hub's dictionary before. The stream is there when this returns. */
async function openWithDictionary(url, types) {
  const { tab, context } = await newTabAt(url);
  await fetchDictionary(tab, url);
  const answered = tab.waitForResponse(url);
  const inbox = await subscribe(tab, url, types);
  assert.equal((await answered).headers()["content-encoding"], "dcz");
  return { inbox, tab, close: () => context.close() };
}

/** Fetches the dictionary as a page would, and asks for a stream until the browser names it: it takes a moment to keep it. */
async function fetchDictionary(tab, url) {
  await tab.evaluate(async ([dictionary, stream]) => {
    await (await fetch(dictionary)).arrayBuffer();
    for (let coding; coding !== "dcz";) {
      const asked = new AbortController();
      coding = (await fetch(stream, { signal: asked.signal })).headers.get("content-encoding");
      asked.abort();
    }
  }, [new URL(`${HUB}/dictionary`, url).href, new URL(`${HUB}?match=nothing`, url).href]);
}

describe("dcz and Chromium", () => {
  test("a link in the page brings the dictionary, and fetch hands each event on by itself", PATIENT, async () => {
    const server = await hubWithDictionary();
    const { tab, context } = await newTabAt(server.base);
    const brought = tab.waitForResponse(`${server.base}${HUB}/dictionary`);
    await tab.setContent(`<!DOCTYPE html><link rel="compression-dictionary" href="${server.base}${HUB}/dictionary">`);
    assert.equal((await brought).headers()["use-as-dictionary"], `match="${HUB}"`);
    await fetchDictionary(tab, server.base);
    const inbox = new Inbox();
    await tab.exposeFunction("read", (piece) => inbox.push(piece));
    const coding = await tab.evaluate(async (url) => {
      const response = await fetch(url);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      (async () => { for (let piece; !(piece = await reader.read()).done;) window.read(piece.value); })();
      return response.headers.get("content-encoding");
    }, `${server.base}${HUB}?match=rooms/7`);
    assert.equal(coding, "dcz");
    let text = "";
    await oneByOne(server, async (data) => {
      while (!text.includes(`data: ${data}\n\n`)) text += await inbox.next();
      text = "";
    });
    await context.close();
    await server.stop();
  });
});

for (const coding of CODINGS) {
  describe(`${coding} and curl`, () => {
    test("each event arrives by itself, and the end is found whole", PATIENT, async () => {
      const server = await hub(coding);
      const url = `${server.base}${HUB}?match=rooms/7&last_event_id=lost`;
      const child = spawn("curl", ["-sSN", "-H", `Accept-Encoding: ${coding}`, "--compressed", url], { stdio: ["ignore", "pipe", "inherit"] });
      const gone = new Promise((resolve) => child.once("exit", resolve));
      const reader = reading(child.stdout);
      assert.match(await reader.until("\n\n"), /fanfare\.gap/);
      await oneByOne(server, async (data) => reader.until(`data: ${data}\n\n`));
      await reader.until(":\n");
      // It ends its streams in order.
      await server.stop("SIGTERM");
      assert.equal(await gone, 0, "curl checks what stands at the end");
    });
  });
}

/** Waits for text in a stream. */
function reading(stream) {
  let text = "";
  const inbox = new Inbox();
  stream.setEncoding("utf8");
  stream.on("data", (piece) => inbox.push(piece));
  return {
    async until(needle) {
      while (!text.includes(needle)) text += await inbox.next();
      const end = text.indexOf(needle) + needle.length;
      const seen = text.slice(0, end);
      text = text.slice(end);
      return seen;
    },
  };
}

describe("gzip and Node", () => {
  test("fetch hands each event on by itself", PATIENT, async () => {
    const server = await hub("gzip");
    const response = await fetch(`${server.base}${HUB}?match=rooms/7`, { headers: { "accept-encoding": "gzip" } });
    assert.equal(response.headers.get("content-encoding"), "gzip");
    assert.equal(response.headers.get("vary"), "Accept-Encoding");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    await oneByOne(server, async (data) => {
      while (!text.includes(`data: ${data}\n\n`)) text += (await reader.read()).value;
      text = "";
    });
    await reader.cancel();
    await server.stop();
  });

  test("zlib finds the CRC and the length right at the end, and is told of a cut", PATIENT, async () => {
    for (const is_cut of [false, true]) {
      const server = await hub("gzip");
      const pieces = [];
      const response = await new Promise((resolve) => http.get(`${server.base}${HUB}?match=rooms/7`, { headers: { "accept-encoding": "x-gzip" } }, resolve));
      const closed = new Promise((resolve) => { response.once("end", () => resolve(true)); response.once("error", () => resolve(false)); });
      const came = new Inbox();
      response.on("data", (piece) => { pieces.push(piece); came.push(piece); });
      await came.next();
      await server.publish({ topic: "rooms/7", data: DATA[2] });
      while (!zlib.gunzipSync(Buffer.concat(pieces), { finishFlush: zlib.constants.Z_SYNC_FLUSH }).includes(`data: ${DATA[2]}\n\n`)) await came.next();
      await (is_cut ? server.stop() : server.stop("SIGTERM"));
      assert.equal(await closed, !is_cut);
      const whole = () => zlib.gunzipSync(Buffer.concat(pieces));
      if (is_cut) assert.throws(whole, /unexpected end of file/);
      else assert.match(whole().toString(), /^:\n[^]*\nretry: \d+\n\n$/);
    }
  });
});

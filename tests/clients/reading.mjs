//! What a client that does not reconnect reads of a stream, byte by byte as it comes.
//!
//! It makes nothing of the bytes: no events, no ids.

import { once } from "node:events";
import http from "node:http";

import { withDeadline } from "./inbox.mjs";

/** What a client has read so far, and how its reading ended. */
export class Reading {
  text = "";
  #watchers = new Set();
  ended = new Promise((resolve) => { this.end = resolve; });

  add(text) {
    this.text += text;
    for (const watcher of this.#watchers) watcher();
  }

  /** Waits until `text` has been read. */
  async saw(text) {
    await this.sawWhat((read) => read.includes(text), JSON.stringify(text));
  }

  /** Waits until what has been read is as `is` says. */
  async sawWhat(is, name) {
    let watcher;
    const there = new Promise((resolve) => {
      watcher = () => { if (is(this.text)) resolve(); };
    });
    this.#watchers.add(watcher);
    watcher();
    await withDeadline(there, () => `${name} was not read: ${JSON.stringify(this.text)}`);
    this.#watchers.delete(watcher);
  }

  /** Waits for the end, and gives back what the client makes of it. */
  async verdict() {
    return withDeadline(this.ended, () => `the stream did not end: ${JSON.stringify(this.text)}`);
  }
}

export const NO_HEAD = () => "the head did not come";

/** Asks by Node's `http.get`. Resolves when the head is there; from then on a subscription is live. */
export async function httpGet(url, headers = {}) {
  const reading = new Reading();
  const request = http.get(url, { headers });
  const [response] = await withDeadline(once(request, "response"), NO_HEAD);
  reading.head = response.headers;
  const heard = [];
  request.on("error", (error) => heard.push(`request: ${error.code}`));
  response.setEncoding("utf8");
  response.on("data", (text) => reading.add(text));
  response.on("end", () => heard.push("response: end"));
  response.on("error", (error) => heard.push(`response: ${error.code}`));
  response.on("close", () => reading.end({ heard, complete: response.complete }));
  reading.close = () => request.destroy();
  return reading;
}

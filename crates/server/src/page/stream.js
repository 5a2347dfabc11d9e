// One subscription by `fetch`: what EventSource does, with a token in the header and with every refusal in words.
//
// Like a browser it comes back, with the last event ID, after a connection that was lost, and stays away after any other
// answer than 200. It draws nothing.

import { Answer } from "./answer.js";
import { Decoder } from "./decode.js";

/** What browsers wait before they come back, unless the stream says otherwise. */
const RECONNECTION_TIME_MS = 3_000;
/** A stream may ask for less; nobody is asked more often. */
const RECONNECTION_TIME_MIN_MS = 100;
const CLOSE = "fanfare.close";

export class Stream {
  /**
   * @param address where to subscribe
   * @param headers sent with every attempt
   * @param on functions, each optional: `open(attempt)`, `event`, `bookmark`, `comment` as of a Decoder, `lost(isFirst,
   *   milliseconds)`, and as the last one `refused(answer)` or `ended(reason)`
   */
  constructor(address, headers, on) {
    Object.assign(this, { address, headers, on, lastEventId: "", reconnectionTime: RECONNECTION_TIME_MS, attempt: 0 });
    this.leaving = new AbortController();
    this.#run();
  }

  /** Goes away without another word. */
  close() {
    this.leaving.abort();
    this.on = {};
  }

  async #run() {
    while (!this.leaving.signal.aborted) {
      try {
        if (await this.#connect()) return;
      } catch {
        // A connection that cannot be had, or that broke: come back.
      }
      if (this.leaving.signal.aborted) return;
      this.attempt += 1;
      this.on.lost?.(this.attempt === 1, this.reconnectionTime);
      await new Promise((resolve) => {
        setTimeout(resolve, this.reconnectionTime);
        this.leaving.signal.addEventListener("abort", resolve, { once: true });
      });
    }
  }

  /** Gives back whether that is all. */
  async #connect() {
    const [address, headers] = this.#resumed();
    const response = await fetch(address, { headers, signal: this.leaving.signal, cache: "no-store" });
    if (response.status === 204) return this.#over("ended", "the hub says that this stream has ended");
    const isStream = /^text\/event-stream *(;|$)/i.test(response.headers.get("content-type") ?? "");
    if (response.status !== 200 || !isStream) return this.#over("refused", await Answer.of(response));
    this.on.open?.(this.attempt);
    this.attempt = 0;
    let closed;
    const decoder = new Decoder({
      event: (event) => {
        if (event.type === CLOSE) closed = event.data;
        // What comes behind the end is nobody's.
        else if (closed === undefined) this.on.event?.(event);
      },
      bookmark: (id) => this.on.bookmark?.(id),
      comment: (text) => this.on.comment?.(text),
      retry: (milliseconds) => { this.reconnectionTime = Math.min(Math.max(milliseconds, RECONNECTION_TIME_MIN_MS), 2 ** 31 - 1); },
    }, this.lastEventId);
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      decoder.push(value);
      this.lastEventId = decoder.lastEventId;
      if (closed === undefined) continue;
      this.leaving.abort();
      return this.#over("ended", closed === "" ? "the hub ended this stream" : `the hub ended this stream: ${closed}`);
    }
  }

  #over(how, what) {
    this.on[how]?.(what);
    return true;
  }

  /** Where to come back to: the header wins, but it cannot hold every id. */
  #resumed() {
    const id = this.lastEventId;
    if (id === "") return [this.address, this.headers];
    if (/^[\t ]|[\t ]$|[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(id)) {
      const address = new URL(this.address, location.href);
      address.searchParams.set("last_event_id", id);
      return [address.href, this.headers];
    }
    // A header is made of bytes; browsers send UTF-8.
    const bytes = Array.from(new TextEncoder().encode(id), (byte) => String.fromCharCode(byte)).join("");
    return [this.address, { ...this.headers, "Last-Event-ID": bytes }];
  }
}

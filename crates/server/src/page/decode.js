// Reads an event stream: bytes in, events out, as WHATWG HTML § 9.2.6 lays it down.
//
// Besides events it tells what a script never hears of an EventSource: bookmarks, reconnection times and comments. It opens
// no connection. `testdata/streams.json` holds for it as for every decoder here.

const LINE_END = /[\r\n]/g;

export class Decoder {
  /** @param on functions `event({ type, data, id })`, `bookmark(id)`, `retry(milliseconds)`, `comment(text)`, each optional. */
  constructor(on, lastEventId = "") {
    this.on = on;
    /** What a reconnection has to send. An unfinished block does not move it. */
    this.lastEventId = lastEventId;
    // It takes one byte order mark away, and puts U+FFFD where bytes are no UTF-8.
    this.text = new TextDecoder("utf-8");
    this.unfinished = "";
    this.searched = 0;
    this.afterCarriageReturn = false;
    this.id = lastEventId;
    this.#beginBlock();
  }

  #beginBlock() {
    this.data = [];
    this.type = "";
    this.hasId = false;
  }

  /** Takes the next bytes; where they are cut does not matter. */
  push(bytes) {
    let text = this.text.decode(bytes, { stream: true });
    if (text === "") return;
    if (this.afterCarriageReturn && text[0] === "\n") text = text.slice(1);
    this.afterCarriageReturn = text === "" ? false : text.endsWith("\r");
    this.unfinished += text;
    let start = 0;
    // What was searched before holds no line end: a long line in many pieces costs no more than in one.
    LINE_END.lastIndex = this.searched;
    for (let end; (end = LINE_END.exec(this.unfinished)) !== null;) {
      const line = this.unfinished.slice(start, end.index);
      const isPair = end[0] === "\r" && this.unfinished[end.index + 1] === "\n";
      start = end.index + (isPair ? 2 : 1);
      LINE_END.lastIndex = start;
      this.#line(line);
    }
    this.unfinished = this.unfinished.slice(start);
    this.searched = this.unfinished.length;
  }

  #line(line) {
    if (line === "") return this.#endBlock();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (colon === 0) this.on.comment?.(value);
    else if (name === "data") this.data.push(value);
    else if (name === "event") this.type = value;
    else if (name === "id" && !value.includes("\0")) [this.id, this.hasId] = [value, true];
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.on.retry?.(Number(value));
  }

  #endBlock() {
    const { data, type, hasId } = this;
    this.lastEventId = this.id;
    this.#beginBlock();
    if (data.length > 0) this.on.event?.({ type: type || "message", data: data.join("\n"), id: this.lastEventId });
    else if (hasId) this.on.bookmark?.(this.lastEventId);
  }
}

//! Starts what the tests speak to: the hub, the examples, and a relay that can cut connections.
//!
//! Every server listens on a port of its own and is ended by its process id. Nothing here waits by the clock:
//! a server is ready when it prints `listening on …`, and gone when its process is.

import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import readline from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

import { withDeadline } from "./inbox.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const built = process.env.FANFARE_BUILT ?? path.join(root, "target/debug");

const fanfare = process.env.FANFARE_BIN ?? path.join(built, "fanfare");

/** What can be started: a program and its arguments for an address. */
export const PROGRAMS = {
  hub: (address) => [fanfare, ["serve", "--dev", "--listen", address]],
  // As it faces the internet: who starts it says with which keys.
  "hub with keys": (address) => [fanfare, ["serve", "--engine", "memory", "--listen", address]],
  actix: (address) => [path.join(built, "examples/actix"), [address]],
  answers: (address) => [path.join(built, "examples/answers_axum"), [address]],
  axum: (address) => [path.join(built, "examples/axum"), [address]],
  blocking: (address) => [path.join(built, "examples/blocking"), [address]],
  hyper: (address) => [path.join(built, "examples/hyper"), [address]],
  poem: (address) => [path.join(built, "examples/poem"), [address]],
  tower: (address) => [path.join(built, "examples/tower"), [address]],
  room: (address) => [path.join(built, "examples/hub_axum"), [address]],
  rooms: (address) => [path.join(built, "examples/rooms_axum"), [address]],
};

/** What a failed test has left behind would keep a file's process alive for ever. */
const running = new Set();
const relays = new Set();
after(async () => {
  for (const child of running) child.kill("SIGKILL");
  for (const relay of relays) await relay.end();
});
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class Server {
  constructor(program, more) {
    this.program = program;
    this.more = more;
  }

  /** Starts `program` on a free port. Further arguments are the program's own. */
  static async start(program, ...more) {
    const server = new Server(program, more);
    await server.#begin("127.0.0.1:0");
    return server;
  }

  async #begin(address) {
    const [command, args] = PROGRAMS[this.program](address);
    // Streams end at once on SIGTERM, not spread over a window.
    const env = { ...process.env, FANFARE_SHUTDOWN_WINDOW: "0", RUST_LOG: "warn" };
    const child = spawn(command, [...args, ...this.more], { stdio: ["ignore", "pipe", "pipe"], env });
    running.add(child);
    this.child = child;
    this.gone = new Promise((resolve) => {
      child.once("error", resolve);
      child.once("exit", (code, signal) => {
        running.delete(child);
        resolve(signal ?? code);
      });
    });
    let complaints = "";
    child.stderr.on("data", (bytes) => { complaints = (complaints + bytes).slice(-4_000); });
    const ready = new Promise((resolve) => {
      readline.createInterface({ input: child.stdout }).on("line", (line) => {
        const [, base] = /^listening on (https?:\/\/\S+)$/.exec(line) ?? [];
        if (base !== undefined) resolve(base);
      });
    });
    const base = await Promise.race([ready, this.gone.then((how) => { throw new Error(`${command} ended (${how}) before it listened:\n${complaints}`); })]);
    this.base = base;
    this.port = Number(new URL(base).port);
  }

  /** Ends the process, in order (`SIGTERM`) or not (`SIGKILL`), and waits until it is gone. */
  async stop(signal = "SIGKILL") {
    this.child.kill(signal);
    return this.gone;
  }

  /** Starts the same program on the same port again. */
  async again() {
    await this.#begin(`127.0.0.1:${this.port}`);
  }

  /** Publishes to a hub and gives back the id that it answered. `headers` may show a token. */
  async publish(fields, headers = {}) {
    const answer = await fetch(`${this.base}/.well-known/mercure`, { method: "POST", headers, body: new URLSearchParams(fields) });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`${answer.status} ${text}`);
    return text;
  }
}

/** A TCP relay in front of a server: cuts every connection and refuses new ones until told otherwise. */
export class Relay {
  #sockets = new Set();
  /** The clients' ends of connections on which the server has answered. */
  #answered = new Set();
  /** The `Last-Event-ID` of each request that came through it, `undefined` where there was none. */
  lastEventIds = [];
  /** What the server has sent through it, and who waits for something in there. */
  #answers = "";
  #watchers = new Set();
  /** How far the answers go: what is watched for, what has come since, and who waits for it. */
  #hold;

  static async before(server) {
    const relay = new Relay();
    relay.server = server;
    relays.add(relay);
    await relay.#listen(0);
    return relay;
  }

  async #listen(port) {
    this.listener = net.createServer((near) => this.#join(near));
    this.listener.listen(port, "127.0.0.1");
    await once(this.listener, "listening");
    this.port = this.listener.address().port;
    this.base = `http://127.0.0.1:${this.port}`;
  }

  #join(near) {
    const far = net.connect(this.server.port, "127.0.0.1");
    let head = "";
    near.on("data", (bytes) => {
      head += bytes.toString("utf8");
      for (let end; (end = head.indexOf("\r\n\r\n")) >= 0; head = head.slice(end + 4)) {
        if (/^GET /.test(head)) this.lastEventIds.push(/^last-event-id: ?(.*)$/im.exec(head.slice(0, end))?.[1]);
      }
    });
    far.on("data", (bytes) => {
      this.#answers += bytes.toString("utf8");
      this.#answered.add(near);
      for (const watcher of this.#watchers) watcher();
      this.#pass(bytes, far, near);
    });
    far.on("end", () => near.end());
    near.pipe(far);
    for (const [one, other] of [[near, far], [far, near]]) {
      this.#sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        this.#sockets.delete(one);
        this.#answered.delete(one);
        other.destroy();
      });
    }
  }

  #pass(bytes, far, near) {
    if (this.#hold === undefined) return void near.write(bytes);
    // One character for each byte.
    const answer = this.#hold.answer += bytes.toString("latin1");
    const match = this.#hold.pattern.exec(answer);
    if (match === null) return void near.write(bytes);
    const beyond = answer.length - match.index - match[0].length;
    near.write(bytes.subarray(0, bytes.length - beyond));
    far.pause();
    this.#hold.reached();
    this.#hold = undefined;
  }

  /**
   * Lets the next connection on which the server sends something that `pattern` matches go as far as the end of that, and no
   * further. Resolves when it is there.
   */
  holdAfter(pattern) {
    const there = new Promise((reached) => { this.#hold = { pattern, answer: "", reached }; });
    return withDeadline(there, () => `${pattern} was not sent: ${JSON.stringify(this.#answers)}`);
  }

  /** Waits until the server has sent something that `pattern` matches. */
  async passed(pattern) {
    let watcher;
    const there = new Promise((resolve) => {
      watcher = () => { if (pattern.test(this.#answers)) resolve(); };
    });
    this.#watchers.add(watcher);
    watcher();
    await withDeadline(there, () => `${pattern} was not sent: ${JSON.stringify(this.#answers)}`);
    this.#watchers.delete(watcher);
  }

  /** Cuts every connection, by a reset; new ones are refused from now on. */
  async cut() {
    await this.#refuse((socket) => socket.resetAndDestroy());
  }

  /** Like `cut`, but what the server has sent reaches the client before the end of the connection. */
  async part() {
    await this.#refuse((socket) => socket.end());
  }

  /**
   * Like `part`, but the answers, which are in chunks and stand between two of them, end as they would if the server ended them. What
   * came last is known to count then: of an answer that breaks off a browser may throw away what it has not looked at.
   */
  async finish() {
    await this.#refuse((socket) => socket.end(this.#answered.has(socket) ? "0\r\n\r\n" : undefined));
  }

  async #refuse(end) {
    const closed = once(this.listener, "close");
    this.listener.close();
    for (const socket of this.#sockets) end(socket);
    await closed;
  }

  /** Accepts connections again, on the same port. */
  async mend() {
    await this.#listen(this.port);
  }

  async end() {
    if (this.listener.listening) await this.cut();
  }
}

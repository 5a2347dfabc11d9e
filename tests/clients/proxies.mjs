//! Starts nginx and HAProxy in front of a server, each with the few lines of configuration that an event stream needs.
//!
//! Each is one process in the foreground, ended by its process id; whatever it writes lies in a folder of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after } from "node:test";

import { withDeadline } from "./inbox.mjs";

/** HAProxy, with the lines that say how it speaks, and with words about the server. */
const haproxy = (lines, server = "") => ({
  command: "haproxy",
  args: (_, file) => ["-db", "-f", file],
  configuration: (_, port, upstream) => `
      global
        nbthread 1
      defaults
        ${lines.join("\n        ")}
        timeout connect 1m
        timeout client 1m
        timeout server 1m
      frontend clients
        bind 127.0.0.1:${port}
        default_backend hub
      backend hub
        server hub 127.0.0.1:${upstream}${server}
    `,
});

/** nginx, as it speaks to the hub. No word about buffering: the hub's head says `X-Accel-Buffering: no`. */
const nginx = (lines) => ({
  command: "nginx",
  args: (folder, file) => ["-p", folder, "-c", file, "-e", "stderr"],
  configuration: (folder, port, upstream) => `
    daemon off;
    master_process off;
    pid ${folder}/pid;
    error_log stderr;
    events {}
    http {
      access_log off;
      client_body_temp_path ${folder}/body;
      proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi;
      scgi_temp_path ${folder}/scgi;
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://127.0.0.1:${upstream};
          ${lines.join("\n          ")}
        }
      }
    }
  `,
});

/** A proxy's program, its arguments for a file of configuration, and that file. */
const PROXIES = {
  nginx: nginx(["proxy_http_version 1.1;"]),
  // As it speaks unless it is told otherwise.
  "nginx with HTTP/1.0": nginx([]),
  // Without `abortonclose` a client that has left is noticed when keep-alives can no longer be written to it.
  HAProxy: haproxy(["mode http", "option abortonclose"]),
  // Passes connections on without a look inside, and says whose they are.
  "HAProxy with PROXY protocol": haproxy(["mode tcp"], " send-proxy-v2"),
};

/** What a failed test has left behind would keep a file's process alive for ever. */
const running = new Set();
after(() => {
  for (const proxy of running) proxy.child.kill("SIGKILL");
});
process.on("exit", () => {
  for (const proxy of running) proxy.child.kill("SIGKILL");
});

export class Proxy {
  /** Starts `name`, one of those above, on a free port in front of `server`, which may be a relay. */
  static async before(server, name) {
    let complaints = "";
    // Neither proxy can take port 0 and say which it got. What was free a moment ago may be taken by now: then the next.
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const proxy = new Proxy();
      proxy.#begin(PROXIES[name], await freePort(), server.port);
      if (await withDeadline(proxy.#serves(), () => proxy.complaints)) return proxy;
      complaints += proxy.complaints;
    }
    throw new Error(`${name} does not serve:\n${complaints}`);
  }

  #begin({ command, args, configuration }, port, upstream) {
    this.base = `http://127.0.0.1:${port}`;
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), `fanfare-${command}-`));
    const file = path.join(this.folder, "configuration");
    fs.writeFileSync(file, `${configuration(this.folder, port, upstream).replace(/^ {6}/gm, "").trim()}\n`);
    this.complaints = "";
    this.child = spawn(command, args(this.folder, file), { stdio: ["ignore", "ignore", "pipe"] });
    this.child.stderr.on("data", (bytes) => { this.complaints = (this.complaints + bytes).slice(-4_000); });
    running.add(this);
    this.gone = new Promise((resolve) => {
      const end = (how) => {
        this.ended = true;
        running.delete(this);
        fs.rmSync(this.folder, { recursive: true, force: true });
        resolve(how);
      };
      this.child.once("error", end);
      this.child.once("exit", end);
    });
  }

  /** Asks the server through the proxy until it answers, or until the proxy is gone. */
  async #serves() {
    while (!this.ended) {
      const answer = await fetch(`${this.base}/healthz`, { headers: { Connection: "close" } }).catch(() => undefined);
      if ((await answer?.text()) === "ok") return !this.ended;
    }
    return false;
  }

  /** Ends the process, and waits until it is gone. */
  async stop() {
    this.child.kill("SIGKILL");
    await this.gone;
  }
}

async function freePort() {
  const listener = net.createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}

//! Starts nginx, HAProxy and Caddy in front of a server, as the guide says that they are to be configured.
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

const GUIDE = fs.readFileSync(new URL("../../docs/guide/deploy.md", import.meta.url), "utf8");

/** The one block of the guide's page in `language`, between `port` and `upstream` in place of those that stand there. */
function fromGuide(language, listens, here, upstream) {
  const blocks = [...GUIDE.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))];
  if (blocks.length !== 1) throw new Error(`docs/guide/deploy.md has ${blocks.length} blocks of ${language}`);
  return [[listens, here], ["127.0.0.1:3000", `127.0.0.1:${upstream}`]].reduce((block, [was, is]) => {
    if (!block.includes(was)) throw new Error(`docs/guide/deploy.md says nothing of ${was} in:\n${block}`);
    return block.replace(was, is);
  }, blocks[0][1]);
}

/** HAProxy with the guide's configuration, on one thread. */
const haproxy = (edit = (block) => block) => ({
  command: "haproxy",
  args: (_, file) => ["-db", "-f", file],
  configuration: (_, port, upstream) => `
global
  nbthread 1
${edit(fromGuide("haproxy", "bind :80", `bind 127.0.0.1:${port}`, upstream))}`,
});

/** nginx with the guide's server in what a configuration has around it. */
const nginx = (edit = (block) => block) => ({
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
${edit(fromGuide("nginx", "listen 80", `listen 127.0.0.1:${port}`, upstream))}
}`,
});

/** Caddy with the guide's site, without the port that it administers itself by. */
const caddy = {
  command: "caddy",
  args: (_, file) => ["run", "--adapter", "caddyfile", "--config", file],
  configuration: (folder, port, upstream) => `
{
  admin off
  storage file_system ${folder}/storage
}
${fromGuide("caddyfile", "example.com", `http://127.0.0.1:${port}`, upstream)}`,
};

/** A block without a line, or with another one in its place. */
const inPlaceOf = (was, is) => (block) => {
  if (!block.includes(was)) throw new Error(`docs/guide/deploy.md does not say ${was} any more`);
  return block.replace(was, is);
};

/** A proxy's program, its arguments for a file of configuration, and that file. */
const PROXIES = {
  nginx: nginx(),
  // As it speaks unless it is told otherwise.
  "nginx with HTTP/1.0": nginx(inPlaceOf("proxy_http_version 1.1;", "")),
  HAProxy: haproxy(),
  "HAProxy that compresses": haproxy(inPlaceOf("mode http", "mode http\n  compression algo gzip\n  compression type text/event-stream")),
  // Passes connections on without a look inside, and says whose they are.
  "HAProxy with PROXY protocol": haproxy((block) => {
    const passing = inPlaceOf("mode http", "mode tcp")(inPlaceOf("option abortonclose", "")(block));
    return passing.replace(/server app .*/, "$& send-proxy-v2");
  }),
  Caddy: caddy,
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
    // No proxy can take port 0 and say which it got. What was free a moment ago may be taken by now: then the next.
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
    fs.writeFileSync(file, `${configuration(this.folder, port, upstream).trim()}\n`);
    this.complaints = "";
    // Caddy keeps what it has seen in a home.
    const env = { ...process.env, HOME: this.folder, XDG_CONFIG_HOME: this.folder, XDG_DATA_HOME: this.folder };
    this.child = spawn(command, args(this.folder, file), { stdio: ["ignore", "ignore", "pipe"], env });
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
      const answer = await fetch(this.base, { headers: { Connection: "close" } }).catch(() => undefined);
      await answer?.text();
      if (answer?.status < 500) return !this.ended;
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

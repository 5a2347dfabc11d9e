//! Firefox, and its native `EventSource` as a client for the suites.
//!
//! The browser of the system is driven by WebDriver BiDi over the WebSocket that it opens itself, with the few commands that the suites
//! need. Source: https://w3c.github.io/webdriver-bidi/

import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { after, before } from "node:test";

import WebSocket from "ws";

import { Inbox, withDeadline } from "./inbox.mjs";

/** Nothing of its own on the network, and nothing asked of its user. What driving it needs, Firefox sets itself. */
const PREFERENCES = {
  "app.normandy.enabled": false,
  "app.update.auto": false,
  "app.update.disabledForTesting": true,
  "browser.region.network.url": "",
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.getAddons.cache.enabled": false,
  "extensions.update.enabled": false,
  "media.gmp-manager.updateEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  // 127.0.0.1 is never asked of a proxy that the system has.
  "network.proxy.type": 0,
  "services.settings.server": "data:,#none",
  "toolkit.telemetry.enabled": false,
  "toolkit.telemetry.server": "",
};

let browser;

/** Starts one browser before a file's tests and ends it after them. */
export function useFirefox() {
  before(async () => { browser = await Firefox.start(); });
  after(async () => browser?.end());
}

/** Opens the browser's own EventSource on `url`, in a tab of its own: `window.source`. */
export async function open(url, types) {
  const { tab, context, close } = await browser.tabAt(url);
  const inbox = new Inbox();
  browser.heard.set(context, (event) => inbox.push(event));
  await tab.evaluate((received, url, types) => {
    const source = new EventSource(url);
    window.source = source;
    for (const type of types) {
      source.addEventListener(type, (event) => {
        if (type === "close") source.close();
        received({ type: event.type, data: event.data, id: event.lastEventId });
      });
    }
  }, url, types);
  return { inbox, tab, close };
}

class Firefox {
  /** Who hears what the script of a tab says, by the tab. */
  heard = new Map();
  #answers = new Map();
  #commands = 0;

  static async start() {
    const firefox = new Firefox();
    firefox.profile = fs.mkdtempSync(path.join(os.tmpdir(), "fanfare-firefox-"));
    const set = ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`;
    fs.writeFileSync(path.join(firefox.profile, "user.js"), Object.entries(PREFERENCES).map(set).join(""));
    // A home of its own: Firefox leaves crash reports and the like there, and refuses one that is somebody else's. A content process in
    // a container may not build the sandbox that it would.
    const env = { ...process.env, HOME: firefox.profile, MOZ_DISABLE_CONTENT_SANDBOX: "1", MOZ_CRASHREPORTER_DISABLE: "1" };
    const args = ["--headless", "--no-remote", "--remote-debugging-port=0", "--profile", firefox.profile];
    const child = spawn(process.env.FIREFOX ?? "/usr/bin/firefox-esr", args, { stdio: ["ignore", "ignore", "pipe"], env });
    firefox.child = child;
    firefox.gone = new Promise((resolve) => { child.once("exit", resolve); child.once("error", resolve); });
    process.once("exit", () => { child.kill("SIGKILL"); firefox.#forget(); });
    const said = [];
    const listening = new Promise((resolve) => {
      readline.createInterface({ input: child.stderr }).on("line", (line) => {
        said.push(line);
        const [, address] = /WebDriver BiDi listening on (ws:\S+)/.exec(line) ?? [];
        if (address !== undefined) resolve(address);
      });
    });
    const failed = firefox.gone.then((how) => { throw new Error(`Firefox ended (${how}):\n${said.join("\n")}`); });
    const address = await withDeadline(Promise.race([listening, failed]), () => said.join("\n"));
    failed.catch(() => undefined);
    await firefox.#connect(`${address}/session`);
    await firefox.command("session.new", { capabilities: {} });
    await firefox.command("session.subscribe", { events: ["script.message", "network.beforeRequestSent"] });
    return firefox;
  }

  async #connect(address) {
    this.socket = new WebSocket(address);
    this.socket.on("message", (text) => {
      const message = JSON.parse(text);
      if (message.type === "event") return this.#told(message);
      const { resolve, reject } = this.#answers.get(message.id);
      this.#answers.delete(message.id);
      if (message.type === "success") resolve(message.result);
      else reject(new Error(`${message.error}: ${message.message}`));
    });
    await new Promise((resolve, reject) => { this.socket.once("open", resolve); this.socket.once("error", reject); });
  }

  command(method, params) {
    const id = ++this.#commands;
    const answer = new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject }));
    this.socket.send(JSON.stringify({ id, method, params }));
    return withDeadline(answer, () => `Firefox does not answer ${method}`);
  }

  #told({ method, params }) {
    if (method === "script.message") this.heard.get(params.source.context)?.(plain(params.data));
    // Of what was asked to be kept back there is the empty document alone.
    if (method === "network.beforeRequestSent" && params.isBlocked) {
      const headers = [{ name: "Content-Type", value: { type: "string", value: "text/html" } }];
      const body = { type: "string", value: "<!DOCTYPE html><title>empty</title>" };
      void this.command("network.provideResponse", { request: params.request.request, statusCode: 200, reasonPhrase: "OK", headers, body });
    }
  }

  /** Opens an empty document of `url`'s origin, in a tab with storage of its own, so that it needs nobody's leave to read from there. */
  async tabAt(url) {
    const { userContext } = await this.command("browser.createUserContext", {});
    const { context } = await this.command("browsingContext.create", { type: "tab", userContext });
    const { protocol, hostname, port, pathname, href } = new URL("/an-empty-document", url);
    const pattern = { type: "pattern", protocol: protocol.slice(0, -1), hostname, port, pathname };
    const { intercept } = await this.command("network.addIntercept", { phases: ["beforeRequestSent"], urlPatterns: [pattern], contexts: [context] });
    await this.command("browsingContext.navigate", { context, url: href, wait: "complete" });
    await this.command("network.removeIntercept", { intercept });
    const tab = new Tab(this, context);
    return { tab, context, close: () => this.command("browser.removeUserContext", { userContext }) };
  }

  async end() {
    this.socket?.close();
    this.child.kill("SIGTERM");
    await this.gone;
    this.#forget();
  }

  #forget() {
    // Its processes do not end at the same moment, and write until then.
    fs.rmSync(this.profile, { recursive: true, force: true, maxRetries: 10 });
  }
}

class Tab {
  constructor(browser, context) {
    this.browser = browser;
    this.context = context;
  }

  /** Calls a function in the tab. The first thing that it gets is one to call with what is to be `heard`; behind that come plain values. */
  async evaluate(body, ...values) {
    const { type, result, exceptionDetails } = await this.browser.command("script.callFunction", {
      functionDeclaration: `(received, values) => (${body})(received, ...JSON.parse(values))`,
      arguments: [{ type: "channel", value: { channel: "received" } }, { type: "string", value: JSON.stringify(values) }],
      target: { context: this.context },
      awaitPromise: true,
    });
    if (type !== "success") throw new Error(exceptionDetails.text);
    return plain(result);
  }
}

/** A value of the protocol as one of JavaScript: what JSON has, and nothing more. */
function plain({ type, value }) {
  if (type === "object") return Object.fromEntries(value.map(([name, of]) => [name, plain(of)]));
  if (type === "array") return value.map(plain);
  return type === "null" ? null : value;
}

//! Chromium with a token in a cookie, on pages of other origins than the hub's: who may read and publish with it, and who not.
//!
//! All over TLS, as browsers want it of a cookie that other sites may send, with a certificate that is made here. The names below
//! .test are this machine's for the browser alone.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import https from "node:https";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { newTab, subscribe, useChromium } from "./browser.mjs";
import { Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";
import { bearer, bytes, detail, legacy, MODERN, modern } from "./tokens.mjs";

const TOPIC = "https://shop.test/orders/1";
const KEY = "a secret that publishers and subscribers share";

useChromium({
  args: ["--ignore-certificate-errors", "--host-resolver-rules=MAP *.test 127.0.0.1"],
  // Pages of another site may send their cookies, which the browser no longer lets them unless its user says so.
  preferences: { profile: { cookie_controls_mode: 0 } },
});

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "fanfare-cookies-"));
const [certificate, key] = ["certificate.pem", "key.pem"].map((name) => path.join(folder, name));
execFileSync("openssl", [
  "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
  "-subj", "/CN=shop.test", "-addext", "subjectAltName=DNS:*.shop.test,DNS:partner.test,DNS:stranger.test",
  "-out", certificate, "-keyout", key,
], { stdio: "ignore" });

/** The application of every host but the hub: its pages are empty, and set the cookie that their query says. */
const application = https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, (request, answer) => {
  const cookie = new URL(request.url, "https://application.test").searchParams.get("cookie");
  answer.writeHead(200, { "Content-Type": "text/html", ...(cookie === null ? {} : { "Set-Cookie": cookie }) });
  answer.end("<!DOCTYPE html><title>empty</title>");
});
after(() => {
  application.close();
  application.closeAllConnections();
  fs.rmSync(folder, { recursive: true });
});

let shop, partner, stranger;
before(async () => {
  application.listen(0, "127.0.0.1");
  await once(application, "listening");
  const origin = (host) => `https://${host}:${application.address().port}`;
  shop = { name: "of the same site", origin: origin("www.shop.test"), cookie: "Domain=shop.test; SameSite=Strict" };
  partner = { name: "of another site", origin: origin("partner.test"), cookie: "SameSite=None" };
  stranger = { name: "that is not listed", origin: origin("stranger.test"), cookie: "SameSite=None" };
});

/** Starts a hub at https://hub.shop.test which shop and partner may read from, and shop may publish at. */
async function startHub(...more) {
  const lists = ["--cors-origin", shop.origin, "--cors-origin", partner.origin, "--publish-origin", shop.origin];
  const keys = ["--publisher-jwt-key", KEY, "--subscriber-jwt-key", KEY, "--legacy", "on"];
  const hub = await Server.start("hub with keys", "--tls-cert", certificate, "--tls-key", key, ...lists, ...keys, ...MODERN, ...more);
  hub.url = `https://hub.shop.test:${hub.port}${HUB}`;
  return hub;
}

const legacyToken = () => legacy(KEY, { publish: ["*"], subscribe: ["*"] });
const modernToken = () => modern("HS256", bytes(KEY), [detail(["publish", "subscribe"], { match: "*" })]);

/** Opens a page of `from`, whose reader has the cookie. */
async function pageOf(from, token, name = "mercureAuthorization") {
  const { tab, context } = await newTab();
  const cookie = `${name}=${token}; Path=${HUB}; Secure; HttpOnly; ${from.cookie}`;
  // A cookie without a domain is of the host that sets it: the application answers for the hub's host, too, at its own port.
  const setter = from.cookie.startsWith("Domain") ? from.origin : shop.origin.replace("www.", "hub.");
  await tab.goto(`${setter}/?cookie=${encodeURIComponent(cookie)}`);
  await tab.goto(`${from.origin}/`);
  return { tab, context };
}

/** Publishes by `fetch` from the page, and gives back status and text, or that the page was told nothing. */
function publish(tab, url, data, { credentials = "include", ...init } = {}) {
  return tab.evaluate(async ([url, topic, data, init]) => {
    const body = new URLSearchParams({ topic, data, private: "on" });
    try {
      const answer = await fetch(url, { method: "POST", body, ...init });
      return [answer.status, await answer.text()];
    } catch (error) {
      return error.name;
    }
  }, [url, TOPIC, data, { credentials, ...init }]);
}

const opened = (tab) => tab.waitForFunction(() => window.source.readyState === EventSource.OPEN);
const closed = (tab) => tab.waitForFunction(() => window.source.readyState === EventSource.CLOSED);
const streamOf = (hub) => `${hub.url}?topic=${encodeURIComponent(TOPIC)}`;

describe("Chromium with the cookie", () => {
  let hub;
  before(async () => { hub = await startHub(); });
  after(() => hub?.stop());

  for (const [name, token] of [["mercureAuthorization", legacyToken], ["__Secure-mercure_access_token", modernToken]]) {
    test(`a listed page of the same site reads and publishes with ${name}`, PATIENT, async () => {
      const { tab, context } = await pageOf(shop, await token(), name);
      const inbox = await subscribe(tab, streamOf(hub), ["message"], { withCredentials: true });
      await opened(tab);
      const [status, id] = await publish(tab, hub.url, "from the page");
      assert.equal(status, 200);
      assert.deepEqual(await inbox.next(), { type: "message", data: "from the page", id });
      await context.close();
    });
  }

  test("a listed page of another site reads with it, and is told that it may not publish with it", PATIENT, async () => {
    const [reader, writer] = [await pageOf(partner, await legacyToken()), await pageOf(shop, await legacyToken())];
    const inbox = await subscribe(reader.tab, streamOf(hub), ["message"], { withCredentials: true });
    await opened(reader.tab);
    const [status, sentence] = await publish(reader.tab, hub.url, "refused");
    assert.equal(status, 400);
    assert.match(sentence, /A page of this origin may not publish with a cookie/);
    const [, id] = await publish(writer.tab, hub.url, "for partners");
    assert.deepEqual(await inbox.next(), { type: "message", data: "for partners", id });
    for (const { context } of [reader, writer]) await context.close();
  });

  test("a page that is not listed reads nothing with it, nor hears why, and gets nothing published", PATIENT, async () => {
    const [foreign, own] = [await pageOf(stranger, await legacyToken()), await pageOf(shop, await legacyToken())];
    const inbox = await subscribe(own.tab, streamOf(hub), ["message"], { withCredentials: true });
    await opened(own.tab);
    const stolen = await subscribe(foreign.tab, streamOf(hub), ["message"], { withCredentials: true });
    await closed(foreign.tab);
    assert.equal(await publish(foreign.tab, hub.url, "forged by fetch"), "TypeError");
    // The browser sends that and shows nobody the answer.
    assert.deepEqual(await publish(foreign.tab, hub.url, "forged unseen", { mode: "no-cors" }), [0, ""]);
    // Nor does a form ask anybody for leave. Whoever sent it sees the refusal.
    const [answer] = await Promise.all([
      foreign.tab.waitForResponse((answer) => answer.url() === hub.url),
      foreign.tab.evaluate(([url, topic]) => {
        const form = Object.assign(document.createElement("form"), { method: "post", action: url });
        for (const [name, value] of [["topic", topic], ["data", "forged by a form"]]) form.append(Object.assign(document.createElement("input"), { name, value }));
        document.body.append(form);
        form.submit();
      }, [hub.url, TOPIC]),
    ]);
    assert.equal(answer.status(), 400);
    assert.match(await answer.request().headerValue("cookie"), /mercureAuthorization=ey/);
    const [, id] = await publish(own.tab, hub.url, "the only one");
    assert.deepEqual(await inbox.next(), { type: "message", data: "the only one", id });
    assert.deepEqual(stolen.all, []);
    for (const { context } of [foreign, own]) await context.close();
  });

  test("a request that leaves the cookie at home is refused, and the page may read so", PATIENT, async () => {
    const { tab, context } = await pageOf(shop, await legacyToken());
    await subscribe(tab, streamOf(hub), ["message"]);
    await closed(tab);
    const [status, , challenge] = await tab.evaluate(async (url) => {
      const answer = await fetch(url);
      return [answer.status, await answer.text(), answer.headers.get("WWW-Authenticate")];
    }, streamOf(hub));
    assert.equal(status, 401);
    assert.match(challenge, /^Bearer /);
    await context.close();
  });

  test("a token in the header takes a page as far as the list does, and needs no leave to publish", PATIENT, async () => {
    const token = await legacyToken();
    for (const { origin, expected } of [{ ...partner, expected: 200 }, { ...stranger, expected: "TypeError" }]) {
      const { tab, context } = await newTab();
      await tab.goto(`${origin}/`);
      const answer = await publish(tab, hub.url, "by header", { credentials: "omit", headers: bearer(token) });
      assert.equal(Array.isArray(answer) ? answer[0] : answer, expected);
      await context.close();
    }
  });

  test("a page reads where its stream begins, and what else the hub says in headers", PATIENT, async () => {
    const { tab, context } = await pageOf(partner, await legacyToken());
    const said = await tab.evaluate(async (url) => {
      const answer = await fetch(url, { credentials: "include", headers: { "Last-Event-ID": "earliest" } });
      await answer.body.cancel();
      return ["Mercure-Last-Event-ID", "Last-Event-ID"].map((name) => answer.headers.get(name));
    }, streamOf(hub));
    assert.deepEqual(said, ["earliest", "earliest"]);
    await context.close();
  });
});

test("where every page may read, none may with the cookie", PATIENT, async () => {
  const hub = await Server.start(
    "hub with keys", "--tls-cert", certificate, "--tls-key", key, "--cors-origin", "*", "--anonymous",
    "--publisher-jwt-key", KEY, "--subscriber-jwt-key", KEY,
  );
  hub.url = `https://hub.shop.test:${hub.port}${HUB}`;
  const { tab, context } = await pageOf(stranger, await legacyToken());
  await subscribe(tab, streamOf(hub), ["message"], { withCredentials: true });
  await closed(tab);
  await tab.evaluate((url) => { window.source = new EventSource(url); }, streamOf(hub));
  await opened(tab);
  await context.close();
  await hub.stop();
});

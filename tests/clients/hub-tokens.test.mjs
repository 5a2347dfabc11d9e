//! Tokens that npm `jose` makes, shown to the running hub for publishing and for subscribing: which it takes, and which not.
//!
//! What a token says, and why one is refused, `jose.test.mjs` asks `fanfare token` about.

import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";

import * as jose from "jose";

import { opened } from "./node-eventsource.mjs";
import { Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";
import { ALGORITHMS, AUDIENCE, bearer, bytes, detail, forged, ISSUER, keyOf, KEYS, legacy, MODERN, modern, now, pem, PUBLISHERS_KEY, SECRETS, SUBSCRIBERS_KEY } from "./tokens.mjs";

const TOPIC = "https://shop.test/orders/1";
const ALL = [detail(["publish", "subscribe"], { match: "*" })];
const COOKIE = "__Secure-mercure_access_token";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "fanfare-tokens-"));
after(() => fs.rmSync(folder, { recursive: true }));

/** The same key for both roles. */
const bothRoles = (given, alg) => ["publisher", "subscriber"].flatMap((role) => [`--${role}-jwt-key`, given, `--${role}-jwt-alg`, alg]);

const streamed = (hub) => `${hub.base}${HUB}?match=${encodeURIComponent(TOPIC)}`;

/** Reads something private with one token that was published with another. */
async function taken(hub, publishers, subscribers = publishers) {
  const { inbox, close } = await opened(streamed(hub), ["message"], () => bearer(subscribers));
  const id = await hub.publish({ topic: TOPIC, data: "private", private: "on" }, bearer(publishers));
  assert.deepEqual(await inbox.next(), { type: "message", data: "private", id });
  close();
}

/** What the hub answers who publishes and who subscribes with `headers`: a status and the error in its challenge, for each. */
async function answers(hub, headers) {
  const asked = [
    fetch(hub.base + HUB, { method: "POST", headers, body: new URLSearchParams({ topic: TOPIC, data: "refused", private: "on" }) }),
    fetch(streamed(hub), { headers }),
  ];
  return Promise.all(asked.map(async (asked) => {
    const answer = await asked;
    await answer.body.cancel();
    return [answer.status, /error="(\w+)"/.exec(answer.headers.get("www-authenticate"))?.[1]];
  }));
}

const INVALID = [401, "invalid_token"];

/** Neither in the header nor in the cookie does it open anything. */
async function refused(hub, token, cookie = COOKIE) {
  assert.deepEqual(await answers(hub, bearer(token)), [INVALID, INVALID]);
  assert.deepEqual(await answers(hub, { Cookie: `${cookie}=${token}`, Origin: hub.base }), [INVALID, INVALID]);
}

describe("the hub and tokens of npm jose", () => {
  for (const alg of Object.keys(ALGORITHMS)) {
    test(`publishing and subscribing with ${alg}, modern and legacy`, PATIENT, async () => {
      const { key, given } = await keyOf(alg);
      const hub = await Server.start("hub with keys", "--legacy", "on", ...MODERN, ...bothRoles(given, alg));
      const tokens = [await modern(alg, key, ALL), await legacy(key, { publish: ["*"], subscribe: ["https://shop.test/orders/{id}"] }, {}, alg)];
      for (const token of tokens) {
        await taken(hub, token);
        await refused(hub, forged(token));
      }
      await taken(hub, ...tokens);
      await hub.stop();
    });
  }

  test("each key of a set in a file is taken with its algorithms", PATIENT, async () => {
    const hub = await Server.start("hub with keys", ...MODERN, "--jwks-url", `file://${KEYS}set.json`);
    for (const [alg, name] of Object.entries(ALGORITHMS)) {
      if (name === null) continue;
      const { key } = await keyOf(alg);
      await taken(hub, await modern(alg, key, ALL, { header: { kid: name } }));
      await refused(hub, await modern(alg, key, ALL, { header: { kid: name === "rsa" ? "p256" : "rsa" } }));
    }
    await hub.stop();
  });

  for (const where of ["in a file", "at a URL"]) {
    test(`a key that is exchanged in a set ${where} counts from the first token on, and the one before no longer`, PATIENT, async () => {
      const [first, second] = [await made("first"), await made("second")];
      const set = where === "in a file" ? setInFile() : await setAtUrl();
      set.holds(first);
      const hub = await Server.start("hub with keys", ...MODERN, "--jwks-internal", "--jwks-url", set.url);
      await taken(hub, await first.sign());
      await refused(hub, await second.sign());
      // That token named a key that was not there, which the hub looks for once in a while. A hub that has not looked yet:
      await hub.stop();
      await hub.again();
      const { inbox, close } = await opened(streamed(hub), ["message"], () => bearer(first.token));
      set.holds(second);
      await taken(hub, await second.sign());
      await refused(hub, await first.sign());
      // Streams that were opened before end when their tokens do, not when a key is exchanged.
      const id = await hub.publish({ topic: TOPIC, data: "still here" }, bearer(await second.sign()));
      while ((await inbox.next()).id !== id);
      close();
      await hub.stop();
      set.stop?.();
    });
  }

  test("each issuer answers for itself alone", PATIENT, async () => {
    const [shop, bank] = [await made("shop"), await made("bank")];
    const issuers = [[ISSUER, shop], ["https://bank.test", bank]].map(([id, { jwk }]) => {
      const file = path.join(folder, `${jwk.kid}.json`);
      fs.writeFileSync(file, JSON.stringify({ keys: [jwk] }));
      return `[[issuer]]\nid = "${id}"\njwks-url = "${pathToFileURL(file)}"\n`;
    });
    const file = path.join(folder, "fanfare.toml");
    fs.writeFileSync(file, `resource-identifier = "${AUDIENCE}"\n${issuers.join("")}`);
    const hub = await Server.start("hub with keys", "--config", file);
    const ofTheBank = { iss: "https://bank.test" };
    await taken(hub, await shop.sign(), await bank.sign(ofTheBank));
    await taken(hub, await bank.sign(ofTheBank), await shop.sign());
    await refused(hub, await bank.sign());
    await refused(hub, await shop.sign(ofTheBank));
    await hub.stop();
  });
});

/** A new key pair by this id: its public half as it stands in a set, and tokens that are signed with the other half. */
async function made(kid) {
  const { publicKey, privateKey } = await jose.generateKeyPair("ES256");
  const jwk = { ...(await jose.exportJWK(publicKey)), kid, alg: "ES256", use: "sig" };
  const sign = (claims) => modern("ES256", privateKey, ALL, { header: { kid }, claims });
  return { jwk, sign, token: await sign() };
}

function setInFile() {
  const file = path.join(folder, "rotated.json");
  return {
    url: pathToFileURL(file).href,
    holds({ jwk }) {
      // In one step, as whoever mounts such a file does it.
      fs.writeFileSync(`${file}.new`, JSON.stringify({ keys: [jwk] }));
      fs.renameSync(`${file}.new`, file);
    },
  };
}

async function setAtUrl() {
  let keys;
  const server = http.createServer((_, answer) => {
    answer.writeHead(200, { "Content-Type": "application/jwk-set+json", "Cache-Control": "max-age=600" }).end(JSON.stringify({ keys }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}/jwks.json`,
    holds({ jwk }) { keys = [jwk]; },
    stop() { server.close(); server.closeAllConnections(); },
  };
}

describe("hostile tokens, against the hub with a public key", () => {
  const ALG = "RS256";
  let hub, key, stranger;
  before(async () => {
    hub = await Server.start("hub with keys", ...MODERN, ...bothRoles(`@${KEYS}rsa.pub.pem`, ALG));
    ({ key } = await keyOf(ALG));
    stranger = await jose.generateKeyPair(ALG, { extractable: true });
  });
  after(() => hub?.stop());

  const part = (json) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const honest = () => modern(ALG, key, ALL);
  const withClaims = (claims) => modern(ALG, key, ALL, { claims });
  const withHmac = (secret) => modern("HS256", secret, ALL);

  const HOSTILE = {
    "is signed with nothing": async () => `${part({ alg: "none", typ: "at+jwt" })}.${(await honest()).split(".")[1]}.`,
    "says NONE, and keeps a signature": async () => [part({ alg: "NONE", typ: "at+jwt" }), ...(await honest()).split(".").slice(1)].join("."),
    "is jose's own unsecured one": () => new jose.UnsecuredJWT({ iss: ISSUER, aud: AUDIENCE, exp: now() + 600, authorization_details: ALL }).encode(),
    "is signed by HMAC with the text of the public key": () => withHmac(bytes(pem("rsa", ".pub"))),
    "is signed by HMAC with that text but for the end of its last line": () => withHmac(bytes(pem("rsa", ".pub").trimEnd())),
    "is signed by HMAC with the bytes of the public key": () => withHmac(Buffer.from(pem("rsa", ".pub").replace(/-----.*?-----|\s/g, ""), "base64")),
    "is signed by the right key in another way": async () => modern("PS256", (await keyOf("PS256")).key, ALL),
    "is signed by somebody else": () => modern(ALG, stranger.privateKey, ALL),
    "brings its own key": async () => modern(ALG, stranger.privateKey, ALL, { header: { jwk: await jose.exportJWK(stranger.publicKey) } }),
    "says something else than what was signed": async () => {
      const [header, , signature] = (await honest()).split(".");
      return [header, part({ iss: ISSUER, aud: AUDIENCE, exp: now() + 6_000, authorization_details: ALL }), signature].join(".");
    },
    "is of another type": () => modern(ALG, key, ALL, { header: { typ: "JWT" } }),
    "is of no type": () => modern(ALG, key, ALL, { header: { typ: undefined } }),
    "is for another hub": () => withClaims({ aud: "https://other.test/.well-known/mercure" }),
    "is for a hub whose name begins like this one's": () => withClaims({ aud: `${AUDIENCE}/` }),
    "is for no hub": () => withClaims({ aud: undefined }),
    "is of another issuer": () => withClaims({ iss: "https://other.test" }),
    "is of an issuer whose name begins like the one's": () => withClaims({ iss: `${ISSUER}/` }),
    "is of no issuer": () => withClaims({ iss: undefined }),
    "expired a second ago": () => withClaims({ exp: now() - 1 }),
    "expires never": () => withClaims({ exp: undefined }),
    "does not hold yet": () => withClaims({ nbf: now() + 300 }),
    "has a claim of before 1.0, which is not served here": () => legacy(key, { publish: ["*"], subscribe: ["*"] }, { exp: now() + 600 }, ALG),
    "is one of before 1.0 in all but the signature's type": () => modern(ALG, key, undefined, { claims: { mercure: { publish: ["*"], subscribe: ["*"] }, aud: undefined } }),
  };
  for (const [what, make] of Object.entries(HOSTILE)) {
    test(`one that ${what} is refused`, PATIENT, async () => refused(hub, await make()));
  }

  test("one that brings the address of its own key is refused, and nobody asks there", PATIENT, async (t) => {
    const asked = [];
    const server = http.createServer((request, answer) => { asked.push(request.url); answer.end("{}"); });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => { server.close(); server.closeAllConnections(); });
    const jku = `http://127.0.0.1:${server.address().port}/jwks.json`;
    await refused(hub, await modern(ALG, stranger.privateKey, ALL, { header: { jku, x5u: jku, kid: jku } }));
    assert.deepEqual(asked, []);
  });

  test("and the honest one, which each of them was made from, is taken", PATIENT, async () => taken(hub, await honest()));

  test("one that grants another topic is told so, and reads nothing private", PATIENT, async () => {
    const elsewhere = await modern(ALG, key, [detail(["publish", "subscribe"], { match: "https://shop.test/orders/2" })]);
    const { inbox, close } = await opened(streamed(hub), ["message"], () => bearer(elsewhere));
    const [[status, error]] = await answers(hub, bearer(elsewhere));
    assert.deepEqual([status, error], [403, "insufficient_scope"]);
    await hub.publish({ topic: TOPIC, data: "private", private: "on" }, bearer(await honest()));
    const id = await hub.publish({ topic: TOPIC, data: "public" }, bearer(await honest()));
    assert.deepEqual(await inbox.next(), { type: "message", data: "public", id });
    close();
  });
});

describe("hostile tokens, against the hub with two secrets of before 1.0", () => {
  const GRANTS = { publish: ["*"], subscribe: ["*"] };
  const OLDER_COOKIE = "mercureAuthorization";
  let hub;
  before(async () => {
    hub = await Server.start("hub with keys", ...SECRETS);
  });
  after(() => hub?.stop());

  const HOSTILE = {
    "is signed with nothing": () => new jose.UnsecuredJWT({ mercure: GRANTS }).encode(),
    "is signed with another secret": () => legacy("a secret that nobody was told about yet", GRANTS),
    "is signed with the right secret in another way": () => legacy(PUBLISHERS_KEY, GRANTS, {}, "HS512"),
    "expired a second ago": () => legacy(PUBLISHERS_KEY, GRANTS, { exp: now() - 1 }),
    "does not hold yet": () => legacy(PUBLISHERS_KEY, GRANTS, { nbf: now() + 300 }),
  };
  for (const [what, make] of Object.entries(HOSTILE)) {
    test(`one that ${what} is refused`, PATIENT, async () => refused(hub, await make(), OLDER_COOKIE));
  }

  test("one of the other role is refused", PATIENT, async () => {
    const [publishers, subscribers] = [await legacy(PUBLISHERS_KEY, GRANTS), await legacy(SUBSCRIBERS_KEY, GRANTS)];
    await taken(hub, publishers, subscribers);
    assert.deepEqual((await answers(hub, bearer(subscribers)))[0], INVALID);
    assert.deepEqual((await answers(hub, bearer(publishers)))[1], INVALID);
  });
});

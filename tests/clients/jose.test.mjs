//! npm `jose`: tokens that it makes are taken, and ours are taken by it, with each algorithm.
//!
//! Both directions, because one library that makes and checks agrees with itself also where it is wrong. No hub is asked.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import * as jose from "jose";

const PROGRAM = `${process.env.FANFARE_BUILT}/fanfare`;
const KEYS = fileURLToPath(new URL("../../crates/http/tests/token/keys/", import.meta.url));
const SECRET = "a secret that is as long as HS512 asks for, which is sixty-four bytes";
const ISSUER = "https://shop.test";
const AUDIENCE = "https://push.test/.well-known/mercure";

/** The keys of each algorithm; a secret is its own other half. */
const ALGORITHMS = {
  HS256: null,
  HS384: null,
  HS512: null,
  RS256: "rsa",
  RS384: "rsa",
  RS512: "rsa",
  PS256: "rsa",
  PS384: "rsa",
  PS512: "rsa",
  ES256: "p256",
  ES384: "p384",
  EdDSA: "ed25519",
  Ed25519: "ed25519",
};

function fanfare(...argv) {
  const { status, stdout, stderr } = spawnSync(PROGRAM, ["token", ...argv], { encoding: "utf8" });
  assert.equal(stderr, "");
  return { status, stdout };
}

function explain(token, ...argv) {
  return fanfare("explain", "--trusted-issuers", ISSUER, "--resource-identifier", AUDIENCE, ...argv, token);
}

async function made(alg, key, kid) {
  const detail = {
    type: "https://mercure.rocks/authorization-detail",
    actions: ["publish"],
    topics: [{ match: "https://shop.test/orders/:id", match_type: "urlpattern" }],
  };
  return new jose.SignJWT({ authorization_details: [detail] })
    .setProtectedHeader({ alg, kid, typ: "at+jwt" })
    .setIssuer(ISSUER)
    .setAudience(["https://other.test", AUDIENCE])
    .setExpirationTime("10m")
    .sign(key);
}

describe("npm jose", () => {
  for (const [alg, name] of Object.entries(ALGORITHMS)) {
    const pem = (half) => readFileSync(`${KEYS}${name}${half}.pem`, "utf8");

    test(`a token of jose with ${alg} is taken`, async () => {
      const key = name ? await jose.importPKCS8(pem(""), alg) : new TextEncoder().encode(SECRET);
      const given = name ? `@${KEYS}${name}.pub.pem` : SECRET;
      const token = await made(alg, key);
      const { status, stdout } = explain(token, "--publisher-jwt-key", given, "--publisher-jwt-alg", alg);
      assert.match(stdout, /urlpattern https:\/\/shop\.test\/orders\/:id/);
      assert.match(stdout, /As publisher: accepted\./);
      assert.equal(status, 0);
      const forged = token.slice(0, -8) + (token.at(-8) === "A" ? "B" : "A") + token.slice(-7);
      assert.equal(explain(forged, "--publisher-jwt-key", given, "--publisher-jwt-alg", alg).status, 1);
    });

    test(`a token of ours with ${alg} is taken by jose`, async () => {
      const key = name ? await jose.importSPKI(pem(".pub"), alg) : new TextEncoder().encode(SECRET);
      const given = name ? `@${KEYS}${name}.pem` : SECRET;
      const signing = ["--key", given, "--algorithm", alg, "--issuer", ISSUER, "--audience", AUDIENCE];
      const { stdout } = fanfare("mint", ...signing, "--subscribe", "*", "--subject", "me");
      const expected = { issuer: ISSUER, audience: AUDIENCE, subject: "me", typ: "at+jwt", maxTokenAge: "1m" };
      const { payload } = await jose.jwtVerify(stdout.trim(), key, expected);
      assert.deepEqual(payload.authorization_details[0].topics, [{ match: "*" }]);
    });

    if (!name) continue;

    test(`a token of jose with ${alg} is taken with a key set, whose kid it names`, async () => {
      const key = await jose.importPKCS8(pem(""), alg);
      const set = ["--jwks-url", `file://${KEYS}set.json`];
      assert.equal(explain(await made(alg, key, name), ...set).status, 0);
      const { status, stdout } = explain(await made(alg, key, "another"), ...set);
      assert.match(stdout, /As publisher: refused; the issuer's keys include none with the token's "kid"\./);
      assert.equal(status, 1);
    });
  }
});

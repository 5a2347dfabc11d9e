//! npm `jose`: tokens that it makes are taken, and ours are taken by it, with each algorithm.
//!
//! Both directions, because one library that makes and checks agrees with itself also where it is wrong. No hub is asked.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";

import * as jose from "jose";

import { ALGORITHMS, AUDIENCE, bytes, detail, forged, ISSUER, keyOf, KEYS, modern, pem, SECRET } from "./tokens.mjs";

const PROGRAM = `${process.env.FANFARE_BUILT}/fanfare`;

function fanfare(...argv) {
  const { status, stdout, stderr } = spawnSync(PROGRAM, ["token", ...argv], { encoding: "utf8" });
  assert.equal(stderr, "");
  return { status, stdout };
}

function explain(token, ...argv) {
  return fanfare("explain", "--trusted-issuers", ISSUER, "--resource-identifier", AUDIENCE, ...argv, token);
}

function made(alg, key, kid) {
  const orders = { match: "https://shop.test/orders/:id", match_type: "urlpattern" };
  return modern(alg, key, [detail(["publish"], orders)], { header: { kid } });
}

describe("npm jose", () => {
  for (const [alg, name] of Object.entries(ALGORITHMS)) {
    test(`a token of jose with ${alg} is taken`, async () => {
      const { key, given } = await keyOf(alg);
      const token = await made(alg, key);
      const { status, stdout } = explain(token, "--publisher-jwt-key", given, "--publisher-jwt-alg", alg);
      assert.match(stdout, /urlpattern https:\/\/shop\.test\/orders\/:id/);
      assert.match(stdout, /As publisher: accepted\./);
      assert.equal(status, 0);
      assert.equal(explain(forged(token), "--publisher-jwt-key", given, "--publisher-jwt-alg", alg).status, 1);
    });

    test(`a token of ours with ${alg} is taken by jose`, async () => {
      const key = name ? await jose.importSPKI(pem(name, ".pub"), alg) : bytes(SECRET);
      const given = name ? `@${KEYS}${name}.pem` : SECRET;
      const signing = ["--key", given, "--algorithm", alg, "--issuer", ISSUER, "--audience", AUDIENCE];
      const { stdout } = fanfare("mint", ...signing, "--subscribe", "*", "--subject", "me");
      const expected = { issuer: ISSUER, audience: AUDIENCE, subject: "me", typ: "at+jwt", maxTokenAge: "1m" };
      const { payload } = await jose.jwtVerify(stdout.trim(), key, expected);
      assert.deepEqual(payload.authorization_details[0].topics, [{ match: "*" }]);
    });

    if (!name) continue;

    test(`a token of jose with ${alg} is taken with a key set, whose kid it names`, async () => {
      const { key } = await keyOf(alg);
      const set = ["--jwks-url", `file://${KEYS}set.json`];
      assert.equal(explain(await made(alg, key, name), ...set).status, 0);
      const { status, stdout } = explain(await made(alg, key, "another"), ...set);
      assert.match(stdout, /As publisher: refused; the issuer's keys include none with the token's "kid"\./);
      assert.equal(status, 1);
    });
  }
});

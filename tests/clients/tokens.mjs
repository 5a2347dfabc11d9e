//! Tokens as others make them: with npm `jose`, modern ones and those of before Mercure 1.0, and the keys that they are signed with.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import * as jose from "jose";

/** The test keys of the crate `http`. */
export const KEYS = fileURLToPath(new URL("../../crates/http/tests/token/keys/", import.meta.url));

/** Where publishers and subscribers have a secret each, as the reference hub asks for them. */
export const PUBLISHERS_KEY = "a secret that is for publishers alone";
export const SUBSCRIBERS_KEY = "a secret that is for subscribers alone";
export const SECRETS = ["--publisher-jwt-key", PUBLISHERS_KEY, "--subscriber-jwt-key", SUBSCRIBERS_KEY];

/** Who makes the modern tokens, and for which hub. */
export const ISSUER = "https://shop.test";
export const AUDIENCE = "https://push.test/.well-known/mercure";

/** The same for the hub. */
export const MODERN = ["--trusted-issuers", ISSUER, "--resource-identifier", AUDIENCE];

/** The keys of each algorithm; a secret is its own other half. */
export const ALGORITHMS = {
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
export const SECRET = "a secret that is as long as HS512 asks for, which is sixty-four bytes";

/** The text of a key in PEM; `half` is `.pub` for its public half. */
export const pem = (name, half = "") => readFileSync(`${KEYS}${name}${half}.pem`, "utf8");

/** What to sign with under `alg`, and how the hub is given what it checks with. */
export async function keyOf(alg) {
  const name = ALGORITHMS[alg];
  if (name === null) return { key: bytes(SECRET), given: SECRET };
  return { key: await jose.importPKCS8(pem(name), alg), given: `@${KEYS}${name}.pub.pem` };
}

export const bytes = (secret) => new TextEncoder().encode(secret);

/** An authorization detail: what may be done with which topics. */
export const detail = (actions, ...topics) => ({ type: "https://mercure.rocks/authorization-detail", actions, topics });

/** A modern token. `header` and `claims` say what is different about it. */
export function modern(alg, key, details, { header = {}, claims = {} } = {}) {
  const said = { iss: ISSUER, aud: ["https://other.test", AUDIENCE], exp: now() + 600, authorization_details: details, ...claims };
  return new jose.SignJWT(said).setProtectedHeader({ alg, typ: "at+jwt", ...header }).sign(key);
}

export const now = () => Math.floor(Date.now() / 1000);

/** A token of before 1.0: a claim `mercure`, and nothing else that has to be there. */
export function legacy(key, mercure, claims = {}, alg = "HS256") {
  const signing = typeof key === "string" ? bytes(key) : key;
  return new jose.SignJWT({ ...claims, mercure }).setProtectedHeader({ alg, typ: "JWT" }).sign(signing);
}

/** The same token with another signature. */
export const forged = (token) => token.slice(0, -8) + (token.at(-8) === "A" ? "B" : "A") + token.slice(-7);

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });

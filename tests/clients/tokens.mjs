//! Tokens as others make them: with npm `jose`, modern ones and those of before Mercure 1.0, and the keys that they are signed with.

import { fileURLToPath } from "node:url";

import * as jose from "jose";

/** The test keys of the crate `http`. */
export const KEYS = fileURLToPath(new URL("../../crates/http/tests/token/keys/", import.meta.url));

/** Where publishers and subscribers have a secret each, as the reference hub asks for them. */
export const PUBLISHERS_KEY = "a secret that is for publishers alone";
export const SUBSCRIBERS_KEY = "a secret that is for subscribers alone";
export const SECRETS = ["--publisher-jwt-key", PUBLISHERS_KEY, "--subscriber-jwt-key", SUBSCRIBERS_KEY];

export const bytes = (secret) => new TextEncoder().encode(secret);

/** A token of before 1.0: a claim `mercure`, and nothing else that has to be there. */
export function legacy(secret, mercure, claims = {}) {
  return new jose.SignJWT({ ...claims, mercure }).setProtectedHeader({ alg: "HS256", typ: "JWT" }).sign(bytes(secret));
}

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });

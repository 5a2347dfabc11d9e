//! npm `eventsource` with a token, which its option `fetch` lets it show in a header or in a cookie: what it reads, how it is
//! refused, and what happens when the token ends.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { withDeadline } from "./inbox.mjs";
import { open, opened } from "./node-eventsource.mjs";
import { Relay, Server } from "./servers.mjs";
import { HUB, PATIENT } from "./suite.mjs";
import { bearer, bytes, detail, legacy, MODERN, modern, now, PUBLISHERS_KEY, SECRETS, SUBSCRIBERS_KEY } from "./tokens.mjs";

const ORDER = "https://shop.test/orders/1";
const OTHER = "https://shop.test/orders/2";
const COOKIES = { modern: "__Secure-mercure_access_token", legacy: "mercureAuthorization" };

/** A token for reading `topics`, of each kind. */
const MADE = {
  modern: (topics, claims) => modern("HS256", bytes(SUBSCRIBERS_KEY), [detail(["subscribe"], ...topics.map((match) => ({ match })))], { claims }),
  legacy: (topics, claims) => legacy(SUBSCRIBERS_KEY, { subscribe: topics }, claims),
};

/** When a token ends that is to end while the test goes on, and not before it has begun. */
const soon = () => Date.now() / 1_000 + 4;

const streamAt = (base, ...topics) => `${base}${HUB}?${new URLSearchParams(topics.map((topic) => ["match", topic]))}`;

/** A new token, when the stream of the one before has ended. */
async function renewed(source, make) {
  const ending = failed(source);
  const token = await make();
  assert.equal((await ending).closed, false);
  return token;
}

/** The next error of a source, and what has become of it then. */
function failed(source) {
  const failure = new Promise((resolve) => {
    source.addEventListener("error", ({ code, message }) => resolve({ code, message, closed: source.readyState === source.CLOSED }), { once: true });
  });
  return withDeadline(failure, () => "no error came");
}

describe("npm eventsource with a token", () => {
  let hub, publisher;
  const publish = (fields) => hub.publish(fields, publisher);
  before(async () => {
    hub = await Server.start("hub with keys", "--legacy", "on", ...SECRETS, ...MODERN);
    publisher = bearer(await legacy(PUBLISHERS_KEY, { publish: ["*"] }));
  });
  after(() => hub?.stop());

  for (const kind of ["modern", "legacy"]) {
    const make = MADE[kind];
    const carriages = {
      "in the header": (token) => [bearer(token), ""],
      "in its cookie": (token) => [{ Cookie: `theme=dark; ${COOKIES[kind]}=${token}` }, ""],
      ...(kind === "legacy" && { "in the URL": (token) => [{}, `&authorization=${token}`] }),
    };
    for (const [where, carry] of Object.entries(carriages)) {
      test(`a ${kind} one ${where} reads what it grants, and of the rest what is public`, PATIENT, async () => {
        const [headers, query] = carry(await make([ORDER]));
        const { inbox, close } = await opened(streamAt(hub.base, ORDER, OTHER) + query, ["message"], () => headers);
        const expected = [];
        for (const [topic, visibility] of [[OTHER, "private"], [OTHER, "public"], [ORDER, "private"], [ORDER, "public"]]) {
          const id = await publish({ topic, data: visibility, ...(visibility === "private" && { private: "on" }) });
          if (topic === ORDER || visibility === "public") expected.push({ type: "message", data: visibility, id });
        }
        assert.deepEqual(await inbox.take(3), expected);
        close();
      });

      test(`a ${kind} one ${where} that does not hold is refused for good`, PATIENT, async () => {
        const relay = await Relay.before(hub);
        for (const token of [await make([ORDER], { exp: now() - 1 }), (await make([ORDER])) + "A"]) {
          const [headers, query] = carry(token);
          const { source } = await open(streamAt(relay.base, ORDER) + query, [], () => headers);
          assert.deepEqual(await failed(source), { code: 401, message: "Non-200 status code (401)", closed: true });
        }
        assert.equal(relay.lastEventIds.length, 2);
        await relay.end();
      });
    }
  }

  test("without one, or with one in another cookie, nobody reads; and a bad one in the header is not mended by a good one in the cookie", PATIENT, async () => {
    const cookie = { Cookie: `${COOKIES.legacy}=${await MADE.legacy([ORDER])}` };
    const bad = bearer(await MADE.legacy([ORDER], { exp: now() - 1 }));
    const elsewhere = { Cookie: cookie.Cookie.replace(COOKIES.legacy, "mercure") };
    for (const headers of [{}, elsewhere, { ...cookie, ...bad }]) {
      const { source } = await open(streamAt(hub.base, ORDER), [], () => headers);
      assert.equal((await failed(source)).code, 401);
    }
    const { close } = await opened(streamAt(hub.base, ORDER), [], () => cookie);
    close();
  });

  // Together, for the hub has them come back after some seconds of its choice; so each has topics of its own.
  describe("that ends while it reads", { concurrency: true }, () => {
    for (const [kind, make] of Object.entries(MADE)) {
      test(`a ${kind} one: the stream ends, and goes on with a new one where it was`, PATIENT, async () => {
        const [kept, lost] = ["kept", "lost"].map((name) => `https://shop.test/${kind}/${name}`);
        const relay = await Relay.before(hub);
        let token = await make(["*"], { exp: soon() });
        const { inbox, source, close } = await opened(streamAt(relay.base, kept, lost), ["message"], () => bearer(token));
        const before = await publish({ topic: lost, data: "while it holds", private: "on" });
        assert.deepEqual(await inbox.next(), { type: "message", data: "while it holds", id: before });
        token = await renewed(source, () => make([kept]));
        // While it is away: what it reads when it is back, the new token says.
        await publish({ topic: lost, data: "no longer granted", private: "on" });
        const id = await publish({ topic: kept, data: "for who is back", private: "on" });
        assert.deepEqual(await inbox.next(), { type: "message", data: "for who is back", id });
        assert.deepEqual(relay.lastEventIds, [undefined, before]);
        close();
        await relay.end();
      });

      test(`a ${kind} one: who comes back with it is refused for good`, PATIENT, async () => {
        const token = await make(["*"], { exp: soon() });
        const { source } = await opened(streamAt(hub.base, `https://shop.test/${kind}/refused`), [], () => bearer(token));
        let failure = await failed(source);
        assert.equal(failure.closed, false);
        // The stream ends before the token does, so it may be taken once more.
        while (!failure.closed) failure = await failed(source);
        assert.deepEqual(failure, { code: 401, message: "Non-200 status code (401)", closed: true });
      });
    }
  });
});

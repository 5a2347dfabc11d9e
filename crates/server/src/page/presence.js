// Who is subscribed to what, live: the list first, then what changes after it.
//
// The hub tells those whose token grants to read what is below `<hub>/subscriptions`. After a gap the list is asked for anew.

import { Answer } from "./answer.js";
import { $, counted, make, makeButton, timeOf } from "./element.js";
import { hub, token } from "./hub.js";
import { Stream } from "./stream.js";
import { mintForAll } from "./token.js";

const LIST = `${hub.path}/subscriptions`;
const BELOW = `${LIST}/*`;
const GAP = "fanfare.gap";

/** The subscriptions by their id, in the order in which they were seen. */
let active = new Map();
let stream;
let attempt = 0;
let isDrawn = true;

/** What an event says about a subscription, if it does: modern ones have a name, older ones say what they are. */
export function presenceOf({ type, data }) {
  if (type !== "mercure" && !(type === "message" && data.includes("https://mercure.rocks/"))) return null;
  try {
    const told = JSON.parse(data);
    const isOne = /^subscription$/i.test(told.type) && typeof told.id === "string" && typeof told.active === "boolean";
    return isOne ? { ...told, language: told.match_type ?? "topic", text: told.match ?? told.topic ?? "" } : null;
  } catch {
    return null;
  }
}

/** The matcher of a subscription, and whose it is. */
export const matcherOf = ({ language, text }) => [make("span", `language of-${language}`, language), make("code", "", text)];

function say(state, ...children) {
  $("presence-state").dataset.state = state;
  $("presence-state").replaceChildren(...children);
  $("presence-state").hidden = children.length === 0;
}

function stop() {
  stream?.close();
  stream = undefined;
  attempt += 1;
  active = new Map();
  draw();
}

async function start() {
  stop();
  if (!$("presence").open) return;
  if (token.used === "") return askForToken();
  say("connecting", "Asking who is there…");
  const mine = attempt;
  try {
    const lists = await Promise.all(["application/json", "application/ld+json"].map((shape) => list(shape)));
    if (mine !== attempt) return;
    const refused = lists.find((list) => list instanceof Answer);
    if (refused !== undefined) return refuse(refused);
    for (const subscription of lists.flatMap(({ subscriptions }) => subscriptions)) note(subscription, null);
    follow(lists[0].lastEventId);
    say("open");
  } catch {
    if (mine === attempt) say("closed", "The hub did not answer. ", makeButton("plain", "Try again", start));
  }
}

/** One shape of the list, with the place from which on changes are told; or the answer that there is none. */
async function list(shape) {
  const response = await fetch(LIST, { headers: { ...token.headers, Accept: shape }, cache: "no-store" });
  if (!response.ok) return Answer.of(response);
  const [, quoted] = /last-event-id="((?:[^"\\]|\\.)*)"/.exec(response.headers.get("Link") ?? "") ?? [];
  const { subscriptions } = await response.json();
  return { subscriptions: subscriptions.map((one) => presenceOf({ type: "mercure", data: JSON.stringify(one) })).filter(Boolean), lastEventId: quoted?.replace(/\\(.)/g, "$1") };
}

function follow(lastEventId) {
  const query = new URLSearchParams({ match_urlpattern: BELOW });
  if (lastEventId !== undefined) query.set("last_event_id", lastEventId);
  stream = new Stream(`${hub.path}?${query}`, token.headers, {
    open: (attempts) => { if (attempts > 0) say("open"); },
    event: (event) => {
      // Whoever came or went meanwhile is not known.
      if (event.type === GAP) return start();
      const presence = presenceOf(event);
      if (presence !== null) note(presence, new Date());
    },
    lost: () => say("reconnecting", "The connection was lost; what is shown may be old."),
    refused: refuse,
    ended: (reason) => say("closed", `No longer live: ${reason}. `, makeButton("plain", "Ask again", start)),
  });
}

function refuse(answer) {
  stop();
  say("closed", ...answer.shown, makeButton("plain", "Try again", start));
}

function askForToken() {
  const mint = hub.mints ? [makeButton("", "Mint one for everything", mintForAll)] : [];
  say("closed", make("p", "", "Who is subscribed is told to tokens that may read ", make("code", "", LIST), " and what is below it."), ...mint);
}

function note(presence, when) {
  if (presence.active) active.set(presence.id, { ...presence, since: active.get(presence.id)?.since ?? when });
  else active.delete(presence.id);
  if (!isDrawn) return;
  // A storm of them costs one drawing.
  isDrawn = false;
  setTimeout(draw, 50);
}

function draw() {
  isDrawn = true;
  const subscribers = Map.groupBy(active.values(), ({ subscriber }) => subscriber);
  $("presence-note").textContent = stream === undefined ? "who is there" : `${counted(subscribers.size, "subscriber")}, ${counted(active.size, "subscription")}`;
  const kept = new Map(Array.from($("subscribers").children, (line) => [line.dataset.subscriber, line]));
  const lines = Array.from(subscribers, ([subscriber, subscriptions]) => {
    const ids = subscriptions.map(({ id }) => id).join("\n");
    const line = kept.get(subscriber);
    return line?.dataset.ids === ids ? line : subscriberLine(subscriber, subscriptions, ids);
  });
  $("subscribers").replaceChildren(...lines);
}

function subscriberLine(subscriber, subscriptions, ids) {
  const line = make("li", "subscriber");
  Object.assign(line.dataset, { subscriber, ids });
  const name = make("code", "subscriber-id", subscriber.replace(/^urn:uuid:/, "").slice(0, 8));
  name.title = subscriber;
  const head = make("p", "subscriber-head", name);
  if (subscriptions.some(({ text }) => text === BELOW)) head.append(make("span", "badge", "follows this list"));
  if (subscriptions.some(({ language }) => language === "topic")) head.append(make("span", "badge", "older protocol"));
  const [{ since }] = subscriptions;
  head.append(since === null ? make("span", "quiet before", "was here before") : timeOf(since));
  const matchers = make("ul", "granted");
  matchers.role = "list";
  for (const subscription of subscriptions) matchers.append(make("li", "", ...matcherOf(subscription)));
  line.append(head, matchers);
  const payloads = new Set(subscriptions.filter(({ payload }) => payload !== undefined).map(({ payload }) => JSON.stringify(payload)));
  for (const payload of payloads) line.append(make("pre", "payload", payload));
  return line;
}

$("presence").addEventListener("toggle", start);
token.follow(start);
addEventListener("pageshow", (event) => { if (event.persisted) start(); });
draw();
start();

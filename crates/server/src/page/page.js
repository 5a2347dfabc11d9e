// The dev page at work: one stream, and the form that says what it subscribes to.
//
// What comes from the network becomes text, never markup. Nothing of it leaves this tab, and it speaks to no address but the
// hub that served it. Which fields reach a script, and when a browser reconnects: WHATWG HTML § 9.2.

import { $, copies, counted, make, onSubmit, quoted } from "./element.js";
import { hub, token } from "./hub.js";
import { bookmarkLine, eventLine, gapLine, noteLine, presenceLine, refusalLine, subscribedWith } from "./lines.js";
import { addLine, count } from "./list.js";
import { presenceOf } from "./presence.js";
import { Rows } from "./rows.js";
import { Stream } from "./stream.js";
import "./publish.js";

const GAP = "fanfare.gap";

const MATCHERS = [
  { value: "*", name: "every topic — match=*", isAll: true },
  { value: "match", name: "exactly this one — match", placeholder: "rooms/7" },
  { value: "match_urlpattern", name: "a URL Pattern — match_urlpattern", placeholder: "/rooms/:id" },
  { value: "topic", name: "a URI Template — topic (older clients)", placeholder: "/rooms/{id}" },
];
const matchers = new Rows($("matchers"), "Matcher", MATCHERS, ["*", ""]);

let stream;

function setState(state, text) {
  $("state").dataset.state = state;
  $("empty-title").textContent = state === "open" ? "Listening." : state === "closed" ? "Nobody is listening." : "Not connected yet.";
  if ($("state-text").textContent !== text) $("state-text").textContent = text;
}

/** The rows as the hub is asked for them. */
const asked = () => matchers.pairs.map(([kind, text]) => (kind === "*" ? ["match", "*"] : [kind, text]));

function subscriptionAddress() {
  const query = new URLSearchParams(asked());
  const last = $("last-event-id").value;
  if (last !== "") query.append("last_event_id", last);
  return `${hub.path}?${query}`;
}

function connect() {
  leave();
  const address = subscriptionAddress();
  subscribedWith(asked());
  $("address").textContent = address;
  rememberInAddressBar();
  setState("connecting", "connecting");
  const last = $("last-event-id").value;
  const what = asked().map(([, matcher]) => (matcher === "*" ? "every topic" : matcher)).join(", ");
  $("subscribe-note").textContent = last === "" ? what : `${what}, after ${last}`;
  if ($("events").childElementCount > 0) addLine(noteLine("back", last === "" ? "subscribed anew" : `subscribed anew, after ${last}`));

  let everOpen = false;
  stream = new Stream(address, token.headers, {
    open: (attempts) => {
      setState("open", "open");
      if (everOpen) addLine(noteLine("back", attempts === 1 ? "reconnected" : `reconnected at attempt ${attempts}`));
      everOpen = true;
    },
    event: onEvent,
    bookmark: (id) => {
      count("bookmark");
      const line = bookmarkLine(id);
      if (line !== null) addLine(line);
    },
    comment: () => count("comment"),
    lost: (isFirst, milliseconds) => {
      const again = milliseconds < 1_000 ? "at once" : `in ${counted(Math.round(milliseconds / 1_000), "second")}`;
      if (isFirst && everOpen) {
        count("lost");
        addLine(noteLine("lost", `connection lost; trying again ${again}`));
      }
      setState("reconnecting", everOpen ? "reconnecting" : "no answer yet, trying again");
    },
    refused: (answer) => {
      leave();
      setState("closed", `refused: ${answer.status}`);
      addLine(refusalLine(answer));
    },
    ended: (reason) => {
      leave();
      setState("closed", "ended by the hub");
      addLine(noteLine("end", reason));
    },
  });
}

function leave() {
  stream?.close();
  stream = undefined;
}

function onEvent(event) {
  if (event.type === GAP) {
    count("gap");
    return addLine(gapLine(event));
  }
  const presence = presenceOf(event);
  if (presence !== null) {
    count("presence");
    return addLine(presenceLine(presence));
  }
  count("event");
  addLine(eventLine(event, resumeAfter));
}

function resumeAfter(id) {
  $("last-event-id").value = id;
  connect();
}

// --- The address bar: a reload, or a link sent to a friend, shows the same subscription ----------------

const KINDS = ["match", "match_urlpattern", "topic"];

function rememberInAddressBar() {
  const pairs = asked();
  const isUsual = pairs.length === 1 && pairs[0][1] === "*" && pairs[0][0] === "match";
  const query = new URLSearchParams(isUsual ? [] : pairs);
  if ($("last-event-id").value !== "") query.append("last_event_id", $("last-event-id").value);
  const text = query.toString();
  history.replaceState(null, "", text === "" ? location.pathname : `?${text}`);
}

function readAddressBar() {
  const query = new URLSearchParams(location.search);
  const pairs = [...query].filter(([name]) => KINDS.includes(name)).map(([kind, text]) => (kind === "match" && text === "*" ? ["*", ""] : [kind, text]));
  if (pairs.length > 0) matchers.set(pairs);
  $("last-event-id").value = query.get("last_event_id") ?? "";
  return pairs.length > 0;
}

// --- The controls -----------------------------------------------------------------------------------

const asCurl = () => [...token.curl, "-N", quoted(`${location.origin}${subscriptionAddress()}`)].join(" \\\n  ");

onSubmit($("subscribe"), connect);
copies($("copy-subscribe"), asCurl, "The subscription as a curl command");
$("disconnect").addEventListener("click", () => {
  if (stream === undefined) return;
  leave();
  setState("closed", "closed by you");
  addLine(noteLine("end", "you closed the stream"));
});
token.follow(connect);
// A page that the browser brings back from its cache has lost its stream.
addEventListener("pageshow", (event) => { if (event.persisted) connect(); });

const isAsked = readAddressBar();
$("example").replaceChildren(make("span", "", `curl -d topic=demo -d data=hello \\\n  ${location.origin}${hub.path}`));
$("subscribe-panel").open = matchMedia("(min-width: 60rem)").matches || isAsked;
connect();

// Makes the lines of the list: events, gaps, bookmarks, comings and goings, and what happens to the connection.
//
// Topics are not on the wire: they are shown where this page knows them.

import { $, counted, make, makeButton, timeOf } from "./element.js";
import { list } from "./list.js";
import { matcherOf } from "./presence.js";

const TOPICS_MAX = 1_000;

/** Topics of what this page published, by the id that the hub answered. */
const topics = new Map();

/** What the stream was asked for: pairs of a parameter and a matcher. */
let asked = [];

export function subscribedWith(pairs) {
  asked = pairs;
}

export function knowTopics(id, told) {
  topics.set(id, told);
  if (topics.size > TOPICS_MAX) topics.delete(topics.keys().next().value);
  // The event may have come before the answer.
  for (const line of [...list.waiting, ...$("events").children]) if (line.dataset.id === id && line.classList.contains("event")) showTopic(line);
}

function showTopic(line) {
  const place = line.querySelector(".topic");
  const known = topics.get(line.dataset.id);
  if (known !== undefined) {
    place.replaceChildren(known);
    place.title = "the topic; this page published the event";
    return;
  }
  if (place.textContent !== "") return;
  const [[kind, matcher], ...others] = asked;
  if (others.length === 0 && kind === "match" && matcher !== "*") {
    place.replaceChildren(matcher);
    place.title = "the topic that this page subscribed to";
  } else {
    place.replaceChildren(make("span", "quiet", others.length === 0 ? "matched by " : "matched by one of "), make("code", "", asked.map(([, matcher]) => matcher).join(", ")));
    place.title = "topics are not on the wire; this is what the page subscribed with";
  }
}

/** A line for an event; `resume(id)` subscribes anew after it. */
export function eventLine(event, resume) {
  const when = new Date();
  const line = make("li", "line event");
  line.dataset.type = event.type;
  line.dataset.id = event.id;
  const head = make("p", "head", make("span", event.type === "message" ? "type usual" : "type", event.type), make("span", "topic"), timeOf(when));
  const data = make("pre", "data", event.data);
  if (event.data === "") data.classList.add("void");
  // Long data scrolls in its own box, which the keyboard has to reach.
  if (event.data.length > 800 || event.data.split("\n").length > 12) data.tabIndex = 0;
  line.append(head, data);
  if (event.id !== "") {
    line.append(make("p", "foot", make("code", "event-id", event.id), makeButton("after", "Resume after this", () => resume(event.id))));
  }
  showTopic(line);
  return line;
}

const REASONS = {
  trimmed: ["Older than what is kept", "Events after that id have left the history. The stream goes on from the oldest kept."],
  rewound: ["The log was rewound", "The hub was restarted or lost its newest events, so that id means nothing to it. The stream goes on live."],
  unknown: ["An unknown last event ID", "The hub does not know that id. The stream goes on live, or from the oldest kept if the hub is set so."],
  skipped: ["Events were skipped", "The hub left some out for a reader this far behind. The stream goes on from its next event."],
};

export function gapLine(event) {
  let reason = "", after = "";
  try {
    const told = JSON.parse(event.data);
    reason = String(told.reason ?? "");
    after = String(told.after ?? "");
  } catch { /* Shown as it came, below. */ }
  const [title, text] = REASONS[reason] ?? ["A gap", event.data];
  const line = make("li", "line gap");
  line.dataset.reason = reason;
  line.append(make("p", "head", make("strong", "", "Gap"), make("span", "topic", title), timeOf(new Date())), make("p", "told", text));
  const foot = make("p", "foot", make("code", "", reason || event.type));
  if (after !== "") foot.append(make("span", "quiet", "after"), make("code", "event-id", after));
  line.append(foot);
  return line;
}

export function noteLine(className, text, ...more) {
  return make("li", `line note-line ${className}`, make("p", "head", make("span", "topic", text), timeOf(new Date())), ...more);
}

/** A line for a refusal: the hub's own words, and what a client goes by. */
export function refusalLine(answer) {
  return noteLine("end refusal", `refused: ${answer.inWords}`, answer.shownHeaders);
}

/** A line for an id that came alone; several in a row are one line. */
export function bookmarkLine(id) {
  const newest = list.waiting.at(-1) ?? $("events").firstElementChild;
  const isNext = newest?.classList.contains("bookmark") === true;
  const line = isNext ? newest : noteLine("bookmark", "");
  line.dataset.count = String(Number(line.dataset.count ?? 0) + 1);
  const name = line.dataset.count === "1" ? "bookmark" : counted(Number(line.dataset.count), "bookmark");
  line.querySelector(".topic").replaceChildren(`${name} `, make("code", "event-id", id));
  line.title = "an id without data: what came meanwhile is not for this subscriber, and the last event ID moves on";
  return isNext ? null : line;
}

/** A line for a subscription that began or ended. */
export function presenceLine(presence) {
  const line = noteLine("presence", "");
  line.querySelector(".topic").append(presence.active ? "came: " : "went: ", ...matcherOf(presence), " ", make("code", "quiet", presence.subscriber.replace(/^urn:uuid:/, "").slice(0, 8)));
  line.title = presence.id;
  return line;
}

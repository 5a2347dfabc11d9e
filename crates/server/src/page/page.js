// The dev page at work: one native EventSource, one publish form, one bounded list.
//
// What comes from the network becomes text, never markup. It keeps nothing beyond this tab, and speaks
// to no address but the hub that served it. Which fields reach a script, and when a browser reconnects:
// WHATWG HTML § 9.2.

"use strict";

const HUB = "/.well-known/mercure";
const LINES_MAX = 500;
const TOPICS_MAX = 1_000;
const GAP = "fanfare.gap";
const CLOSE = "fanfare.close";

const $ = (id) => document.getElementById(id);

/** Makes an element whose children are elements or text; text is never parsed. */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

// --- The list ---------------------------------------------------------------------------------------

const list = {
  /** Lines not on the page yet, oldest first: drawn once a frame, so that a flood costs one layout. */
  waiting: [],
  /** Set while the reader has paused; lines then wait, at most LINES_MAX of them. */
  paused: false,
  scheduled: false,
  /** Events since the list was last cleared, also those that have left it. */
  events: 0,
};

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });

function timeOf(when) {
  const time = make("time", "", clock.format(when));
  time.dateTime = when.toISOString();
  return time;
}

function addLine(line) {
  list.waiting.push(line);
  if (list.waiting.length > LINES_MAX) list.waiting.shift();
  if (list.paused) showHeld();
  else schedule();
}

function schedule() {
  if (list.scheduled) return;
  list.scheduled = true;
  // A hidden tab has no frames, but should be up to date when it is looked at.
  if (document.hidden) setTimeout(draw, 250);
  else requestAnimationFrame(draw);
}

function draw() {
  list.scheduled = false;
  if (list.paused) return showHeld();
  const fresh = document.createDocumentFragment();
  for (const line of list.waiting) {
    line.hidden = !passes(line);
    fresh.prepend(line);
  }
  const arrived = list.waiting.filter((line) => line.classList.contains("event"));
  list.waiting = [];
  const events = $("events");
  events.prepend(fresh);
  while (events.childElementCount > LINES_MAX) events.lastElementChild.remove();
  showHeld();
  showCount();
  if (arrived.length > 0) {
    runAlongTheStaff();
    announce(arrived);
  }
}

function showCount() {
  const shown = $("events").querySelectorAll(".event:not([hidden])").length;
  const filtered = $("filter").value !== "";
  const total = list.events === 0 ? "no events yet" : list.events === 1 ? "1 event" : `${list.events.toLocaleString()} events`;
  $("count").textContent = filtered ? `${shown} shown of ${total}` : total;
  $("empty").hidden = $("events").childElementCount > 0 && list.events > 0;
  $("none").hidden = !(filtered && shown === 0 && list.events > 0);
}

function showHeld() {
  const events = list.waiting.filter((line) => line.classList.contains("event")).length;
  $("held").hidden = !list.paused;
  $("held").textContent = events === 0 ? "Paused. The stream goes on; nothing has arrived since." : `Paused. ${events === 1 ? "1 event waits" : `${events} events wait`}.`;
}

function passes(line) {
  const wanted = $("filter").value.trim().toLowerCase();
  if (wanted === "") return true;
  return line.classList.contains("event") && line.textContent.toLowerCase().includes(wanted);
}

// A screen reader hears at most one sentence every two seconds, however fast the stream is.
let unsaid = [];
let announcing = false;

function announce(lines) {
  unsaid = unsaid.concat(lines).slice(-LINES_MAX);
  if (announcing) return;
  announcing = true;
  const [line] = unsaid.slice(-1);
  const data = line.querySelector(".data").textContent.slice(0, 120) || "no data";
  $("announcer").textContent = unsaid.length === 1 ? `${line.dataset.type}: ${data}` : `${unsaid.length} events, the last one ${line.dataset.type}: ${data}`;
  unsaid = [];
  setTimeout(() => {
    announcing = false;
    if (unsaid.length > 0) announce([]);
  }, 2_000);
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");
let running = false;

/** Lets a light run along the lines of the header: one comes in, and fans out. */
function runAlongTheStaff() {
  if (running || calm.matches) return;
  running = true;
  for (const line of $("staff").querySelectorAll("path")) {
    const light = line.cloneNode();
    light.classList.add("light");
    line.after(light);
    light.animate([{ strokeDashoffset: 8 }, { strokeDashoffset: -100 }], { duration: 1_400, easing: "cubic-bezier(.3, .1, .5, 1)" })
      .finished.finally(() => { light.remove(); running = false; });
  }
}

// --- Lines of the list ------------------------------------------------------------------------------

/** Topics of what this page published, by the id that the hub answered: they are not on the wire. */
const topics = new Map();

function showTopic(line) {
  const place = line.querySelector(".topic");
  const known = topics.get(line.dataset.id);
  if (known !== undefined) {
    place.replaceChildren(known);
    place.title = "the topic; this page published the event";
  } else if (connection.kind === "match" && connection.matcher !== "*" && place.textContent === "") {
    place.replaceChildren(connection.matcher);
    place.title = "the topic that this page subscribed to";
  } else if (place.textContent === "") {
    const by = connection.kind === "*" ? "*" : connection.matcher;
    place.replaceChildren(make("span", "quiet", "matched by "), make("code", "", by));
    place.title = "topics are not on the wire; this is the matcher that the page subscribed with";
  }
}

function eventLine(event) {
  const when = new Date();
  const line = make("li", "line event");
  line.dataset.type = event.type;
  line.dataset.id = event.lastEventId;
  const head = make("p", "head", make("span", event.type === "message" ? "type usual" : "type", event.type), make("span", "topic"), timeOf(when));
  const data = make("pre", "data", event.data);
  if (event.data === "") data.classList.add("void");
  // Long data scrolls in its own box, which the keyboard has to reach.
  if (event.data.length > 800 || event.data.split("\n").length > 12) data.tabIndex = 0;
  line.append(head, data);
  if (event.lastEventId !== "") {
    const resume = make("button", "after", "Resume after this");
    resume.type = "button";
    resume.addEventListener("click", () => resumeAfter(event.lastEventId));
    line.append(make("p", "foot", make("code", "event-id", event.lastEventId), resume));
  }
  showTopic(line);
  return line;
}

function resumeAfter(id) {
  $("last-event-id").value = id;
  connect();
}

const REASONS = {
  trimmed: ["Older than what is kept", "Events after that id have left the history. The stream goes on from the oldest kept."],
  rewound: ["The log was rewound", "The hub was restarted or lost its newest events, so that id means nothing to it. The stream goes on live."],
  unknown: ["An unknown last event ID", "The hub does not know that id. The stream goes on live, or from the oldest kept if the hub is set so."],
  skipped: ["Events were skipped", "The hub left some out for a reader this far behind. The stream goes on from its next event."],
};

function gapLine(event) {
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
  const foot = make("p", "foot", make("code", "", reason || GAP));
  if (after !== "") foot.append(make("span", "quiet", "after"), make("code", "event-id", after));
  line.append(foot);
  return line;
}

function noteLine(className, text) {
  return make("li", `line note-line ${className}`, make("p", "head", make("span", "topic", text), timeOf(new Date())));
}

// --- The connection ---------------------------------------------------------------------------------

const connection = {
  /** @type {EventSource | null} */
  source: null,
  kind: "*",
  matcher: "",
  /** Attempts since the stream was last open. */
  lost: 0,
  everOpen: false,
};

/** Types that every connection of this page listens for, in the order in which they were named. */
const types = new Set(["message", GAP, CLOSE]);

function setState(state, text) {
  $("state").dataset.state = state;
  if ($("state-text").textContent !== text) $("state-text").textContent = text;
}

function subscriptionAddress() {
  const query = new URLSearchParams();
  const kind = $("matcher-type").value;
  query.append(kind === "*" ? "match" : kind, kind === "*" ? "*" : $("matcher").value);
  const last = $("last-event-id").value;
  if (last !== "") query.append("last_event_id", last);
  return `${HUB}?${query}`;
}

function connect() {
  leave();
  const address = subscriptionAddress();
  connection.kind = $("matcher-type").value;
  connection.matcher = $("matcher").value;
  connection.lost = 0;
  connection.everOpen = false;
  $("address").textContent = address;
  rememberInAddressBar();
  setState("connecting", "connecting");
  const last = $("last-event-id").value;
  const what = connection.kind === "*" ? "every topic" : connection.matcher;
  $("subscribe-note").textContent = last === "" ? what : `${what}, after ${last}`;
  if ($("events").childElementCount > 0) addLine(noteLine("back", last === "" ? "subscribed anew" : `subscribed anew, after ${last}`));

  const source = new EventSource(address);
  connection.source = source;
  source.addEventListener("open", () => {
    if (connection.source !== source) return;
    setState("open", "open");
    if (connection.everOpen) addLine(noteLine("back", connection.lost === 1 ? "reconnected" : `reconnected at attempt ${connection.lost}`));
    connection.everOpen = true;
    connection.lost = 0;
  });
  source.addEventListener("error", () => {
    if (connection.source !== source) return;
    if (source.readyState === EventSource.CLOSED) {
      leave();
      setState("closed", "closed");
      explainRefusal(address);
      return;
    }
    // The browser reconnects by itself, with the last event ID that it holds.
    if (connection.lost === 0 && connection.everOpen) addLine(noteLine("lost", "connection lost; the browser reconnects"));
    connection.lost += 1;
    setState("reconnecting", connection.everOpen ? "reconnecting" : "no answer yet, trying again");
  });
  for (const type of types) source.addEventListener(type, onEvent);
}

function leave() {
  connection.source?.close();
  connection.source = null;
}

/** An EventSource does not tell a script why it was refused, so the page asks once more and reads the answer. */
async function explainRefusal(address) {
  const leaving = new AbortController();
  let text = "closed: the hub has ended this subscription";
  try {
    const answer = await fetch(address, { headers: { Accept: "text/event-stream" }, signal: leaving.signal });
    if (answer.status === 204) text = "closed: the hub says that this stream has ended";
    else if (answer.status !== 200) text = `refused: ${answer.status} ${(await answer.text()).trim().slice(0, 300)}`;
  } catch {
    text = "closed: the hub did not answer";
  }
  leaving.abort();
  addLine(noteLine("end", text));
}

function onEvent(event) {
  if (event.currentTarget !== connection.source) return;
  if (event.type === GAP) return addLine(gapLine(event));
  if (event.type === CLOSE) {
    leave();
    setState("closed", "ended by the hub");
    return addLine(noteLine("end", event.data === "" ? "the hub ended this stream" : `the hub ended this stream: ${event.data}`));
  }
  list.events += 1;
  addLine(eventLine(event));
}

function listenFor(type) {
  if (type === "" || type === "open" || type === "error" || types.has(type)) return;
  types.add(type);
  connection.source?.addEventListener(type, onEvent);
  showTypes();
  rememberInAddressBar();
}

function showTypes() {
  $("types").replaceChildren(...Array.from(types, (type) => make("li", "", type)));
}

// --- The address bar: a reload, or a link sent to a friend, shows the same subscription ----------------

const USUAL_TYPES = 3;

function rememberInAddressBar() {
  const query = new URLSearchParams();
  if ($("matcher-type").value !== "*") query.append($("matcher-type").value, $("matcher").value);
  if ($("last-event-id").value !== "") query.append("last_event_id", $("last-event-id").value);
  for (const type of [...types].slice(USUAL_TYPES)) query.append("listen", type);
  const text = query.toString();
  history.replaceState(null, "", text === "" ? location.pathname : `?${text}`);
}

function readAddressBar() {
  const query = new URLSearchParams(location.search);
  for (const kind of ["match", "match_urlpattern", "topic"]) {
    const matcher = query.get(kind);
    if (matcher === null || (kind === "match" && matcher === "*")) continue;
    $("matcher-type").value = kind;
    $("matcher").value = matcher;
    break;
  }
  $("last-event-id").value = query.get("last_event_id") ?? "";
  for (const type of query.getAll("listen")) listenFor(type);
}

// --- Publishing -------------------------------------------------------------------------------------

/** The form's fields as they are published, in the order of the form; empty options are left out. */
function publication() {
  const fields = [["topic", $("topic").value], ["data", $("data").value]];
  for (const name of ["type", "id"]) if ($(name).value !== "") fields.push([name, $(name).value]);
  if ($("private").checked) fields.push(["private", "on"]);
  return fields;
}

async function publish() {
  const fields = publication();
  const topic = $("topic").value;
  const wasPrivate = $("private").checked;
  listenFor($("type").value);
  const say = (kind, ...children) => {
    $("answer").dataset.kind = kind;
    $("answer").replaceChildren(...children);
  };
  try {
    const answer = await fetch(HUB, { method: "POST", body: new URLSearchParams(fields) });
    const text = (await answer.text()).trim();
    if (!answer.ok) return say("bad", make("strong", "", `${answer.status} `), text || answer.statusText);
    knowTopic(text, topic);
    say("good", wasPrivate ? "Accepted, for readers with a grant: " : "Accepted: ", make("code", "", text));
  } catch {
    say("bad", "The hub did not answer. Is it still running?");
  }
}

function knowTopic(id, topic) {
  topics.set(id, topic);
  if (topics.size > TOPICS_MAX) topics.delete(topics.keys().next().value);
  // The event may have come before the answer.
  for (const line of [...list.waiting, ...$("events").children]) if (line.dataset.id === id && line.classList.contains("event")) showTopic(line);
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function asCurl() {
  const fields = publication().map(([name, value]) => `--data-urlencode ${quoted(`${name}=${value}`)}`);
  return ["curl", ...fields, quoted(`${location.origin}${HUB}`)].join(" \\\n  ");
}

async function copyAsCurl() {
  const command = asCurl();
  const button = $("copy-curl");
  try {
    await navigator.clipboard.writeText(command);
    $("curl").hidden = true;
    button.textContent = "Copied";
  } catch {
    // No clipboard without a permission: show the command, selected.
    $("curl").hidden = false;
    $("curl").value = command;
    $("curl").select();
    button.textContent = "Select and copy";
  }
  setTimeout(() => { button.textContent = "Copy as curl"; }, 2_000);
}

// --- The controls -----------------------------------------------------------------------------------

const MATCHER_NOTES = {
  match: ["rooms/7", "Compared byte by byte."],
  match_urlpattern: ["/rooms/:id", "Relative patterns and topics are resolved against the hub's URL."],
  topic: ["/rooms/{id}", "The selector of Mercure's earlier versions: a topic, or a URI Template."],
};

function showMatcherField() {
  const kind = $("matcher-type").value;
  $("matcher-field").hidden = kind === "*";
  $("matcher").required = kind !== "*";
  if (kind === "*") return;
  [$("matcher").placeholder, $("matcher-note").textContent] = MATCHER_NOTES[kind];
}

function onSubmit(form, action) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
}

onSubmit("publish", publish);
onSubmit("subscribe", connect);
onSubmit("listen", () => {
  listenFor($("listen-type").value);
  $("listen-type").value = "";
});
$("publish").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("publish").requestSubmit();
});
$("copy-curl").addEventListener("click", copyAsCurl);
$("matcher-type").addEventListener("change", showMatcherField);
$("disconnect").addEventListener("click", () => {
  if (connection.source === null) return;
  leave();
  setState("closed", "closed by you");
  addLine(noteLine("end", "you closed the stream"));
});
$("pause").addEventListener("click", () => {
  list.paused = !list.paused;
  $("pause").setAttribute("aria-pressed", String(list.paused));
  $("pause").textContent = list.paused ? "Continue" : "Pause";
  showHeld();
  if (!list.paused) schedule();
});
$("clear").addEventListener("click", () => {
  $("events").replaceChildren();
  list.waiting = [];
  list.events = 0;
  showHeld();
  showCount();
});
$("filter").addEventListener("input", () => {
  for (const line of $("events").children) line.hidden = !passes(line);
  showCount();
});
// A page that the browser brings back from its cache has lost its stream.
addEventListener("pageshow", (event) => { if (event.persisted) connect(); });

readAddressBar();
showMatcherField();
showTypes();
$("example").textContent = `curl -d topic=demo -d data=hello \\\n  ${location.origin}${HUB}`;
$("subscribe-panel").open = matchMedia("(min-width: 60rem)").matches || $("matcher-type").value !== "*";
showCount();
connect();

// The list of what came: drawn once a frame, bounded, and told to who does not see it.
//
// A line with a class `event` is counted, filtered and announced; what stands in a line is made elsewhere.

import { $, counted } from "./element.js";

const LINES_MAX = 500;

/** What is counted, by the class of its line; `comment` has none. */
const NOTHING = { event: 0, bookmark: 0, presence: 0, gap: 0, lost: 0, comment: 0 };

export const list = {
  /** Lines not on the page yet, oldest first: drawn once a frame, so that a flood costs one layout. */
  waiting: [],
  /** Set while the reader has paused; lines then wait, at most LINES_MAX of them. */
  paused: false,
  scheduled: false,
  /** What has come since the list was last cleared, also what has left it. */
  counts: { ...NOTHING },
};

export function addLine(line) {
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
  showOthers();
  const total = list.counts.event === 0 ? "no events yet" : list.counts.event === 1 ? "1 event" : `${list.counts.event.toLocaleString()} events`;
  $("count").textContent = filtered ? `${shown} shown of ${total}` : total;
  $("empty").hidden = $("events").childElementCount > 0 && list.counts.event > 0;
  $("none").hidden = !(filtered && shown === 0 && list.counts.event > 0);
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

/** Counts what came, also if no line is made for it. */
export function count(kind) {
  list.counts[kind] += 1;
  if (kind === "comment") showOthers();
}

function showOthers() {
  const { bookmark, presence, gap, lost, comment } = list.counts;
  const told = [[bookmark, "bookmark"], [presence, "coming or going", "comings and goings"], [gap, "gap"], [lost, "lost connection"], [comment, "comment"]];
  $("counters").textContent = told.filter(([number]) => number > 0).map((each) => counted(...each)).join(" · ");
}

/** Empties the list and counts from nothing. */
export function clear() {
  $("events").replaceChildren();
  list.waiting = [];
  list.counts = { ...NOTHING };
  showHeld();
  showCount();
}

/** Stops drawing, or draws what has come since. */
export function pause() {
  list.paused = !list.paused;
  $("pause").setAttribute("aria-pressed", String(list.paused));
  $("pause").textContent = list.paused ? "Continue" : "Pause";
  showHeld();
  if (!list.paused) schedule();
}

$("pause").addEventListener("click", pause);
$("clear").addEventListener("click", clear);
$("filter").addEventListener("input", () => {
  for (const line of $("events").children) line.hidden = !passes(line);
  showCount();
});
showCount();

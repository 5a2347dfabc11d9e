// The panel of tokens: paste or mint one, see what it grants, and send it along.

import { Answer } from "./answer.js";
import { $, make, onSubmit } from "./element.js";
import { mayBeOver, shown, summary, tick } from "./explanation.js";
import { hub, token } from "./hub.js";
import { Rows } from "./rows.js";

/** A pause in typing after which the hub is asked. */
const PAUSE_MS = 150;
/** How often it is asked about a token that has expired, and is accepted still. */
const AGAIN_S = 10;

const TOPICS = [
  { value: "exact", name: "every topic or one, exactly", placeholder: "* or https://shop.test/orders/41" },
  { value: "pattern", name: "a URL Pattern", placeholder: "https://shop.test/orders/:id" },
];
const publishTo = new Rows($("mint-publish"), "Topic to publish to", TOPICS, ["exact", "*"]);
const read = new Rows($("mint-subscribe"), "Topic to read", TOPICS, ["exact", "*"]);

/** The token in the box, as it would be sent. */
const typed = () => $("token").value.trim().replace(/^bearer\s+/i, "").replace(/\s+/g, "");

let asked = 0;
let waiting;
/** The text that the explanation is about. */
let explained;

async function explain() {
  const text = typed();
  if (text === explained) return;
  explained = text;
  const question = asked += 1;
  if (text === "" || !hub.explains) return show(text === "" ? [] : [make("p", "note", "What it says is told on loopback only; `fanfare token explain` tells it on a command line.")]);
  let elements;
  try {
    const response = await fetch("/dev/token/explain", { method: "POST", headers: { "Content-Type": "text/plain" }, body: text });
    if (response.ok) {
      const told = await response.json();
      elements = shown(told);
      if (text === token.used) $("identity").textContent = summary(told);
    } else elements = (await Answer.of(response)).shown;
  } catch {
    elements = [make("p", "note", "The hub did not answer. Is it still running?")];
    explained = undefined;
  }
  // Another token may be in the box by now.
  if (question === asked) show(elements);
}

function explainAnew() {
  explained = undefined;
  explain();
}

function show(elements) {
  const wasOpen = $("explanation").querySelector(".raw")?.open === true;
  $("explanation").replaceChildren(...elements);
  const raw = $("explanation").querySelector(".raw");
  if (raw !== null) raw.open = wasOpen;
  $("explanation").hidden = elements.length === 0;
  // Only the verdict is read out: the rest counts seconds.
  $("token-said").textContent = Array.from($("explanation").querySelectorAll(".verdict"), (line) => line.textContent.slice(1)).join(". ");
}

function showUse() {
  const text = typed();
  const isUsed = token.used !== "" && text === token.used;
  $("use").setAttribute("aria-pressed", String(isUsed));
  $("use").textContent = isUsed ? "In use" : text === "" && token.used !== "" ? "Use none" : "Use it";
  // A header holds no more than this, and no token does.
  $("use").disabled = text === "" ? token.used === "" : !/^[\x21-\x7e]+$/.test(text);
  $("token-note").textContent = token.used === "" ? "none in use" : isUsed ? "in use" : "another one is in use";
  $("identity-line").dataset.token = token.used === "" ? "none" : "some";
  if (token.used === "") $("identity").textContent = "without a token";
  else if ($("identity").textContent === "without a token") $("identity").textContent = "with a token";
}

/** Puts a token into the box and sends it from now on. */
function take(text) {
  $("token").value = text;
  token.use(text);
  explainAnew();
}

function wanted() {
  const legacy = $("mint-kind").value === "legacy";
  const topics = (rows) => rows.pairs.filter(([, text]) => text !== "").map(([language, text]) => ({ match: text, is_pattern: language === "pattern" }));
  const body = { legacy, publish: topics(publishTo), subscribe: topics(read) };
  if ($("mint-subject").value !== "") body.subject = $("mint-subject").value;
  if ($("mint-lifetime").value !== "") body.lifetime_seconds = Number($("mint-lifetime").value);
  // What is no JSON, the hub is not asked to understand.
  if ($("mint-payload").value.trim() !== "") body.payload = JSON.parse($("mint-payload").value);
  return body;
}

async function mint(body) {
  const say = (...children) => $("mint-answer").replaceChildren(...children);
  say();
  try {
    const answer = await fetch("/dev/token/mint", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (!answer.ok) return say(...(await Answer.of(answer)).shown);
    openMint(false);
    take(await answer.text());
    $("use").focus();
  } catch {
    say("The hub did not answer. Is it still running?");
  }
}

function openMint(isOpen) {
  $("mint").hidden = !isOpen;
  $("mint-open").setAttribute("aria-expanded", String(isOpen));
  $("mint-answer").replaceChildren();
  if (isOpen) $("mint-kind").focus();
}

/** Makes a token for all there is, and uses it. */
export const mintForAll = () => mint({ publish: [{ match: "*" }], subscribe: [{ match: "*" }] });

$("token").addEventListener("input", () => {
  showUse();
  clearTimeout(waiting);
  waiting = setTimeout(explain, PAUSE_MS);
});
$("use").addEventListener("click", () => token.use(typed() === token.used ? "" : typed()));
$("forget").addEventListener("click", () => {
  take("");
  showUse();
  $("token").focus();
});
$("mint-open").addEventListener("click", () => openMint($("mint").hidden));
$("mint-open").hidden = !hub.mints;
$("no-mint").hidden = hub.mints || !hub.explains;
$("mint-kind").addEventListener("change", () => {
  const legacy = $("mint-kind").value === "legacy";
  for (const row of $("mint").querySelectorAll("select option[value=pattern]")) row.disabled = legacy;
  $("mint-for-ever").disabled = !legacy;
  if (!legacy && $("mint-lifetime").value === "") $("mint-lifetime").value = "3600";
});
$("mint-payload").addEventListener("input", () => $("mint-payload").setCustomValidity(""));
onSubmit($("mint"), () => {
  let body;
  try {
    body = wanted();
  } catch {
    $("mint-payload").setCustomValidity("This is no JSON.");
    return void $("mint-payload").reportValidity();
  }
  mint(body);
});
token.follow(() => {
  if (token.used !== "") $("identity").textContent = "with a token";
  showUse();
  explainAnew();
});
let seconds = 0;
setInterval(() => {
  seconds += 1;
  const isTime = tick($("explanation"));
  if (isTime || (seconds % AGAIN_S === 0 && mayBeOver($("explanation")))) explainAnew();
}, 1_000);

$("token").value = token.used;
showUse();
explain();

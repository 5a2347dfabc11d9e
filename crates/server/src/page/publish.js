// The form that publishes, with the token in use, and the same as a curl line.

import { Answer } from "./answer.js";
import { $, copies, make, onSubmit, quoted } from "./element.js";
import { hub, token } from "./hub.js";
import { knowTopics } from "./lines.js";

const topics = () => $("topic").value.split("\n").map((topic) => topic.replace(/\r$/, "")).filter((topic) => topic !== "");

/** The form's fields as they are published, in the order of the form; empty options are left out. */
function publication() {
  const fields = topics().map((topic) => ["topic", topic]);
  fields.push(["data", $("data").value]);
  for (const name of ["type", "id", "retry"]) if ($(name).value !== "") fields.push([name, $(name).value]);
  if ($("private").checked) fields.push(["private", "on"]);
  return fields;
}

async function publish() {
  const fields = publication();
  const told = topics().join(", ");
  const wasPrivate = $("private").checked;
  const say = (kind, ...children) => {
    $("answer").dataset.kind = kind;
    $("answer").replaceChildren(...children);
  };
  try {
    const response = await fetch(hub.path, { method: "POST", headers: token.headers, body: new URLSearchParams(fields) });
    if (!response.ok) return say("bad", ...(await Answer.of(response)).shown);
    const id = (await response.text()).trim();
    knowTopics(id, told);
    say("good", wasPrivate ? "Accepted, for readers with a grant: " : "Accepted: ", make("code", "", id));
  } catch {
    say("bad", "The hub did not answer. Is it still running?");
  }
}

function asCurl() {
  const fields = publication().map(([name, value]) => `--data-urlencode ${quoted(`${name}=${value}`)}`);
  return [...token.curl, ...fields, quoted(`${location.origin}${hub.path}`)].join(" \\\n  ");
}

const showPrivate = () => {
  $("private-note").textContent = token.used === "" ? "without a token nobody here may read it" : "read by those whose token grants it";
};

onSubmit($("publish"), publish);
$("publish").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("publish").requestSubmit();
});
copies($("copy-curl"), asCurl, "The publication as a curl command");
token.follow(showPrivate);
showPrivate();

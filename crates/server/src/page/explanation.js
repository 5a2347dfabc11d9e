// Shows what a token says, what it grants and whether the hub would take it. It asks nobody.

import { counted, make } from "./element.js";

const ROLES = { publisher: "Publishing", subscriber: "Subscribing" };
const LANGUAGES = { exact: "exact", urlpattern: "pattern", selector: "template" };
const DATES = [["exp", "Expires"], ["nbf", "Valid from"], ["iat", "Issued"]];
const GRANTS = ["authorization_details", "mercure", "https://mercure.rocks/"];
const LAST_SECOND = 253_402_300_799;

/** The elements that say it; `told` is what `/dev/token/explain` answered. */
export function shown(told) {
  if (told.unreadable !== null) return [verdictLine(false, "Not a token", told.unreadable)];
  return [...verdicts(told), facts(told), ...grants(told), raw(told)];
}

const kind = ({ legacy, header }) => (legacy ? "of the protocol before 1.0" : /^(application\/)?at\+jwt$/i.test(header.typ) ? "Mercure 1.0" : "a JWT");

/** One line of text: for whom it is, and until when. */
export function summary(told) {
  if (told.unreadable !== null) return "not a token";
  return `${text(told.claims.sub ?? told.claims.iss ?? "nobody named")} · ${kind(told)}`;
}

function verdictLine(isGood, title, reason) {
  const mark = make("span", "mark", isGood ? "✓" : "✕");
  mark.ariaHidden = "true";
  const line = make("p", `verdict ${isGood ? "good" : "bad"}`, mark, make("strong", "", title));
  if (reason) line.append(" ", make("span", "reason", reason));
  return line;
}

function verdicts({ verdicts: [publisher, subscriber], trusted_issuers: trusted }) {
  const lines = publisher.refused !== null && publisher.refused === subscriber.refused
    ? [verdictLine(false, "Refused:", publisher.refused)]
    : [publisher, subscriber].map(({ role, refused }) => verdictLine(refused === null, refused === null ? `${ROLES[role]}: accepted` : `${ROLES[role]}: refused:`, refused));
  if ([publisher, subscriber].some(({ refused }) => refused?.includes("issuer"))) {
    lines.push(make("p", "note", `Trusted issuers: ${trusted.join(", ") || "none"}.`));
  }
  return lines;
}

function facts(told) {
  const { claims, header } = told;
  const list = make("dl", "facts");
  const add = (name, ...value) => list.append(make("dt", "", name), make("dd", "", ...value));
  add("Kind", kind(told), " ", make("code", "quiet", String(header.alg ?? "no alg")));
  if (claims.sub !== undefined) add("For", make("code", "", text(claims.sub)));
  if (claims.iss !== undefined) add("From", make("code", "", text(claims.iss)));
  if (claims.aud !== undefined) add("Hub", make("code", "", text(claims.aud)));
  for (const [claim, name] of DATES) if (claims[claim] !== undefined) add(name, ...date(claim, claims[claim]));
  if (claims.exp === undefined) add("Expires", "never");
  return list;
}

function date(claim, value) {
  if (typeof value !== "number") return ["not a date: ", make("code", "", text(value))];
  const seconds = Math.min(Math.max(value, 0), LAST_SECOND);
  const when = new Date(seconds * 1_000);
  const time = make("time", "", when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }));
  time.dateTime = when.toISOString();
  const away = make("span", "away");
  Object.assign(away.dataset, { seconds: String(seconds), claim });
  tell(away);
  return [away, time];
}

/** Brings every distance below `place` up to date, and tells whether a time has come that the verdicts may hang on. */
export function tick(place) {
  return Array.from(place.querySelectorAll(".away"), tell).some(Boolean);
}

/** Whether it says accepted of a token that is past its time: a hub allows for clocks that differ, for a while. */
export const mayBeOver = (place) => place.querySelector(".away.bad") !== null && place.querySelector(".verdict.good") !== null;

/** Gives back whether it passes the time just now. */
function tell(away) {
  const wasBad = away.classList.contains("bad");
  const ahead = Number(away.dataset.seconds) - Date.now() / 1_000;
  const distance = inWords(Math.abs(ahead));
  away.textContent = ahead >= 0 ? `in ${distance}` : `${distance} ago`;
  const isBad = away.dataset.claim === "exp" ? ahead < 0 : away.dataset.claim === "nbf" && ahead > 0;
  away.classList.toggle("bad", isBad);
  away.classList.toggle("soon", away.dataset.claim === "exp" && ahead >= 0 && ahead < 60);
  return wasBad !== isBad;
}

function inWords(seconds) {
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [Math.floor(whole / 86_400), Math.floor(whole / 3_600) % 24, Math.floor(whole / 60) % 60];
  if (days > 0) return hours > 0 && days < 10 ? `${counted(days, "day")} ${hours} h` : counted(days, "day");
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

function grants({ grants, defect }) {
  if (defect !== null) return [verdictLine(false, "Its grants cannot be read:", defect)];
  if (grants.length === 0) return [make("p", "note", "It grants nothing: no publishing, and no private events. Public ones may be read.")];
  return grants.map(({ publish, subscribe, topics, payload }) => {
    const actions = [publish && "publish to", subscribe && "read what is private of"].filter(Boolean).join(" and ");
    const list = make("ul", "granted");
    list.role = "list";
    for (const { language, text } of topics) {
      const all = text === "*" ? [make("span", "quiet", "every topic")] : [];
      list.append(make("li", "", make("span", `language of-${language}`, LANGUAGES[language]), make("code", "", text), ...all));
    }
    const grant = make("section", "grant", make("h3", "", actions === "" ? "Nothing that is known, on" : `May ${actions}`), list);
    if (payload !== null) grant.append(make("h3", "", "Shown to others as"), make("pre", "payload", JSON.stringify(payload, null, 2)));
    return grant;
  });
}

/** Header and claims as they were sent. */
function raw({ header, claims }) {
  const others = Object.fromEntries(Object.entries(claims).filter(([name]) => !GRANTS.includes(name)));
  const grants = Object.fromEntries(Object.entries(claims).filter(([name]) => GRANTS.includes(name)));
  const details = make("details", "raw", make("summary", "", "Header and claims"));
  for (const [name, part] of [["Header", header], ["Claims", others], ["Claims that grant", grants]]) {
    if (Object.keys(part).length > 0) details.append(make("h3", "", name), make("pre", "payload", JSON.stringify(part, null, 2)));
  }
  return details;
}

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));

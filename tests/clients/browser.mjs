//! Chromium, and its native `EventSource` as a client for the suites.
//!
//! The browser of the system is driven through playwright-core; nothing is downloaded.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before } from "node:test";

import { chromium } from "playwright-core";

import { Inbox } from "./inbox.mjs";

let browser;

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/**
 * Starts one browser before a file's tests and ends it after them. `args` are more arguments of its own, `preferences` what its
 * user has set otherwise than others.
 */
export function useChromium({ args = [], preferences } = {}) {
  const options = { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: [...ARGS, ...args] };
  let profile;
  before(async () => {
    if (preferences === undefined) {
      browser = await chromium.launch(options);
    } else {
      profile = fs.mkdtempSync(path.join(os.tmpdir(), "fanfare-chromium-"));
      fs.mkdirSync(path.join(profile, "Default"));
      fs.writeFileSync(path.join(profile, "Default/Preferences"), JSON.stringify(preferences));
      browser = (await chromium.launchPersistentContext(profile, options)).browser();
    }
  });
  after(async () => {
    await browser?.close();
    if (profile !== undefined) fs.rmSync(profile, { recursive: true, force: true });
  });
}

/** Opens an empty tab with storage of its own. */
export async function newTab(options) {
  const context = await browser.newContext(options);
  const tab = await context.newPage();
  tab.setDefaultTimeout(60_000);
  return { tab, context };
}

/** Opens an empty document of `url`'s origin, so that the tab needs nobody's leave to read from there. */
export async function newTabAt(url) {
  const opened = await newTab();
  const blank = new URL("/an-empty-document", url).href;
  await opened.tab.route(blank, (route) => route.fulfill({ contentType: "text/html", body: "<!DOCTYPE html><title>empty</title>" }));
  await opened.tab.goto(blank);
  await opened.tab.unroute(blank);
  return opened;
}

/** Opens the browser's own EventSource on `url`, in a tab of its own. */
export async function open(url, types) {
  const { tab, context } = await newTabAt(url);
  return { inbox: await subscribe(tab, url, types), tab, close: () => context.close() };
}

/** Opens the browser's own EventSource on `url` from a tab that is there, which has one at a time: `window.source`. */
export async function subscribe(tab, url, types, init = {}) {
  const inbox = new Inbox();
  await tab.exposeFunction("received", (event) => inbox.push(event));
  await tab.evaluate(([url, types, init]) => {
    const source = new EventSource(url, init);
    window.source = source;
    for (const type of types) {
      source.addEventListener(type, (event) => {
        if (type === "close") source.close();
        window.received({ type: event.type, data: event.data, id: event.lastEventId });
      });
    }
  }, [url, types, init]);
  return inbox;
}

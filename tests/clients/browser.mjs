//! Chromium, and its native `EventSource` as a client for the suites.
//!
//! The browser of the system is driven through playwright-core; nothing is downloaded.

import { after, before } from "node:test";

import { chromium } from "playwright-core";

import { Inbox } from "./inbox.mjs";

let browser;

/** Starts one browser before a file's tests and ends it after them. */
export function useChromium() {
  before(async () => {
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    });
  });
  after(() => browser?.close());
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

/** Opens the browser's own EventSource on `url`. */
export async function open(url, types) {
  const inbox = new Inbox();
  const { tab, context } = await newTabAt(url);
  await tab.exposeFunction("received", (event) => inbox.push(event));
  await tab.evaluate(([url, types]) => {
    const source = new EventSource(url);
    window.source = source;
    for (const type of types) {
      source.addEventListener(type, (event) => {
        if (type === "close") source.close();
        window.received({ type: event.type, data: event.data, id: event.lastEventId });
      });
    }
  }, [url, types]);
  return { inbox, tab, close: () => context.close() };
}

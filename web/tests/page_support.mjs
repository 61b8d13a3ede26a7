// What the tests of the sandbox's page share: a sandbox of their own, a Chromium with a fake
// camera, and words for what a person does there.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { sandbox } from "./sandbox.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const browserProgram = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Limit for a check. Far more than it takes, on a busy machine too. */
export const PATIENCE = 90_000;
export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1280, height: 800 };

/** Starts a sandbox: its `url`, and what its emulator counted. It ends with the test `t`. */
export async function startSandbox(t, ...options) {
  const { url, stop } = await sandbox(...options);
  t.after(stop);
  const state = async () => (await fetch(`${url}/sandbox/state`)).json();
  return { url, state };
}

/** Starts Chromium. `camera` is granted, denied or none. It ends with the test `t`. */
export async function startBrowser(t, { camera = "granted" } = {}) {
  const args = ["--no-sandbox"];
  if (camera !== "none") args.push("--use-fake-device-for-media-stream");
  const answer = camera === "denied" ? "=deny" : "";
  args.push(`--use-fake-ui-for-media-stream${answer}`);
  const browser = await chromium.launch({ executablePath: browserProgram, args });
  t.after(() => browser.close());
  return browser;
}

/**
 * Opens the page. `page.foreign` collects requests to anywhere else, `page.complaints` what the
 * browser complains about, and `page.calls` the requests to the gateway.
 */
export async function openPage(browser, url, { size = DESKTOP, language = "en", scheme = "light",
  motion = "no-preference", prepare } = {}) {
  const context = await browser.newContext({
    viewport: size,
    locale: language === "zh" ? "zh-CN" : "en-GB",
    colorScheme: scheme,
    reducedMotion: motion,
  });
  const page = await context.newPage();
  Object.assign(page, { foreign: [], complaints: [], calls: [] });
  page.on("request", request => {
    const target = new URL(request.url());
    if (!["data:", "blob:"].includes(target.protocol) && target.origin !== url) {
      page.foreign.push(request.url());
    }
    if (target.pathname.startsWith("/v2/")) {
      const session = request.headers()["liveness-session"];
      page.calls.push({ path: target.pathname, session });
    }
  });
  page.on("pageerror", error => page.complaints.push(String(error)));
  page.on("console", message => {
    const expected = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !expected) page.complaints.push(message.text());
  });
  await page.addInitScript(watchShifts);
  if (process.env.PAGE_FROM_SOURCE) await serveSource(context, url);
  await prepare?.(page, context);
  await page.goto(`${url}/`);
  await page.waitForSelector("body[data-ready]");
  return page;
}

/** Waits for the result of a check, and returns what the page says of it. */
export async function readResult(page) {
  await page.waitForSelector("body[data-phase=result]", { timeout: PATIENCE });
  return page.evaluate(() => {
    const of = selector => document.querySelector(selector);
    const fact = name => of(`[data-fact=${name}] dd`).innerText;
    return {
      title: of(".result h1").textContent,
      reason: of(".result .reason").textContent,
      fine: of(".result .fine").textContent,
      verdict: fact("verdict"),
      checks: [...document.querySelectorAll(".checks span")].map(check => check.dataset.is),
      cost: fact("cost"),
      removed: fact("removed"),
      backend: fact("backend"),
      pictures: [...document.querySelectorAll(".pictures img")].length,
      start: of("#start").textContent,
      live: of("#live").textContent,
      focus: document.activeElement.id,
      shifts: window.layoutShifts.total,
      cameraOff: of("#camera").srcObject?.getTracks().every(track => track.readyState === "ended")
        ?? true,
    };
  });
}

/** Chooses what the emulator answers, and waits until it is set. */
export async function choose(page, outcome) {
  const choice = page.locator(`[name=outcome][value=${outcome}]`);
  if (await choice.isChecked()) return;
  const set = page.waitForResponse(response => response.url().endsWith("/sandbox/outcome"));
  await choice.check();
  await set;
}

/** Presses Tab until `id` has the focus. */
export async function tabTo(page, id) {
  for (let presses = 0; presses < 20; presses += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.id) === id) return;
  }
  throw new Error(`Tab never comes to #${id}`);
}

/** Counts how much the layout moves without a person's doing. */
function watchShifts() {
  window.layoutShifts = { total: 0, sources: [] };
  new PerformanceObserver(list => {
    for (const shift of list.getEntries()) {
      if (shift.hadRecentInput) continue;
      window.layoutShifts.total += shift.value;
      window.layoutShifts.sources.push(shift.sources.map(source => source.node?.className));
    }
  }).observe({ type: "layout-shift", buffered: true });
}

const TYPES = { js: "text/javascript", css: "text/css", svg: "image/svg+xml", html: "text/html" };

/** While the page is written: its files from the source, in place of those in the program. */
async function serveSource(context, url) {
  await context.route(`${url}/*`, async route => {
    const { pathname } = new URL(route.request().url());
    const name = pathname === "/" ? "index.html" : pathname.slice(1);
    const source = folder => readFile(`${root}${folder}/${name}`).catch(() => null);
    const body = await source("src/sandbox/page") ?? await source("web");
    if (!body) return route.continue();
    const response = await route.fetch();
    const headers = { ...response.headers(), "content-type": TYPES[name.split(".").pop()] };
    return route.fulfill({ status: 200, headers, body });
  });
}

// How the sandbox's page looks and can be used: contrast and names (axe), the languages, the order
// of focus, narrow screens, and less motion for those who ask for it.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";

import {
  choose, DESKTOP, openPage, PHONE, readResult, startBrowser, startSandbox,
} from "./page_support.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const NARROW = { width: 320, height: 568 };
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** WCAG 2.2, 1.4.3: the least contrast of text that is not large. */
const LEAST_CONTRAST = 4.5;

describe("every state is accessible", { concurrency: 2 }, () => {
  for (const scheme of ["light", "dark"]) {
    for (const [size, language] of [[DESKTOP, "en"], [PHONE, "zh"]]) {
      test(`${scheme}, ${size.width}, ${language}`, async t => {
        const sandbox = await startSandbox(t);
        const page = await openPage(await startBrowser(t), sandbox.url, { size, language, scheme });
        await page.evaluate(axe);
        await expectAccessible(page, "at first");
        await page.click("#start");
        await page.waitForSelector(".stage[data-ring=progress][data-scene=camera]");
        await expectAccessible(page, "while recording");
        await readResult(page);
        await expectAccessible(page, "passed");
        await page.click("#details");
        await expectAccessible(page, "with the dialog");
        await page.keyboard.press("Escape");
        await choose(page, "spoof");
        await page.click("#sample");
        await page.waitForSelector("body[data-phase=running]");
        assert.match((await readResult(page)).title, /Not passed|未通过/);
        await expectAccessible(page, "not passed");
        await sendWords(page);
        assert.match((await readResult(page)).fine, /video_not_mp4/);
        await expectAccessible(page, "an error");
      });
    }
  }
});

test("the language is the browser's, can be switched at any time, and is kept", async t => {
  const sandbox = await startSandbox(t);
  const page = await openPage(await startBrowser(t), sandbox.url, { language: "zh" });
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  await page.click("#sample");
  assert.equal((await readResult(page)).title, "通过");
  await page.click("[data-language=en]");
  const english = await readResult(page);
  assert.equal(english.title, "Passed");
  assert.match(english.verdict, /Genuine/);
  assert.equal(await page.getAttribute("html", "lang"), "en");
  assert.equal(await page.textContent("#choose"), "Choose a video");
  assert.ok(page.url().endsWith("#en"), "a link to the page carries the language");
  await page.goto(`${sandbox.url}/`);
  await page.waitForSelector("body[data-ready]");
  assert.equal(await page.getAttribute("html", "lang"), "en", "it is kept for the next visit");
  assert.deepEqual(await untranslated(page), [], "no text is left over");
});

test("Tab goes through the page in the order in which it is read", async t => {
  const sandbox = await startSandbox(t);
  const page = await openPage(await startBrowser(t), sandbox.url);
  const focused = () => page.evaluate(() => {
    const { id, value, dataset } = document.activeElement;
    return id || value || dataset.language;
  });
  const seen = [];
  for (let presses = 0; presses < 6; presses += 1) {
    await page.keyboard.press("Tab");
    seen.push(await focused());
  }
  assert.deepEqual(seen, ["en", "zh", "pass", "start", "choose", "sample"]);
  await page.keyboard.press("Enter");
  await page.waitForSelector("body[data-phase=running]");
  assert.equal(await focused(), "start", "the button to cancel");
  await readResult(page);
  assert.equal(await focused(), "start");
  await page.click("#details");
  await page.keyboard.press("Escape");
  assert.equal(await focused(), "details", "a dialog gives the focus back");
});

test("a narrow screen scrolls down, never sideways", async t => {
  const sandbox = await startSandbox(t);
  const browser = await startBrowser(t);
  for (const language of ["en", "zh"]) {
    const page = await openPage(browser, sandbox.url, { size: NARROW, language });
    await expectNoSidewaysScroll(page, language);
    for (const act of [() => page.click("#sample"), () => sendWords(page)]) {
      await act();
      const { title } = await readResult(page);
      await expectNoSidewaysScroll(page, `${language}, ${title}`);
      const top = await page.locator(".headline").evaluate(box => box.getBoundingClientRect().top);
      assert.ok(top >= 0 && top < NARROW.height, "the result is what is in view");
    }
  }
});

test("nothing moves for those who prefer less motion, but a picture says what to do", async t => {
  const sandbox = await startSandbox(t);
  const page = await openPage(await startBrowser(t), sandbox.url, { motion: "reduce" });
  const moving = () => page.evaluate(() => document.getAnimations()
    .filter(({ playState }) => playState === "running").map(({ animationName }) => animationName));
  await page.click("#start");
  await page.waitForSelector(".stage[data-ring=progress][data-scene=camera]");
  assert.deepEqual(await moving(), []);
  assert.ok(await page.locator(".cue .head").isVisible());
  const { title } = await readResult(page);
  assert.equal(title, "Passed");
  assert.deepEqual(await moving(), []);
  assert.ok(await page.locator("#recording").evaluate(video => video.paused));
});

/** Chooses a file that is no video. */
async function sendWords(page) {
  const buffer = Buffer.from("these are words");
  await page.setInputFiles("#file", { name: "words.mp4", mimeType: "video/mp4", buffer });
  await page.waitForFunction(() => document.querySelector(".fine").textContent.includes("video"));
}

async function expectAccessible(page, state) {
  const { violations, incomplete } = await page.evaluate(tags =>
    window.axe.run(document, { runOnly: tags, resultTypes: ["violations", "incomplete"] }), RULES);
  const told = violations.flatMap(({ id, nodes }) => nodes.map(node =>
    `${state}: ${id}: ${node.target}: ${node.failureSummary}`));
  assert.deepEqual(told, []);
  // What axe can't judge is text on the stage, over a picture. It stands on a ground of its own.
  const unsure = incomplete.filter(({ id }) => id === "color-contrast");
  for (const target of unsure.flatMap(({ nodes }) => nodes.map(node => node.target[0]))) {
    const contrast = await page.evaluate(worstContrast, target);
    assert.ok(contrast >= LEAST_CONTRAST, `${state}: ${target}: ${contrast}`);
  }
}

/** The contrast of a text to its translucent ground, over the worst of pictures: white or black. */
function worstContrast(selector) {
  const numbers = color => color.match(/[\d.]+/g).map(Number);
  const light = channels => {
    const [red, green, blue] = channels.map(channel => channel / 255).map(channel =>
      channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const text = document.querySelector(selector);
  let ground = text;
  while (numbers(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
  const [red, green, blue, alpha = 1] = numbers(getComputedStyle(ground).backgroundColor);
  const ink = light(numbers(getComputedStyle(text).color).slice(0, 3));
  return Math.min(...[0, 255].map(picture => {
    const mixed = [red, green, blue].map(channel => channel * alpha + picture * (1 - alpha));
    const [low, high] = [ink, light(mixed)].sort((one, other) => one - other);
    return (high + 0.05) / (low + 0.05);
  }));
}

async function expectNoSidewaysScroll(page, state) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(width, NARROW.width, state);
  const margins = await page.evaluate(() => [...document.querySelectorAll("main button, .receipt dd")]
    .map(part => part.getBoundingClientRect()).filter(({ width: shown }) => shown)
    .map(({ right }) => innerWidth - right));
  assert.ok(margins.every(margin => margin >= 15.9), `${state}: margins of ${margins}`);
}

/** Texts on an English page that have Chinese characters, but for the name of the language. */
const untranslated = page => page.evaluate(() => [...document.querySelectorAll("[data-t], .lead")]
  .map(place => place.textContent).filter(text => !text || /[\u4e00-\u9fff]/.test(text)));

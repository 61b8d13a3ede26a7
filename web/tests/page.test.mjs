// The promise of the sandbox's page: from opening it to a passing verdict, on a phone and on a
// desk, in English and in Chinese, with a mouse and with the keyboard alone, without scrolling.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  DESKTOP, openPage, PHONE, readResult, startBrowser, startSandbox, tabTo,
} from "./page_support.mjs";

const WORDS = {
  en: { lang: "en", passed: "Passed", genuine: "Genuine", billed: "1 billed call", nine: /9 pict/ },
  zh: { lang: "zh-CN", passed: "通过", genuine: "签名真实", billed: "计费 1 次", nine: /9 张图片/ },
};
// Every size meets every language and every way of working once.
const WAYS = [
  { size: DESKTOP, language: "en", by: "mouse", scheme: "light" },
  { size: DESKTOP, language: "zh", by: "keyboard", scheme: "dark" },
  { size: PHONE, language: "en", by: "keyboard", scheme: "dark" },
  { size: PHONE, language: "zh", by: "mouse", scheme: "light" },
];

describe("from the camera to a passing verdict", { concurrency: 2 }, () => {
  for (const way of WAYS) {
    const { size, language, by, scheme } = way;
    test(`${size.width}×${size.height}, ${language}, by ${by}`, async t => {
      const sandbox = await startSandbox(t);
      const page = await openPage(await startBrowser(t), sandbox.url, { size, language, scheme });
      const words = WORDS[language];
      assert.equal(await page.getAttribute("html", "lang"), words.lang);
      if (by === "mouse") {
        await page.click("#start");
      } else {
        await tabTo(page, "start");
        await page.keyboard.press("Enter");
      }
      await page.waitForSelector(".stage[data-scene=camera] #camera.on");
      await page.waitForSelector(".cue .cue-action:not(:empty)");
      const result = await readResult(page);
      assert.equal(result.title, words.passed, result.reason);
      assert.match(result.verdict, new RegExp(words.genuine));
      assert.deepEqual(result.checks, ["yes", "yes", "yes", "yes"]);
      assert.match(result.cost, new RegExp(words.billed));
      assert.match(result.removed, /^\d{3} KB/);
      assert.match(result.removed, words.nine);
      assert.equal(result.pictures, 9);
      assert.ok(result.live.startsWith(words.passed), result.live);
      assert.equal(result.focus, "start", "the focus stays on the button that was pressed");
      assert.ok(result.cameraOff, "the camera is off");
      await everythingIsInView(page, size);
      assert.ok(result.shifts < 0.005, `the layout moved by ${result.shifts}: ${
        JSON.stringify(await page.evaluate(() => window.layoutShifts.sources))}`);
      const state = await sandbox.state();
      assert.equal(state.billed_calls, 1);
      assert.equal(state.deliveries[0].passed, true);
      assert.deepEqual(page.foreign, [], "nothing is asked of another machine");
      assert.deepEqual(page.complaints, []);
    });
  }
});

async function everythingIsInView(page, { width, height }) {
  const sizes = await page.evaluate(() => {
    const { scrollWidth, scrollHeight } = document.documentElement;
    return { scrollWidth, scrollHeight };
  });
  assert.deepEqual(sizes, { scrollWidth: width, scrollHeight: height });
  for (const part of [
    ".headline h1", ".headline .reason", "[data-fact=verdict]", "[data-fact=cost]",
    "[data-fact=removed]", "[data-fact=backend]", ".pictures img:last-child", ".outcomes", "#start",
    "#choose", "#sample", ".notice",
  ]) {
    const place = page.locator(part);
    const box = await place.boundingBox();
    assert.ok(box && box.x >= 0 && box.y >= 0, `${part} is in view`);
    assert.ok(box.x + box.width <= width && box.y + box.height <= height, `${part} is in view`);
    assert.ok(await isOnTop(place), `nothing covers ${part}`);
  }
}

/** Whether the middle of an element is what a person sees there. */
const isOnTop = place => place.evaluate(element => {
  const { x, y, width, height } = element.getBoundingClientRect();
  const seen = document.elementFromPoint(x + width / 2, y + height / 2);
  return element.contains(seen) || seen.contains(element);
});

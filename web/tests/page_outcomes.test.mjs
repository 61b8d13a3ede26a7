// What the sandbox's page shows when a check does not pass, and the way out of each: a sentence for
// the person, what it cost, and a button that works.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe as group, test } from "node:test";

import { describe } from "../liveness.js";
import {
  choose, openPage, PHONE, readResult, startBrowser, startSandbox, tabTo,
} from "./page_support.mjs";

const JUDGED = [
  { outcome: "action-fail", code: "action_failed", says: /action was not seen/ },
  { outcome: "spoof", code: "not_passed", says: /look synthetic/ },
];

test("a failed check shows why, its price and its signed verdict, and can be repeated", async t => {
  const sandbox = await startSandbox(t);
  const page = await openPage(await startBrowser(t), sandbox.url, { size: PHONE });
  for (const [index, { outcome, code, says }] of JUDGED.entries()) {
    await choose(page, outcome);
    await page.click("#sample");
    const result = await readResult(page);
    assert.equal(result.title, "Not passed", outcome);
    assert.ok(result.reason.startsWith(describe(code, "en")), `${outcome}: ${result.reason}`);
    assert.match(result.reason, says);
    assert.match(result.verdict, /Genuine/, "a fail is signed, too");
    assert.match(result.cost, /^1 billed call/);
    assert.equal((await sandbox.state()).billed_calls, index + 1);
  }
  await choose(page, "pass");
  await page.click("#sample");
  assert.equal((await readResult(page)).title, "Passed");
});

test("a busy Qiniu costs nothing, and the same video can be sent again", async t => {
  const sandbox = await startSandbox(t);
  const page = await openPage(await startBrowser(t), sandbox.url);
  await choose(page, "busy");
  await page.click("#sample");
  await page.waitForSelector(".stage[data-ring=wait]");
  const busy = await readResult(page);
  assert.equal(busy.title, "No result");
  assert.ok(busy.reason.startsWith(describe("upstream_busy", "en")), busy.reason);
  assert.match(busy.fine, /^upstream_busy · [0-9a-f]{32}$/);
  assert.match(busy.cost, /^0 billed calls/);
  assert.match(busy.verdict, /None/);
  assert.equal(busy.start, "Send it again");
  await choose(page, "pass");
  await page.click("#start");
  const passed = await readResult(page);
  assert.equal(passed.title, "Passed", passed.reason);
  const { billed_calls: billed, session_calls: sessions } = await sandbox.state();
  assert.deepEqual({ billed, sessions }, { billed: 1, sessions: 1 });
});

group("without a usable camera", { concurrency: 2 }, () => {
  for (const [camera, code] of [["denied", "camera_denied"], ["none", "no_camera"]]) {
    test(`${code} leads to a file, by the keyboard alone`, async t => {
      const sandbox = await startSandbox(t);
      const page = await openPage(await startBrowser(t, { camera }), sandbox.url);
      await tabTo(page, "start");
      await page.keyboard.press("Enter");
      const denied = await readResult(page);
      assert.equal(denied.title, "No result");
      assert.ok(denied.reason.startsWith(describe(code, "en")), denied.reason);
      assert.match(denied.fine, new RegExp(`^${code}`));
      assert.equal(denied.focus, "start");
      await tabTo(page, "sample");
      await page.keyboard.press("Enter");
      const passed = await readResult(page);
      assert.equal(passed.title, "Passed", passed.reason);
    });
  }

  test("a page that browsers call insecure says what to do", async t => {
    const sandbox = await startSandbox(t);
    const page = await openPage(await startBrowser(t), sandbox.url, { prepare: makeInsecure });
    await page.click("#start");
    const insecure = await readResult(page);
    assert.ok(insecure.reason.startsWith(describe("insecure_page", "en")), insecure.reason);
    assert.match(insecure.reason, /--tls/);
    await page.click("#sample");
    const passed = await readResult(page);
    assert.match(passed.verdict, /not checked here[^]*--tls/);
    assert.deepEqual(passed.checks, ["unknown", "yes", "unknown", "yes"]);
  });
});

test("a file is checked before it is sent, and another one can be chosen", async t => {
  const sandbox = await startSandbox(t);
  const page = await openPage(await startBrowser(t), sandbox.url);
  const give = file => page.setInputFiles("#file", { mimeType: "video/mp4", ...file });
  await give({ name: "words.mp4", buffer: Buffer.from("these are words") });
  const wrong = await readResult(page);
  assert.ok(wrong.reason.startsWith(describe("video_not_mp4", "en")), wrong.reason);
  assert.equal((await sandbox.state()).verify_calls, 0, "nothing was sent");
  const sample = new URL("../../src/sandbox/sample.mp4", import.meta.url);
  await give({ name: "mine.mp4", buffer: await readFile(sample) });
  assert.equal((await readResult(page)).title, "Passed");
});

test("Cancel and Escape end a check, and the next one works", async t => {
  const sandbox = await startSandbox(t);
  const page = await openPage(await startBrowser(t), sandbox.url);
  await page.click("#start");
  await page.waitForSelector(".stage[data-scene=camera]");
  assert.equal(await page.textContent("#start"), "Cancel");
  await page.click("#start");
  const cancelled = await readResult(page);
  assert.equal(cancelled.title, "Cancelled");
  assert.ok(cancelled.cameraOff, "the camera is off");
  await page.click("#start");
  await page.waitForSelector(".stage[data-scene=camera]");
  await page.keyboard.press("Escape");
  assert.equal((await readResult(page)).title, "Cancelled");
  await page.click("#sample");
  assert.equal((await readResult(page)).title, "Passed");
});

test("a verdict that another key signed is not trusted", async t => {
  const sandbox = await startSandbox(t);
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  const { x } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const page = await openPage(await startBrowser(t), sandbox.url);
  await page.route("**/.well-known/jwks.json", async route => {
    const response = await route.fetch();
    const { keys } = await response.json();
    await route.fulfill({ response, json: { keys: keys.map(key => ({ ...key, x })) } });
  });
  await page.click("#sample");
  const { verdict, checks } = await readResult(page);
  assert.match(verdict, /Do not trust it/);
  assert.deepEqual(checks, ["no", "yes", "yes", "yes"]);
});

test("a browser without Ed25519 says so, and calls nothing genuine", async t => {
  const sandbox = await startSandbox(t);
  const prepare = page => page.addInitScript(() => {
    const unsupported = new DOMException("", "NotSupportedError");
    SubtleCrypto.prototype.importKey = () => Promise.reject(unsupported);
  });
  const page = await openPage(await startBrowser(t), sandbox.url, { prepare });
  await page.click("#sample");
  const { verdict, checks } = await readResult(page);
  assert.match(verdict, /not checked here[^]*no Ed25519/);
  assert.deepEqual(checks, ["unknown", "yes", "yes", "yes"]);
});

/** As a page over plain HTTP from another machine. */
function makeInsecure(page) {
  return page.addInitScript(() => {
    Object.defineProperty(window, "isSecureContext", { value: false });
    Object.defineProperty(navigator, "mediaDevices", { value: undefined });
    Object.defineProperty(crypto, "subtle", { value: undefined });
  });
}

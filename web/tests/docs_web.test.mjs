// The web pages of docs/frontend/web.md, run as they stand in Chromium with a fake camera, against
// a real sandbox. Needs playwright-core and a Chromium with H.264, such as Debian's.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { blocks } from "./blocks.mjs";
import { text } from "./messages.mjs";
import { billedCalls } from "./program.mjs";
import { sandbox } from "./sandbox.mjs";

let running;
let server;
let origin;
let browser;
before(async () => {
  running = await sandbox();
  for (const block of blocks("frontend/web.md")) {
    if (block.name) writeFileSync(join(running.folder, block.name), block.text);
  }
  writeFileSync(join(running.folder, "messages.json"), text());
  // The page with the module, and the way around a missing camera in it.
  const file = blocks("frontend/web.md").find(({ text: code }) => code.startsWith("function file"));
  const app = blocks("frontend/web.md").find(({ name }) => name === "app.js").text;
  const withFile = `${app.replace("onState: show,", "onState: show,\n      file,")}\n${file.text}`;
  writeFileSync(join(running.folder, "file.js"), withFile);
  const html = blocks("frontend/web.md").find(({ name }) => name === "index.html").text;
  writeFileSync(join(running.folder, "file.html"), html.replace("app.js", "file.js"));
  const backend = blocks("frontend/web.md").find(({ text: code }) => /function backend/.test(code));
  const imports = 'import { LivenessClient, checkLiveness } from "./liveness.js";';
  const call = 'checkTransaction(document.querySelector("#video"))';
  const main = `document.body.dataset.passed = await ${call};`;
  writeFileSync(join(running.folder, "back.js"), [imports, backend.text, main].join("\n"));
  writeFileSync(join(running.folder, "back.html"), html.replace("app.js", "back.js"));
  for (const name of ["liveness.js", "mp4.js", "messages.js"]) {
    copyFileSync(new URL(`../${name}`, import.meta.url), join(running.folder, name));
  }
  server = spawn(process.execPath, ["serve.mjs"], {
    cwd: running.folder,
    env: { ...process.env, PORT: "0", LIVENESS_GATEWAY_URL: running.url },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(server.stdout, "data");
  origin = String(line).trim();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
  });
});
after(async () => {
  await browser?.close();
  server?.kill();
  await running?.stop();
});

/** Opens a page of the folder, and starts a check. */
async function start(name, language = "en-US") {
  const page = await browser.newPage({ locale: language });
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  const logged = [];
  page.on("console", (message) => logged.push(message.text()));
  await page.goto(origin + name);
  await page.click("#start");
  const code = async () => {
    await page.waitForSelector("body[data-code]", { timeout: 60_000 });
    assert.deepEqual(faults, []);
    return page.getAttribute("body", "data-code");
  };
  return { page, code, logged };
}

for (const name of ["index.html", "plain.html"]) {
  test(`${name} gets a verdict by the camera`, async () => {
    const { page, code, logged } = await start(name);
    assert.equal(await code(), "passed", logged.join("\n"));
    assert.equal(await page.textContent("#text"), "The check has passed.");
    const own = logged.filter((line) => !line.startsWith("Failed to load resource"));
    assert.deepEqual(own, ["passed judged now"], "neither the verdict nor the session");
    await page.close();
  });

  test(`${name} sends the same again after a lost network, and it is billed once`, async () => {
    const billed = await billedCalls(running);
    const page = await browser.newPage({ locale: "zh-CN" });
    let lost = 0;
    await page.route("**/v2/actionliveness/verify", async (route) => {
      if (lost > 0) return route.continue();
      lost += 1;
      // The gateway gets it, and the page does not hear of that.
      await route.fetch();
      return route.abort("connectionreset");
    });
    const logged = [];
    page.on("console", (message) => logged.push(message.text()));
    await page.goto(origin + name);
    await page.click("#start");
    await page.waitForSelector("body[data-code]", { timeout: 60_000 });
    assert.equal(await page.getAttribute("body", "data-code"), "passed", logged.join("\n"));
    assert.equal(await page.textContent("#text"), "检测通过。");
    assert.ok(logged.includes("passed an earlier try had arrived"), logged.join("\n"));
    assert.equal(await billedCalls(running), billed + 1);
    await page.close();
  });

  test(`${name} can be cancelled while it records`, async () => {
    const { page, code } = await start(name);
    await page.waitForFunction(() => /head|blink/i.test(document.querySelector("#text").innerText));
    await page.click("#cancel");
    assert.equal(await code(), "cancelled");
    const live = await page.evaluate(() => document.querySelector("#video").srcObject
      ?.getTracks().some((track) => track.readyState === "live"));
    assert.ok(!live, "the camera is off");
    await page.close();
  });
}

test("a page without a camera takes the file of the phone's own recorder", async () => {
  const page = await browser.newPage({ locale: "en-US" });
  await page.addInitScript(() => {
    Object.defineProperty(navigator, "mediaDevices", { value: undefined });
  });
  await page.goto(`${origin}file.html`);
  await page.click("#start");
  const input = await page.waitForSelector("input[type=file][capture=user]");
  const sample = await fetch(`${running.url}/sample.mp4`);
  const buffer = Buffer.from(await sample.arrayBuffer());
  await input.setInputFiles({ name: "VID_1.mp4", mimeType: "video/mp4", buffer });
  await page.waitForSelector("body[data-code]", { timeout: 60_000 });
  assert.equal(await page.getAttribute("body", "data-code"), "passed");
  assert.equal(await page.$("input"), null, "the input is gone");
  await page.close();
});

test("a tap after a refusal sends the same video again, when the time has passed", async () => {
  const page = await browser.newPage({ locale: "en-US" });
  const sessions = [];
  await page.route("**/verify", (route) => {
    sessions.push(route.request().headers()["liveness-session"]);
    if (sessions.length > 1) return route.continue();
    const headers = { "Retry-After": "1", "X-Request-Id": "id-7" };
    return route.fulfill({ status: 429, headers, body: '{"code":"rate_limited"}' });
  });
  await page.goto(`${origin}index.html`);
  await page.click("#start");
  await page.waitForSelector("body[data-code=rate_limited]", { timeout: 60_000 });
  assert.match(await page.textContent("#text"), /\(id-7\)$/);
  assert.ok(await page.isDisabled("#start"), "not before Retry-After has passed");
  await page.click("#start");
  await page.waitForSelector("body[data-code=passed]", { timeout: 60_000 });
  assert.equal(sessions.length, 2);
  assert.equal(sessions[0], sessions[1]);
  await page.close();
});

test("a page ties the check to a transaction of its backend", async () => {
  const page = await browser.newPage();
  const nonce = "a-nonce-of-this-transaction";
  await page.route("**/start", (route) => route.fulfill({
    json: { transaction: "t1", nonce, token: running.token },
  }));
  let finished;
  await page.route("**/finish", (route) => {
    finished = route.request().postDataJSON();
    return route.fulfill({ json: { passed: true } });
  });
  await page.goto(`${origin}back.html`);
  await page.waitForSelector("body[data-passed]", { timeout: 60_000 });
  assert.equal(await page.getAttribute("body", "data-passed"), "true");
  assert.equal(finished.transaction, "t1");
  const claims = JSON.parse(Buffer.from(finished.verdict.split(".")[1], "base64url"));
  assert.equal(claims.nonce, nonce);
  assert.equal(claims.liveness.passed, true);
  await page.close();
});

test("a refused token of a transaction is not sent a second time", async () => {
  const page = await browser.newPage();
  await page.route("**/start", (route) => route.fulfill({
    json: { transaction: "t2", nonce: "a-nonce-of-this-transaction", token: "refused" },
  }));
  let asked = 0;
  page.on("request", (request) => { asked += request.url().endsWith("sessioncode"); });
  const fault = page.waitForEvent("pageerror");
  await page.goto(`${origin}back.html`);
  assert.match(String(await fault), /token_failed/);
  assert.equal(asked, 1);
  await page.close();
});

// What the first responses to a request are (null: none), and what comes of it.
const FAULTS = [
  { name: "a proxy's page", code: "bad_response", replies: [{ status: 404, body: "<html>" }] },
  { name: "a busy proxy's page", code: "passed", replies: [{ status: 502, body: "<html>" }] },
  {
    name: "busy, then a token that has expired",
    code: "passed",
    replies: [
      { status: 503, headers: { "Retry-After": "1" }, body: '{"code":"overloaded"}' },
      { status: 401, body: '{"code":"expired_token"}' },
    ],
  },
  {
    name: "a network that is lost before the token",
    code: "passed",
    path: "**/sandbox/token",
    replies: [null],
  },
  {
    name: "a cancelled wait",
    code: "cancelled",
    cancel: true,
    replies: [{ status: 503, headers: { "Retry-After": "50" }, body: '{"code":"overloaded"}' }],
  },
];
for (const { name, code: wanted, path = "**/sessioncode", replies, cancel } of FAULTS) {
  test(`plain.html ends ${name} as ${wanted}`, async () => {
    const page = await browser.newPage({ locale: "en-US" });
    const left = [...replies];
    await page.route(path, (route) => {
      const reply = left.shift();
      if (reply === null) return route.abort("internetdisconnected");
      return reply ? route.fulfill(reply) : route.continue();
    });
    await page.goto(`${origin}plain.html`);
    await page.click("#start");
    if (cancel) {
      await page.waitForFunction(() => /busy/.test(document.querySelector("#text").innerText));
      await page.click("#cancel");
    }
    await page.waitForSelector("body[data-code]", { timeout: 30_000 });
    assert.equal(await page.getAttribute("body", "data-code"), wanted);
    await page.close();
  });
}

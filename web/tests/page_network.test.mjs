// A network that goes away in the middle of a check of the sandbox's page, and comes back: the same
// session, the same video, one billed call.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";

import { choose, openPage, readResult, startBrowser, startSandbox } from "./page_support.mjs";

test("a browser that goes offline during the upload goes on with the same session", async t => {
  const sandbox = await startSandbox(t);
  const cable = await startCable(t, new URL(sandbox.url));
  const page = await openPage(await startBrowser(t), cable.url);
  const network = await page.context().newCDPSession(page);
  const conditions = uploadThroughput => network.send("Network.emulateNetworkConditions", {
    offline: false, latency: 0, downloadThroughput: -1, uploadThroughput,
  });
  await page.click("#start");
  await page.waitForSelector(".stage[data-ring=progress][data-scene=camera]");
  await conditions(20_000);
  await page.waitForSelector(".stage[data-ring=progress][data-scene=after]");
  await page.waitForFunction(() =>
    Number(getComputedStyle(document.querySelector(".oval")).getPropertyValue("--progress")) > 5);
  await page.context().setOffline(true);
  cable.cut(); // As the system of a phone does, which closes what is open.
  await page.waitForSelector(".stage[data-ring=wait]");
  assert.equal(await page.textContent("h1"), "Connection lost");
  await conditions(-1);
  cable.mend();
  await page.context().setOffline(false);
  const result = await readResult(page);
  assert.equal(result.title, "Passed", result.reason);
  await onceAndForOneSession(page, sandbox);
});

test("a connection that is cut behind the upload gets the first answer again", async t => {
  const sandbox = await startSandbox(t, "--latency", "1s");
  const cable = await startCable(t, new URL(sandbox.url));
  const page = await openPage(await startBrowser(t), cable.url);
  await page.click("#sample");
  await page.waitForFunction(() => document.querySelector("[data-step=verdict][data-now]"));
  await untilCalled(sandbox);
  cable.cut();
  await page.waitForSelector(".stage[data-ring=wait]");
  cable.mend();
  const result = await readResult(page);
  assert.equal(result.title, "Passed", result.reason);
  assert.match(result.cost, /1 billed call\s+Sent \d times.*from memory/);
  await onceAndForOneSession(page, sandbox);
});

test("the switch for a lost network shows the same", async t => {
  const sandbox = await startSandbox(t);
  const page = await openPage(await startBrowser(t), sandbox.url);
  await choose(page, "lost");
  await page.click("#sample");
  const result = await readResult(page);
  assert.equal(result.title, "Passed", result.reason);
  assert.match(result.cost, /1 billed call\s+Sent 2 times.*from memory/);
  await onceAndForOneSession(page, sandbox);
});

/** The emulator counted one call of each kind, and each upload was for the one session. */
async function onceAndForOneSession(page, sandbox) {
  const { billed_calls: billed, session_calls: sessions } = await sandbox.state();
  assert.deepEqual({ billed, sessions }, { billed: 1, sessions: 1 });
  const uploads = page.calls.filter(call => call.path.endsWith("/verify"));
  assert.ok(uploads.length >= 2, "the video was sent again");
  assert.equal(new Set(uploads.map(upload => upload.session)).size, 1);
}

/** Until Qiniu's emulator has the video: it counts a call when it begins to answer. */
async function untilCalled(sandbox) {
  for (;;) {
    const { verify_calls: calls } = await sandbox.state();
    if (calls > 0) return;
  }
}

/** A cable between browser and sandbox, which can be cut and mended. */
async function startCable(t, { hostname, port }) {
  const open = new Set();
  let whole = true;
  const server = net.createServer(near => {
    if (!whole) return near.destroy();
    const far = net.connect(Number(port), hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      open.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => { open.delete(from); to.destroy(); });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.close(); for (const socket of open) socket.destroy(); });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut() { whole = false; for (const socket of open) socket.destroy(); },
    mend() { whole = true; },
  };
}

// The mini program of docs/frontend/wechat.md, run as it stands, with a stand-in for `wx`, against
// a real sandbox.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import vm from "node:vm";
import { file } from "./blocks.mjs";
import { text } from "./messages.mjs";
import { billedCalls } from "./program.mjs";
import { sandbox } from "./sandbox.mjs";
import { miniProgram } from "./wechat.mjs";

const page = "frontend/wechat.md";
const files = {
  "index.js": file(page, "index.js"),
  "liveness.js": file(page, "liveness.js"),
  "messages.js": `module.exports = ${text()}`,
};
const facts = { duration: 3, width: 640, height: 480 };
let running;
let video;
before(async () => {
  running = await sandbox();
  video = join(running.folder, "tmp_797bcd3bf19a.mp4");
  const sample = await fetch(`${running.url}/sample.mp4`);
  writeFileSync(video, Buffer.from(await sample.arrayBuffer()));
});
after(() => running.stop());

const program = (options) => miniProgram(files, { video, facts, base: running.url, ...options });

test("a mini program gets a verdict by uploadFile", async () => {
  const { page: shown, calls } = program();
  await shown.start();
  assert.equal(shown.data.code, "passed");
  assert.equal(shown.data.text, "检测通过。");
  assert.equal(calls.uploads, 1);
  assert.ok(calls.progress.includes(40) && calls.progress.includes(100));
  assert.equal(shown.data.replayed, false);
});

test("an upload whose response is lost is sent again, and billed once", async () => {
  const billed = await billedCalls(running);
  const { page: shown, calls } = program({ lose: true });
  await shown.start();
  assert.equal(shown.data.code, "passed");
  assert.equal(calls.uploads, 2);
  assert.equal(shown.data.replayed, true);
  assert.equal(await billedCalls(running), billed + 1);
});

test("a proxy's page without a code is as good as busy with 5xx, and ends otherwise", () => {
  const context = { require: () => JSON.parse(text()), module: {} };
  const made = vm.runInNewContext(`${file(page, "liveness.js")}\n;({ reply, codeOf })`, context);
  const code = (statusCode, data) => made.codeOf(made.reply({ statusCode, data }));
  const found = [code(502, "<html>"), code(404, "<html>"), code(200, "null"), code(503, "{}"),
    code(409, '{"code":"session_used"}'), code(200, '{"error_code":18}')];
  assert.deepEqual(found, ["overloaded", "bad_response", "bad_response", "overloaded",
    "session_used", "18"]);
});

test("an upload that is cancelled says so", async () => {
  const { page: shown } = program();
  const { setData } = shown;
  shown.setData = (data) => {
    setData(data);
    if (data.percent === 40) setImmediate(() => shown.cancel());
  };
  await shown.start();
  assert.equal(shown.data.code, "cancelled");
});

test("a video that is too long is not uploaded", async () => {
  const { page: shown, calls } = program({ facts: { ...facts, duration: 12 } });
  await shown.start();
  assert.equal(shown.data.code, "video_too_long");
  assert.equal(shown.data.text, "视频超过 10 秒，请重新录制。");
  assert.equal(calls.uploads, 0);
});

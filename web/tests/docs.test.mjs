// docs/frontend.md and docs/frontend/wechat.md, run as they stand, against a real sandbox.
// Needs curl and a POSIX shell, and no package.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import vm from "node:vm";
import { blocks } from "./blocks.mjs";
import { rows, text, file as messagesFile } from "./messages.mjs";
import { billedCalls } from "./program.mjs";
import { sandbox } from "./sandbox.mjs";

const folder = new URL("../../docs/frontend/", import.meta.url);
const pages = readdirSync(folder).filter((name) => name.endsWith(".md"))
  .map((name) => `frontend/${name}`).concat("frontend.md");
let running;
before(async () => { running = await sandbox(); });
after(() => running.stop());

test("the commands of frontend.md give the responses that it shows", async () => {
  const commands = blocks("frontend.md").filter(({ language }) => language === "sh");
  assert.ok(commands.length >= 6, `${commands.length} blocks of commands`);
  const script = commands.map((block) => block.text).join("\n");
  execFileSync("sh", ["-eu", "-c", script], { cwd: running.folder, stdio: "pipe" });
  const read = (name) => readFileSync(join(running.folder, name), "utf8");
  const answers = ["answer", "answer-form", "answer-json", "answer-again"];
  for (const name of answers) {
    const answer = JSON.parse(read(name));
    assert.equal(answer.error_code, 0, name);
    assert.equal(answer.result.action_verify, "pass", name);
    assert.match(answer.verdict, /^ey/, name);
  }
  assert.match(JSON.parse(read("session")).result.code, /^[0457]{1,2}$/);
  assert.equal(read("answer-again"), read("answer"), "a retry gets the same response");
  assert.match(read("headers-again"), /^liveness-replayed: true\r$/im);
  assert.doesNotMatch(read("headers"), /liveness-replayed/i);
  assert.equal(await billedCalls(running), 3, "four uploads, three calls");
  const claims = JSON.parse(atob(JSON.parse(read("answer")).verdict.split(".")[1]));
  assert.equal(claims.nonce, "0f4c2ab39d5e6718");
});

test("every member that a response has is described", () => {
  const page = readFileSync(new URL("../../docs/frontend.md", import.meta.url), "utf8");
  const answer = JSON.parse(readFileSync(join(running.folder, "answer"), "utf8"));
  const names = new Set();
  JSON.stringify(answer, (name, value) => {
    if (name && !/^\d+$/.test(name)) names.add(name);
    return value;
  });
  const undescribed = [...names].filter((name) => !page.includes(name));
  assert.deepEqual(undescribed, []);
});

test("each configuration that the pages show is accepted", () => {
  const minimal = blocks("../README.md").find(({ language }) => language === "toml").text;
  const environment = { QINIU_ACCESS_KEY: "access", QINIU_SECRET_KEY: "secret" };
  const shown = pages.flatMap(blocks).filter(({ language }) => language === "toml");
  assert.ok(shown.length >= 2);
  for (const { text: addition } of shown) {
    const path = join(running.folder, "gateway.toml");
    writeFileSync(path, minimal + addition);
    const env = { ...process.env, ...environment };
    const options = { env, encoding: "utf8", stdio: "pipe" };
    execFileSync(process.env.LIVENESS_GATEWAY, ["check", "--config", path], options);
  }
});

test("each script that the pages show is valid", () => {
  const scripts = pages.flatMap(blocks).filter(({ language }) => language === "js");
  assert.ok(scripts.length >= 7);
  for (const { name, text: script } of scripts) {
    // A module may await and import; a function's body may return.
    const body = script.replace(/^import [^;]*;$/gm, "");
    assert.doesNotThrow(() => new vm.Script(`async () => {${body}}`), name || script);
  }
});

test("messages.json says what the page of messages says", () => {
  assert.equal(readFileSync(messagesFile, "utf8"), text(), "node web/tests/messages.mjs --write");
});

test("the page of messages has every error code once, and no other", () => {
  const errors = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const documented = [...errors.matchAll(/^\| \d[\d, ]* `(\w+)`/gm)].map(([, code]) => code);
  assert.ok(documented.length > 25);
  const listed = rows().filter(({ section }) => section === "Codes of the gateway");
  const codes = listed.map(({ code }) => code);
  assert.deepEqual(codes.toSorted(), [...new Set(documented)].sort());
});

test("no code has two sentences, and every sentence has both languages", () => {
  const seen = new Map();
  for (const { section, code, next, en, zh } of rows()) {
    const key = section === "Actions" ? `action_${code}` : code;
    assert.ok(!seen.has(key), `${key} stands twice`);
    seen.set(key, next);
    assert.match(en, /^[A-Z][^\u4e00-\u9fff]+$/, key);
    assert.match(zh, /[\u4e00-\u9fff]/, key);
    assert.doesNotMatch(zh, /[\u4e00-\u9fff][,.:;?!()]|[,.:;?!()][\u4e00-\u9fff]/, key);
    const nexts = ["same", "later", "record_again", "new_session", "sign_in", "none"];
    if (section !== "Actions") assert.ok(nexts.includes(next), `${key}: ${next}`);
  }
});

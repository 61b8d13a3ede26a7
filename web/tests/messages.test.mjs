// The module's sentences are those of docs/frontend/messages.md, and every code has one.
// Needs nothing but node.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { describe, LivenessError, retryOf } from "../liveness.js";
import { rows } from "./messages.mjs";

const table = rows();

test("each row of the tables is what the module says", () => {
  assert.ok(table.length > 100, `${table.length} rows`);
  for (const { section, code, next, en, zh } of table) {
    const codes = section === "Actions" ? [next]
      : /^\d+$/.test(code) ? [`qiniu_${code}`, Number(code)]
        : code === "any other" ? ["qiniu_999999", 999999, "brand_new", "", "other"] : [code];
    for (const each of codes) {
      assert.equal(describe(each), en, `${each}`);
      assert.equal(describe(each, "en-GB"), en, `${each}`);
      assert.equal(describe(each, "fr"), en, `${each}`);
      for (const language of ["zh", "zh-CN", "ZH-Hans"]) {
        assert.equal(describe(each, language), zh, `${each}`);
      }
      if (section !== "Actions") assert.equal(retryOf(each), next, `${each}`);
    }
  }
});

test("each code of docs/errors.md has a row", () => {
  const page = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const codes = [...page.matchAll(/^\| \d{3}(?:, \d{3})* `(\w+)` \|/gm)].map(([, code]) => code);
  assert.ok(codes.length > 30, `${codes.length} codes`);
  const known = new Set(table.map(({ code }) => code));
  assert.deepEqual(codes.filter((code) => !known.has(code)), []);
});

test("each code of the module's own has a row, and is in the types", () => {
  const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), "utf8");
  const source = read("liveness.js");
  const used = [...source.matchAll(/"((?:camera|no|insecure|unknown|token|bad)_\w+)"/g)];
  const faults = [...source.matchAll(/fault\("(\w+)"/g)].map(([, code]) => `video_${code}`);
  const codes = new Set([...used.map(([, code]) => code), ...faults, "network", "timeout", "offline",
    "cancelled", "session_expired", "overloaded", "passed", "action_failed", "not_passed"]);
  assert.ok(codes.size > 20, [...codes].join());
  const rowOf = new Map(table.map((row) => [row.code, row]));
  for (const code of codes) {
    assert.ok(rowOf.has(code), `${code} has no row`);
    assert.ok(read("liveness.d.ts").includes(`"${code}"`), `${code} is not in liveness.d.ts`);
  }
  for (const { section, code } of table) {
    const own = section.startsWith("Codes of the web module");
    assert.ok(!own || codes.has(code), `${code} is never used`);
  }
});

test("an error has the next step of its code, and the facts of the response", () => {
  const error = new LivenessError("upstream_busy", { status: 503, retryAfter: 3, detail: "later" });
  assert.ok(error instanceof Error);
  assert.deepEqual(
    [error.name, error.code, error.retry, error.status, error.retryAfter, error.message],
    ["LivenessError", "upstream_busy", "same", 503, 3, "upstream_busy later"],
  );
});

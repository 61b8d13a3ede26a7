// What the module promises of its files: small, readable, without dependencies; its types compile.
// Needs the package typescript.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as module from "../liveness.js";

const folder = new URL("../", import.meta.url);
const scripts = readdirSync(folder).filter((name) => name.endsWith(".js"));
const read = (name) => readFileSync(new URL(name, folder), "utf8");

test("liveness.js is under 20,000 bytes, and all scripts are under 30,000", () => {
  const sizes = Object.fromEntries(scripts.map((name) => [name, statSync(new URL(name, folder)).size]));
  assert.deepEqual(scripts, ["liveness.js", "messages.js", "mp4.js"]);
  assert.ok(sizes["liveness.js"] < 20_000, `${sizes["liveness.js"]} bytes`);
  const sum = Object.values(sizes).reduce((sum, size) => sum + size);
  assert.ok(sum < 30_000, `${sum} bytes`);
});

test("the scripts are readable, and import nothing but each other", () => {
  for (const name of scripts) {
    const text = read(name);
    assert.match(text, /^\/\*\*\n \* /, `${name} begins with a head`);
    for (const [, from] of text.matchAll(/from "(.+?)"|import\("/g)) {
      assert.ok(scripts.includes(from?.replace("./", "")), `${name} imports ${from}`);
    }
    // The rows of the sentences can't be broken.
    const code = name === "messages.js" ? text.replace(/`[^`]*`/g, "``") : text;
    const wide = code.split("\n").filter((line) => line.length > 100);
    assert.deepEqual(wide, [], name);
    assert.ok(code.length / code.split("\n").length > 20, "is not one line");
  }
});

test("the types name what the module exports, and compile in a strict program", () => {
  const declared = [...read("liveness.d.ts").matchAll(
    /^export (?:class|function|const) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(declared.sort(), Object.keys(module).sort());
  const compiler = fileURLToPath(new URL("node_modules/typescript/bin/tsc", import.meta.url));
  const programs = ["types/good.ts", "types/bad.ts"].map((name) =>
    fileURLToPath(new URL(name, import.meta.url)));
  const { stdout } = spawnSync(process.execPath, [compiler, "--noEmit", "--strict",
    "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--skipDefaultLibCheck",
    "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable", ...programs,
  ], { encoding: "utf8" });
  // good.ts has no mistake; of bad.ts each marked line, or the types say too little.
  const found = [...stdout.matchAll(/(\w+)\.ts\((\d+),/g)].map(([, name, line]) => `${name} ${line}`);
  const marked = readFileSync(programs[1], "utf8").split("\n")
    .flatMap((line, at) => (line.includes("// wrong") ? [`bad ${at + 1}`] : []));
  assert.ok(marked.length > 5);
  assert.deepEqual([...new Set(found)], marked, stdout);
});

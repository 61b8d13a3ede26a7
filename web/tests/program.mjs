// The program that LIVENESS_GATEWAY names, as tests run it: a start in a folder of its own, its
// output, and what it has billed.
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new folder. The test removes it. */
export function newFolder() {
  return mkdtempSync(join(tmpdir(), "liveness-web-"));
}

/** Starts the program: `{ child, output(), ended }`. `ended` is rejected once it has ended. */
export function start(words, env = process.env) {
  const program = process.env.LIVENESS_GATEWAY;
  if (!program) throw new Error("LIVENESS_GATEWAY must name the program to test");
  const child = spawn(program, words, { env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  const keep = (data) => { text += data; };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const ended = new Promise((_, reject) => {
    child.on("exit", () => reject(new Error(`${words[0]} has ended:\n${text}`)));
  });
  ended.catch(() => {});
  return { child, output: () => text, ended };
}

/** How many verifies Qiniu was paid for, by the gateway's own count. */
export async function billedCalls({ admin }) {
  const metrics = await (await fetch(`${admin}/metrics`)).text();
  const count = /^liveness_gateway_upstream_requests_total\{.*verify.*\} (\d+)$/gm;
  return [...metrics.matchAll(count)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

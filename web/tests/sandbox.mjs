// A sandbox for a test: the program that LIVENESS_GATEWAY names, on a free port.
// It ends with `stop`. Its token, URL and admin URL are those of its --env-file.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Starts a sandbox: `{ url, token, admin, environment, folder, stop }`. */
export async function sandbox(...options) {
  const program = process.env.LIVENESS_GATEWAY;
  if (!program) throw new Error("LIVENESS_GATEWAY must name the program to test");
  const folder = mkdtempSync(join(tmpdir(), "liveness-docs-"));
  const environment = join(folder, "sandbox.env");
  const listen = ["--listen", "127.0.0.1:0"];
  const child = spawn(program, ["sandbox", ...listen, "--env-file", environment, ...options], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (text) => { log += text; });
  const written = new Promise((resolve) => {
    const watcher = watch(folder, (_, name) => {
      if (name !== "sandbox.env") return;
      watcher.close();
      resolve();
    });
  });
  const ended = once(child, "exit").then(() => { throw new Error(`no sandbox:\n${log}`); });
  ended.catch(() => {});
  await Promise.race([written, ended]);
  const lines = readFileSync(environment, "utf8").trim().split("\n");
  const variables = Object.fromEntries(lines.map((line) => line.split("=", 2)));
  return {
    url: variables.LIVENESS_GATEWAY_URL,
    token: variables.LIVENESS_GATEWAY_TOKEN,
    admin: variables.LIVENESS_GATEWAY_ADMIN_URL,
    folder,
    async stop() {
      const exit = once(child, "exit");
      child.kill("SIGTERM");
      await exit;
      rmSync(folder, { recursive: true });
    },
  };
}

/** How many calls the emulated Qiniu was paid for, by the gateway's own count. */
export async function billedCalls({ admin }) {
  const metrics = await (await fetch(`${admin}/metrics`)).text();
  const count = /^liveness_gateway_upstream_requests_total\{.*verify.*\} (\d+)$/gm;
  return [...metrics.matchAll(count)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

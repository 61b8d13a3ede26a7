// A sandbox for a test: the program that LIVENESS_GATEWAY names, on a free port.
// It ends with `stop`. Its token, URL and admin URL are those of its --env-file.
import { once } from "node:events";
import { readFileSync, rmSync, watch } from "node:fs";
import { join } from "node:path";
import { newFolder, start } from "./program.mjs";

/** Starts a sandbox: `{ url, token, admin, environment, folder, stop }`. */
export async function sandbox(...options) {
  const folder = newFolder();
  const environment = join(folder, "sandbox.env");
  const listen = ["--listen", "127.0.0.1:0"];
  const { child, ended } = start(["sandbox", ...listen, "--env-file", environment, ...options]);
  const watcher = watch(folder);
  const written = new Promise((resolve) => {
    watcher.on("change", (_, name) => { if (name === "sandbox.env") resolve(); });
  });
  await Promise.race([written, ended]).finally(() => watcher.close());
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

// Debian's Chromium for the module's tests: it encodes H.264, and has a fake camera. CHROMIUM names
// another program. Each page is of a context of its own, at the site of `site.mjs`.
import { chromium } from "playwright-core";

const FAKE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

/** Starts a browser; `camera: false` has no camera, `allowed: false` denies it. */
export function browser({ camera = true, allowed = true, more = [] } = {}) {
  const fakes = FAKE.filter((_, at) => (at ? allowed : camera));
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", ...fakes, ...more],
  });
}

/**
 * Runs `code` in a new page, as a function of `argument` and of the module. Fails with what the
 * page didn't catch. A `Blob` in its result is lost: return numbers.
 */
export async function inPage(started, url, code, argument, prepare = () => {}) {
  const context = await started.newContext();
  try {
    const page = await context.newPage();
    const faults = [];
    page.on("pageerror", (error) => faults.push(error.stack));
    await page.goto(url);
    await prepare(page, context);
    const text = `async (argument) => (${code})(argument, await import("/liveness.js"))`;
    const result = await page.evaluate(`(${text})(${JSON.stringify(argument ?? null)})`);
    if (faults.length > 0) throw new Error(faults.join("\n"));
    return result;
  } finally {
    await context.close();
  }
}

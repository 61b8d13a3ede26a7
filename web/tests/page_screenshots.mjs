// Takes the pictures of the sandbox's page that the README shows, into docs/images: run it as
// `node page_screenshots.mjs FOLDER`. The camera shows a drawing, so that nobody is in them.
// Nothing compares them: fonts and encoders differ between machines.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { DESKTOP, openPage, readResult, startSandbox } from "./page_support.mjs";

const MOST_BYTES = 150_000;
const WIDTH = 640;
const HEIGHT = 480;
/** A drawn person in front of a window. */
const PERSON = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}">
  <rect width="640" height="480" fill="#c9d3d0"/>
  <rect x="70" y="-10" width="130" height="300" rx="6" fill="#e6ecea"/>
  <rect x="440" y="120" width="160" height="14" rx="4" fill="#a98f78"/>
  <path d="M462 120V84h16v36m4 0V70h20v50m6 0V92h14v28" fill="#7d8f98"/>
  <path d="M120 480c6-84 84-116 156-126h88c72 10 150 42 156 126z" fill="#2f6f73"/>
  <path d="M276 300h88v64c-20 26-68 26-88 0z" fill="#c98f6b"/>
  <ellipse cx="320" cy="216" rx="88" ry="114" fill="#dda57f"/>
  <path d="M228 226c-14-98 28-142 92-142 66 0 108 44 92 142-8-22-10-50-26-70-40 4-84-6-106-30
   -10 30-44 50-52 100z" fill="#3a2a24"/>
  <ellipse cx="231" cy="226" rx="12" ry="20" fill="#d19a74"/>
  <ellipse cx="409" cy="226" rx="12" ry="20" fill="#d19a74"/>
  <path d="M268 194c10-8 26-8 36-2m32 0c10-6 26-6 36 2" fill="none" stroke="#3a2a24"
    stroke-width="6" stroke-linecap="round"/>
  <circle cx="287" cy="216" r="7" fill="#241a17"/><circle cx="353" cy="216" r="7" fill="#241a17"/>
  <path d="M320 220c-3 18-10 28-10 36 0 6 8 8 18 5" fill="none" stroke="#b97f5c" stroke-width="5"
    stroke-linecap="round"/>
  <path d="M288 284c16 14 48 14 64 0" fill="none" stroke="#9c5547" stroke-width="6"
    stroke-linecap="round"/>
</svg>`;
const SHOTS = [
  { name: "sandbox-recording", size: DESKTOP, language: "en", at: "recording" },
  { name: "sandbox-recording.zh-CN", size: DESKTOP, language: "zh", at: "recording" },
  { name: "sandbox-result", size: DESKTOP, language: "en", at: "result" },
  { name: "sandbox-result.zh-CN", size: DESKTOP, language: "zh", at: "result" },
];

const [folder] = process.argv.slice(2);
if (!folder) throw new Error("usage: node page_screenshots.mjs FOLDER");
const ends = [];
const scope = { after: end => ends.unshift(end) };
try {
  const sandbox = await startSandbox(scope);
  const browser = await startDrawnBrowser(scope);
  for (const shot of SHOTS) await take(await openPage(browser, sandbox.url, shot), shot);
} finally {
  for (const end of ends) await end();
}

async function take(page, { name, at }) {
  await page.click("#start");
  if (at === "recording") {
    await page.waitForFunction(() => {
      const ring = document.querySelector(".stage[data-scene=camera] .oval");
      return ring && Number(getComputedStyle(ring).getPropertyValue("--progress")) > 35;
    });
  }
  if (at === "result") {
    await readResult(page);
    await page.mouse.move(0, 0);
    await page.waitForFunction(() => [...document.images].every(image => image.complete));
  }
  const path = join(folder, `${name}.webp`);
  const tools = await page.context().newCDPSession(page);
  const { data } = await tools.send("Page.captureScreenshot", { format: "webp", quality: 92 });
  const picture = Buffer.from(data, "base64");
  await writeFile(path, picture);
  console.log(`${path}: ${picture.length} bytes`);
  if (picture.length > MOST_BYTES) throw new Error(`${path} has more than ${MOST_BYTES} bytes`);
  await page.context().close();
}

/** A browser whose camera shows the drawing. */
async function startDrawnBrowser({ after }) {
  const temporary = await mkdtemp(join(tmpdir(), "liveness-camera-"));
  after(() => rm(temporary, { recursive: true }));
  const camera = join(temporary, "camera.y4m");
  const launch = args => chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", ...args],
  });
  const painter = await launch([]);
  const canvas = await painter.newPage();
  const pixels = await canvas.evaluate(paint, [PERSON, WIDTH, HEIGHT]);
  await painter.close();
  await writeFile(camera, y4m(Buffer.from(pixels, "base64")));
  const browser = await launch([
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
    `--use-file-for-fake-video-capture=${camera}`,
  ]);
  after(() => browser.close());
  return browser;
}

/** Runs in a page: paints an SVG, and returns its pixels (RGBA) in base64. */
async function paint([svg, width, height]) {
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const { data } = canvas.getImageData(0, 0, width, height);
  let text = "";
  for (const value of data) text += String.fromCharCode(value);
  return btoa(text);
}

/** A film of two equal frames: YUV4MPEG2, 4:2:0, BT.601. */
function y4m(rgba) {
  const luma = Buffer.alloc(WIDTH * HEIGHT);
  const chroma = [Buffer.alloc(luma.length / 4), Buffer.alloc(luma.length / 4)];
  for (let at = 0; at < luma.length; at += 1) {
    const [red, green, blue] = rgba.subarray(at * 4, at * 4 + 3);
    luma[at] = 16 + 0.257 * red + 0.504 * green + 0.098 * blue;
    const [x, y] = [at % WIDTH, Math.floor(at / WIDTH)];
    if (x % 2 || y % 2) continue;
    const place = (y / 2) * (WIDTH / 2) + x / 2;
    chroma[0][place] = 128 - 0.148 * red - 0.291 * green + 0.439 * blue;
    chroma[1][place] = 128 + 0.439 * red - 0.368 * green - 0.071 * blue;
  }
  const frame = Buffer.concat([Buffer.from("FRAME\n"), luma, ...chroma]);
  const head = Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F30:1 Ip A1:1 C420jpeg\n`);
  return Buffer.concat([head, frame, frame]);
}

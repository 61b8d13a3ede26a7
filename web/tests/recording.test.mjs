// Recording in Chromium: each way makes a file that ffprobe and a strict gateway read, whatever the
// camera gives; a recorder or a camera that fails has a name and a way out; the camera goes off.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { LivenessClient } from "../liveness.js";
import { browser, inPage } from "./chromium.mjs";
import { gateway, token } from "./gateway.mjs";
import { site } from "./site.mjs";

let running;
let network;
let started;
let folder;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "liveness-recording-"));
  running = await gateway();
  network = await site(running.url);
  started = await browser();
});
after(async () => {
  await started?.close();
  network?.stop();
  await running?.stop();
  rmSync(folder, { recursive: true });
});

/** Records in the page: by the fake camera, or by a drawing of a size. */
async function recordInPage({ drawn, remove = [], seconds = 1.2 }, { openCamera, record }) {
  for (const name of remove) delete globalThis[name];
  const video = document.querySelector("video");
  if (drawn) {
    const canvas = Object.assign(document.createElement("canvas"), drawn);
    const pen = canvas.getContext("2d");
    setInterval(() => {
      pen.fillStyle = `hsl(${performance.now() / 10} 90% 50%)`;
      pen.fillRect(0, 0, drawn.width, drawn.height / 2);
    }, 30);
    video.srcObject = canvas.captureStream(30);
    await video.play();
  } else {
    await openCamera(video);
  }
  const stream = video.srcObject;
  const states = [];
  const recording = await record({ video, seconds, onState: (state) => states.push(state) });
  const bytes = new Uint8Array(await recording.video.arrayBuffer());
  return { ...recording, base64: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")),
    states, live: stream.getTracks().filter((track) => track.readyState === "live").length };
}

const CAMERAS = [
  ["the camera", undefined, [1280, 720]],
  ["an upright camera", { width: 720, height: 1280 }, [720, 1280]],
  ["a camera as large as no one asked for", { width: 1216, height: 2160 }, [720, 1278]],
  ["a camera of 4K", { width: 3840, height: 2160 }, [1280, 720]],
  ["a small camera", { width: 320, height: 240 }, [640, 480]],
  ["a camera of odd size", { width: 641, height: 483 }, [642, 484]],
];
const WAYS = [["webcodecs", []], ["mediarecorder", ["VideoEncoder"]]];
for (const [how, remove] of WAYS) {
  for (const [camera, drawn, [width, height]] of CAMERAS) {
    test(`${how} records ${camera} as H.264 that ffprobe and the gateway read`, async (t) => {
      // MediaRecorder gets a picture of an odd size as it is.
      if (how === "mediarecorder" && drawn?.width === 641) return t.skip("as it is");
      const made = await inPage(started, network.url, recordInPage, { drawn, remove });
      assert.deepEqual([made.how, made.width, made.height], [how, width, height]);
      assert.equal(made.live, 0, "the camera is off");
      const names = [...new Set(made.states.map(({ name }) => name))];
      assert.deepEqual(names, ["recording", "checking"]);
      const file = join(folder, "video.mp4");
      writeFileSync(file, Buffer.from(made.base64, "base64"));
      const { stdout, stderr } = spawnSync("ffprobe", ["-v", "error", "-of", "json", "-count_frames",
        "-show_streams", "-show_format", file], { encoding: "utf8" });
      assert.equal(stderr, "");
      const { streams, format } = JSON.parse(stdout);
      assert.equal(streams.length, 1, "no sound");
      const [stream] = streams;
      assert.deepEqual([stream.codec_name, stream.width, stream.height], ["h264", width, height]);
      assert.equal(stream.has_b_frames, 0);
      assert.ok(Number(stream.nb_read_frames) >= 5, `${stream.nb_read_frames} frames`);
      const seconds = Number(format.duration);
      assert.ok(seconds > 0.9 && seconds < 3, `${seconds}`);
      assert.ok(Math.abs(seconds - made.seconds) < 0.2, `${seconds} and ${made.seconds}`);
      assert.ok(Number(format.size) * 8 / seconds < 2e6, `${format.size} bytes`);
      const own = token();
      const client = new LivenessClient({ url: network.url, token: () => own });
      const video = new Blob([Buffer.from(made.base64, "base64")]);
      const result = await client.verify({ session: await client.session(), video });
      assert.equal(result.code, "passed");
      return undefined;
    });
  }
}

/** What becomes of a recording in which `meanwhile` happens once it has begun. */
async function disturbed({ meanwhile, before: first = "" }, { openCamera, record }) {
  const video = document.querySelector("video");
  const stream = await openCamera(video);
  const [track] = stream.getVideoTracks();
  Function("track", "video", first)(track, video);
  const happen = Function("track", "video", "control", meanwhile);
  const control = new AbortController();
  let done = false;
  const onState = ({ name }) => {
    if (name === "recording" && !done) happen(track, video, control);
    done = true;
  };
  const outcome = await record({ video, seconds: 2, signal: control.signal, onState })
    .then(({ how }) => how, ({ code, cause }) => `${code} ${cause?.code ?? ""}`.trim());
  return { outcome, live: track.readyState === "live" };
}

const HIDDEN = "Object.defineProperty(document, 'hidden', { value: true });";
const ENCODER = (body) => `const Real = VideoEncoder;
  globalThis.VideoEncoder = class { state = "configured"; encodeQueueSize = 0;
    static isConfigSupported = async () => ({ supported: true });
    constructor(init) { this.init = init; } configure() {} encode() {} close() {}
    async flush() {} ${body} };`;
const EVENTS = [
  ["the camera is muted", { meanwhile: "track.dispatchEvent(new Event('mute'))" },
    "camera_interrupted"],
  ["the camera ends", { meanwhile: "track.dispatchEvent(new Event('ended'))" },
    "camera_interrupted"],
  ["the camera had ended", { before: "track.stop()", meanwhile: "" }, "camera_interrupted"],
  ["no more pictures come", { meanwhile: "track.stop()" }, "camera_interrupted"],
  ["the page is hidden",
    { meanwhile: `${HIDDEN} document.dispatchEvent(new Event('visibilitychange'))` },
    "camera_interrupted"],
  ["the page is hidden from the start", { before: HIDDEN, meanwhile: "" }, "camera_interrupted"],
  ["the picture turns",
    { meanwhile: "Object.defineProperty(video, 'videoWidth', { value: 720 })" },
    "camera_interrupted"],
  ["the app cancels", { meanwhile: "control.abort()" }, "cancelled"],
  ["WebCodecs has no encoder", { before: ENCODER("static isConfigSupported = async () => ({})"),
    meanwhile: "" }, "mediarecorder"],
  ["the encoder says yes and throws", { before: ENCODER("encode() { throw new Error('no'); }"),
    meanwhile: "" }, "mediarecorder"],
  ["the encoder says yes and fails", { before: ENCODER("encode() { this.init.error(new Error()); }"),
    meanwhile: "" }, "mediarecorder"],
  ["the encoder says yes and makes nothing", { before: ENCODER(""), meanwhile: "" },
    "mediarecorder"],
  ["the encoder says yes and never ends",
    { before: ENCODER("flush() { return new Promise(() => {}); }"), meanwhile: "" },
    "mediarecorder"],
  ["nothing can record",
    { before: "delete globalThis.VideoEncoder; delete globalThis.MediaRecorder;", meanwhile: "" },
    "no_recorder"],
  ["MediaRecorder writes another codec than it says", { before: `delete globalThis.VideoEncoder;
    const Real = MediaRecorder; globalThis.MediaRecorder = function (stream) {
      return new Real(stream, { mimeType: "video/mp4" }); };`, meanwhile: "" },
  "no_recorder video_not_h264"],
  ["MediaRecorder writes an empty file", { before: `delete globalThis.VideoEncoder;
    const Real = MediaRecorder; globalThis.MediaRecorder = function (...all) {
      const made = new Real(...all);
      Object.defineProperty(made, "ondataavailable", { set() {} }); return made; };`, meanwhile: "" },
  "no_recorder video_not_mp4"],
];
for (const [when, argument, outcome] of EVENTS) {
  test(`when ${when}, the recording ends as ${outcome}`, async () => {
    const found = await inPage(started, network.url, disturbed, argument);
    assert.deepEqual(found, { outcome, live: false });
  });
}

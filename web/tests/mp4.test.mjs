// MP4 files: what the module writes is read by ffprobe, by a decoder and by its own reader; what
// recorders wrote is read as ffprobe reads it. Needs ffmpeg.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { checkVideo, mp4Muxer } from "../liveness.js";

const data = fileURLToPath(new URL("../../tests/data/", import.meta.url));
const blob = (name) => new Blob([readFileSync(join(data, name))]);
let folder;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "liveness-mp4-"));
});
after(() => rmSync(folder, { recursive: true }));

function run(program, words) {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: "utf8" });
  assert.equal(stderr, "");
  assert.equal(status, 0);
  return stdout;
}

/** What ffprobe says of a file's picture. */
function probe(file) {
  const shown = run("ffprobe", ["-v", "error", "-of", "json", "-select_streams", "v", "-show_packets",
    "-count_frames", "-show_streams", "-show_format", file]);
  const { streams: [stream], packets, format } = JSON.parse(shown);
  return { stream, packets, format };
}

/** Hashes of the decoded pictures. */
function pictures(file) {
  const lines = run("ffmpeg", ["-v", "error", "-i", file, "-vsync", "passthrough", "-f", "framemd5",
    "-"]).split("\n").filter((line) => line && !line.startsWith("#"));
  return lines.map((line) => line.split(",").at(-1).trim());
}

/** A file without B-frames, as an encoder in a browser makes it, in chunks at these times (µs). */
function chunks(times, size = "640x480") {
  const source = join(folder, "source.mp4");
  run("ffmpeg", ["-v", "error", "-y", "-f", "lavfi", "-i",
    `testsrc2=size=${size}:rate=10:duration=${times.length / 10}`, "-c:v", "libx264", "-profile:v",
    "baseline", "-g", "5", "-sc_threshold", "0", source]);
  const bytes = readFileSync(source);
  const start = bytes.indexOf("avcC");
  const description = bytes.subarray(start + 4, start - 4 + bytes.readUInt32BE(start - 4));
  const list = probe(source).packets.map(({ pos, size: length, flags }, at) => {
    const content = bytes.subarray(Number(pos), Number(pos) + Number(length));
    return { byteLength: content.length, type: flags.startsWith("K") ? "key" : "delta",
      timestamp: times[at], copyTo: (into) => into.set(content) };
  });
  assert.equal(list.length, times.length);
  return { source, list, description: new Uint8Array(description) };
}

async function written(times, size = "640x480") {
  const [width, height] = size.split("x").map(Number);
  const { source, list, description } = chunks(times, size);
  const muxer = mp4Muxer({ width, height });
  list.forEach((chunk, at) => muxer.add(chunk, at ? {} : { decoderConfig: { description } }));
  const video = await muxer.finish();
  const file = join(folder, "written.mp4");
  writeFileSync(file, Buffer.from(await video.arrayBuffer()));
  return { source, video, file };
}

test("a written file has every frame at its time, its codec, size, duration and key frames", async () => {
  const even = Array.from({ length: 20 }, (_, at) => at * 100_000);
  const uneven = even.map((time, at) => 7_000_000 + time + (at * 7919) % 60_000);
  for (const [times, size] of [[even, "640x480"], [uneven, "720x1280"], [uneven, "1280x720"]]) {
    const { source, video, file } = await written(times, size);
    const { stream, packets, format } = probe(file);
    const [width, height] = size.split("x").map(Number);
    assert.deepEqual([stream.codec_name, stream.codec_tag_string, stream.width, stream.height],
      ["h264", "avc1", width, height]);
    assert.equal(Number(stream.nb_read_frames), times.length);
    assert.deepEqual(packets.map(({ pts_time: time }) => Math.round(time * 1e6)),
      times.map((time) => time - times[0]));
    assert.deepEqual(packets.flatMap(({ flags }, at) => (flags.startsWith("K") ? [at] : [])),
      [0, 5, 10, 15]);
    // A decoder sees key frames by itself, so the list of them is read, too.
    const bytes = readFileSync(file);
    const list = bytes.indexOf("stss") + 8;
    assert.deepEqual([0, 4, 8, 12, 16].map((at) => bytes.readUInt32BE(list + at)), [4, 1, 6, 11, 16]);
    const seconds = (times.at(-1) - times[0] + 33_333) / 1e6;
    assert.ok(Math.abs(Number(format.duration) - seconds) < 0.001, format.duration);
    assert.deepEqual(pictures(file), pictures(source));
    assert.deepEqual(await checkVideo(video), { width, height, seconds });
    assert.equal(video.type, "video/mp4");
  }
});

test("the boxes of a written file fill it without a gap, moov before mdat", async () => {
  const { file } = await written([0, 100_000, 350_000]);
  const bytes = readFileSync(file);
  const found = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) {
    found.push(bytes.toString("latin1", at + 4, at + 8));
  }
  assert.deepEqual(found, ["ftyp", "moov", "mdat"]);
});

test("frames that can't be played are no file", async () => {
  const rows = [[[], 1], [[0, 100_000, 50_000], 1], [[0, 0], 1], [[0, 100_000], 0]];
  for (const [times, described] of rows) {
    const muxer = mp4Muxer({ width: 640, height: 480 });
    for (const [at, timestamp] of times.entries()) {
      const metadata = described && !at ? { decoderConfig: { description: new ArrayBuffer(9) } } : {};
      muxer.add({ byteLength: 1, type: "key", timestamp, copyTo() {} }, metadata);
    }
    assert.throws(() => muxer.finish(), Error, `${times}`);
  }
});

test("files of other recorders and muxers are read as ffprobe reads them", async () => {
  let good = 0;
  for (const name of readdirSync(data).filter((each) => each.endsWith(".mp4"))) {
    const found = await checkVideo(blob(name), { anySize: true }).catch(({ code }) => code);
    const wanted = { "hevc.mp4": "video_not_h264", "audio-only.mp4": "video_not_mp4",
      "too-short.mp4": "video_too_short", "too-long.mp4": "video_too_long",
      "too-small.mp4": "video_dimensions", "too-wide.mp4": "video_dimensions",
      "truncated.mp4": "video_not_mp4" }[name];
    if (wanted) {
      assert.equal(found, wanted, name);
      continue;
    }
    const { stream } = probe(join(data, name));
    assert.deepEqual([found.width, found.height], [stream.width, stream.height], name);
    const seconds = Number(stream.duration);
    assert.ok(Math.abs(found.seconds - seconds) < 0.15, `${name}: ${found.seconds}, ${seconds}`);
    good += 1;
  }
  assert.ok(good >= 8, `${good}`);
});

test("only the picture's fragments count, not those of the sound", async () => {
  const file = join(folder, "fragments.mp4");
  run("ffmpeg", ["-v", "error", "-y", "-i", join(data, "h264-with-audio.mp4"), "-c", "copy",
    "-movflags", "frag_keyframe+empty_moov", file]);
  const { seconds } = await checkVideo(new Blob([readFileSync(file)]));
  assert.ok(Math.abs(seconds - 3) < 0.15, `${seconds}`);
});

test("the sizes of recordings are limited, and those of the phone's own recorder less", async () => {
  assert.ok(await checkVideo(blob("h264-moov-last.mp4")));
  await assert.rejects(checkVideo(blob("gstreamer-3gpp.mp4")), { code: "video_dimensions" });
  const large = new Blob([new Uint8Array(20 * 2 ** 20 + 1)]);
  await assert.rejects(checkVideo(large), { code: "video_too_large", retry: "record_again" });
  const cut = blob("h264-moov-first.mp4").slice(0, 40_000);
  await assert.rejects(checkVideo(cut), { code: "video_not_mp4" });
  // The size of the second box, in 64 bits, is nothing: a reader must not stand still.
  const still = "\0\0\0\x08free\0\0\0\x01free\0\0\0\0\0\0\0\0";
  for (const text of ["", "ftyp", still, "\0\0\0\x08free", "\x1aE\xdf\xa3 a WebM file, of Firefox"]) {
    await assert.rejects(checkVideo(new Blob([text])), { code: "video_not_mp4" }, text);
  }
});

test("a broken file is an error with a name, wherever it breaks", async () => {
  const whole = readFileSync(join(data, "h264-fragmented.mp4"));
  const codes = new Set();
  for (let at = 0; at < 1500; at += 1) {
    for (const bytes of [whole.subarray(0, at), Buffer.from(whole)]) {
      if (bytes.length === whole.length) bytes[at] ^= 0xff;
      const found = await checkVideo(new Blob([bytes])).catch(({ code }) => code);
      codes.add(typeof found === "string" ? found : "good");
    }
  }
  for (const code of codes) assert.match(code, /^(good|video_\w+)$/);
  assert.ok(codes.has("video_not_mp4"));
});

/**
 * MP4 files: a writer for one H.264 track, and a reader of what a file says of its picture.
 *
 * Relies on nothing. Never decodes a picture, and never trusts a size that a file names.
 */

export const AVC1 = 0x61766331;
const VIDE = 0x76696465;
const u16 = (...values) => values.flatMap((value) => [value >> 8 & 255, value & 255]);
const u32 = (...values) => values.flatMap((value) => u16(value >>> 16, value));
const box = (type, ...parts) => {
  const body = parts.flat();
  return [...u32(body.length + 8), ...new TextEncoder().encode(type), ...body];
};

export function mp4Muxer({ width, height }) {
  const samples = [];
  let avcC;

  /** `moov` for samples that begin at `offset`, in microseconds. */
  function moov(offset) {
    const times = samples.map(({ timestamp }, at) =>
      (samples[at + 1]?.timestamp ?? timestamp + 33_333) - timestamp);
    if (!avcC || times.some((time) => time <= 0)) throw new Error("no H.264 in order");
    const duration = times.reduce((sum, time) => sum + time);
    const keys = samples.flatMap(({ key }, at) => (key ? [at + 1] : []));
    const matrix = u32(65536, 0, 0, 0, 65536, 0, 0, 0, 0x40000000);
    const avc1 = box("avc1", u16(0, 0, 0, 1), u32(0, 0, 0, 0), u16(width, height),
      u32(0x480000, 0x480000, 0), u16(1), Array(32).fill(0), u16(24, 65535), box("avcC", avcC));
    const stbl = box("stbl", box("stsd", u32(0, 1), avc1),
      box("stts", u32(0, times.length, ...times.flatMap((time) => [1, time]))),
      box("stss", u32(0, keys.length, ...keys)), box("stsc", u32(0, 1, 1, samples.length, 1)),
      box("stsz", u32(0, 0, samples.length, ...samples.map(({ bytes }) => bytes.length))),
      box("stco", u32(0, 1, offset)));
    const dinf = box("dinf", box("dref", u32(0, 1), box("url ", u32(1))));
    return box("moov",
      box("mvhd", u32(0, 0, 0, 1e6, duration, 65536), u16(256, 0), u32(0, 0), matrix,
        u32(0, 0, 0, 0, 0, 0, 2)),
      box("trak",
        box("tkhd", u32(3, 0, 0, 1, 0, duration, 0, 0, 0, 0), matrix,
          u32(width * 65536, height * 65536)),
        box("mdia", box("mdhd", u32(0, 0, 0, 1e6, duration), u16(0x55c4, 0)),
          box("hdlr", u32(0, 0, VIDE, 0, 0, 0), [0]),
          box("minf", box("vmhd", u32(1, 0, 0)), dinf, stbl))));
  }

  return {
    add(chunk, metadata) {
      const { description } = metadata?.decoderConfig ?? {};
      if (description) avcC = [...new Uint8Array(description)];
      const bytes = new Uint8Array(chunk.byteLength);
      chunk.copyTo(bytes);
      samples.push({ bytes, key: chunk.type === "key", timestamp: chunk.timestamp });
    },
    finish() {
      const size = samples.reduce((sum, { bytes }) => sum + bytes.length, 8);
      const ftyp = box("ftyp", u32(0x69736f6d, 512, 0x69736f6d, AVC1)); // isom
      const mdat = [...u32(size), ...u32(0x6d646174)];
      const head = [...ftyp, ...moov(ftyp.length + moov(0).length + 8), ...mdat];
      return new Blob([new Uint8Array(head), ...samples.map(({ bytes }) => bytes)],
        { type: "video/mp4" });
    },
  };
}

const HOLDERS = /moov|trak|mdia|minf|stbl|mvex|moof|traf/;

/** Calls `see` with the type of each box of a file, and where its content is. */
function walk(view, see, at = 0, end = view.byteLength) {
  while (at < end) {
    const type = String.fromCharCode(...u32(view.getUint32(at + 4)));
    const small = view.getUint32(at);
    const head = at + (small === 1 ? 16 : 8);
    const next = small === 1 ? at + Number(view.getBigUint64(at + 8)) : small ? at + small : end;
    if (next < head || next > end) throw new RangeError("a broken box");
    if (HOLDERS.test(type)) walk(view, see, head, next);
    else see(type, head);
    at = next;
  }
}

/** What an MP4 file says of its picture, also in fragments. Throws if the file is broken. */
export function facts(view) {
  const u = (at) => view.getUint32(at);
  const times = {};
  let track, run, video, units = 0;
  walk(view, (type, at) => {
    const wide = u(at) >>> 24 ? 1 : 0;
    if (type === "tkhd") track = { id: u(at + 12 + 8 * wide) };
    if (type === "mdhd") {
      const known = u(at + 16 + 12 * wide);
      Object.assign(track, { scale: u(at + 12 + 8 * wide), units: known + 1 >> 0 ? known : 0 });
    }
    if (type === "hdlr" && u(at + 8) === VIDE) video = track;
    if (type === "stsd" && video === track) {
      const size = u(at + 40);
      Object.assign(video, { codec: u(at + 12), width: size >>> 16, height: size & 65535 });
    }
    if (type === "trex") times[u(at + 4)] = u(at + 12);
    if (type === "tfhd") {
      const skip = (u(at) & 1 ? 8 : 0) + (u(at) & 2 ? 4 : 0);
      run = { id: u(at + 4), time: u(at) & 8 ? u(at + 8 + skip) : times[u(at + 4)] };
    }
    if (type === "trun" && run.id === video.id) {
      const [has, count] = [u(at), u(at + 4)];
      const step = 4 * [256, 512, 1024, 2048].filter((bit) => has & bit).length;
      const first = at + 8 + (has & 1 ? 4 : 0) + (has & 4 ? 4 : 0);
      if (has & 256) for (let n = 0; n < count; n += 1) units += u(first + n * step);
      else units += count * run.time;
    }
  });
  return { ...video, seconds: Math.max(units, video.units) / video.scale };
}

/**
 * From a camera to a verdict, by a liveness-gateway. `liveness.d.ts` is the contract.
 *
 * Relies on the browser alone. Stores nothing, records no sound, and proves nothing: only the app's
 * backend can check a verdict.
 */

import { describe, retryOf } from "./messages.js";
import { AVC1, facts, mp4Muxer } from "./mp4.js";

export { describe, mp4Muxer, retryOf };

export class LivenessError extends Error {
  constructor(code, { detail = "", ...facts } = {}) {
    super(`${code} ${detail}`.trim());
    Object.assign(this, facts, { name: "LivenessError", code, retry: retryOf(code) });
  }
}

const sleep = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => clearTimeout(timer));
});
const once = (target, type, signal) => new Promise((resolve) => {
  target.addEventListener(type, resolve, { once: true, signal });
});

/**
 * Runs a step that can be cancelled and has a time limit, which `limit` sets anew. The signal of
 * the step aborts when it is over, however it ends.
 */
async function within(ms, code, signal, step) {
  if (signal?.aborted) throw new LivenessError("cancelled");
  const over = new AbortController();
  let timer, fail;
  const failed = new Promise((_, reject) => {
    fail = (reason) => reject(new LivenessError(reason));
  });
  const limit = (rest) => {
    clearTimeout(timer);
    timer = setTimeout(fail, rest, code);
  };
  limit(ms);
  signal?.addEventListener("abort", () => fail("cancelled"), { signal: over.signal });
  try {
    return await Promise.race([step(over.signal, { limit, fail }), failed]);
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

export async function send({ url, onProgress, ...options }) {
  if (!globalThis.XMLHttpRequest) return fetch(url, options);
  const { method, headers, body, signal } = options;
  const request = new XMLHttpRequest();
  request.open(method, url);
  for (const name in headers) request.setRequestHeader(name, headers[name]);
  const report = ({ loaded, total }) => onProgress(loaded, total);
  Object.assign(request.upload, { onloadstart: report, onprogress: report, onload: report });
  signal.addEventListener("abort", () => request.abort());
  await new Promise((resolve, reject) => {
    request.onload = resolve;
    request.onerror = request.onabort = () => reject(new TypeError("no response"));
    request.send(body);
  });
  const fields = request.getAllResponseHeaders().trim().split("\r\n");
  return new Response(request.responseText, { status: request.status,
    headers: fields.map((field) => field.split(/: *(.*)/, 2)) });
}

/** The JSON of a good response, or an error. */
async function read(response) {
  const { status, headers } = response;
  const json = await response.json().catch(() => null) ?? {};
  const requestId = headers.get("X-Request-Id") ?? undefined;
  if (status === 200 && Number.isInteger(json.error_code)) {
    return { json, requestId, replayed: headers.get("Liveness-Replayed") === "true" };
  }
  // Without a code it is not the gateway's own, but a load balancer's.
  const { code = status >= 500 ? "overloaded" : "bad_response", detail, reason } = json;
  const retryAfter = Number(headers.get("Retry-After")) || undefined;
  throw new LivenessError(code, { status, requestId, retryAfter, detail, reason });
}

/** The claims of a verdict, unchecked. */
function decode(verdict) {
  try {
    const text = atob(verdict.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0))));
  } catch {
    return undefined;
  }
}

const ACTIONS = { 0: "blink", 4: "head_up", 5: "head_down", 7: "turn_left_right" };

export class LivenessClient {
  #options;
  #times;
  #retry;

  constructor({ url = "", transport = send, token, timeouts, retry }) {
    this.#options = { url: url.replace(/\/+$/, ""), transport, token };
    this.#times = { token: 15e3, session: 15e3, stalled: 30e3, upload: 120e3, answer: 75e3,
      total: 240e3, ...timeouts };
    this.#retry = { attempts: 8, delay: 1000, maxDelay: 15e3, ...retry };
  }

  async session({ signal, onState, ...fields } = {}) {
    const start = this.#times.session;
    const { json, requestId } = await this.#call({ path: "sessioncode", signal, onState, start,
      headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) });
    const { error_code: number, result } = json;
    if (number) throw new LivenessError(`qiniu_${number}`, { requestId });
    const { session_id: id, code } = result ?? {};
    if (!id || !/^\d+$/.test(code)) throw new LivenessError("bad_response", { requestId });
    const actions = [...code].map((digit) => ({ digit, name: ACTIONS[digit] ?? "unknown" }));
    return { id, code, actions, expiresAt: Date.now() + 300e3 - start };
  }

  async verify({ session, video, faceField, nonce, signal, onState, onProgress }) {
    const headers = { "Liveness-Session": session.id,
      "Content-Type": video.type === "video/quicktime" ? video.type : "video/mp4" };
    if (faceField) headers["Liveness-Face-Field"] = faceField;
    if (nonce) headers["Liveness-Nonce"] = nonce;
    const { stalled, upload, answer } = this.#times;
    const report = (progress, limit) => {
      if (limit) limit(progress < 1 ? stalled : answer);
      onProgress?.(progress);
      const uploading = { name: "uploading", progress, bytes: video.size };
      onState?.(progress < 1 ? uploading : { name: "waiting" });
    };
    const { json, ...facts } = await this.#call({ path: "verify", headers, body: video, report,
      start: upload, signal, onState, expires: session.expiresAt });
    const { verdict, error_code: number, result } = json;
    const { score, thresholds, action_verify: action } = result ?? {};
    const claims = verdict && decode(verdict);
    const passed = verdict ? claims?.liveness?.passed === true
      : number === 0 && action === "pass" && score > thresholds?.["frr_1e-3"];
    const code = passed ? "passed" : number ? `qiniu_${number}`
      : (action ?? claims?.liveness?.action_verify) === "fail" ? "action_failed" : "not_passed";
    return { passed, code, retry: retryOf(code), verdict, claims, response: json, ...facts };
  }

  /** Sends the same until there is a response, or an error that another try can't mend. */
  async #call({ signal, onState, expires = Infinity, ...request }) {
    const until = Math.min(Date.now() + this.#times.total, expires);
    const { attempts, delay, maxDelay } = this.#retry;
    let token, refresh = false;
    for (let attempt = 1; ; attempt += 1) {
      if (Date.now() >= expires) throw new LivenessError("session_expired");
      try {
        token ??= await this.#getToken(refresh, signal);
        return { ...await this.#once(request, token, until, signal), attempts: attempt };
      } catch (error) {
        const { status, retry, code, retryAfter = 0 } = error;
        if (status === 401 && !refresh) {
          refresh = true;
          token = undefined;
          continue;
        }
        const backOff = Math.min(delay * 2 ** (attempt - 1), maxDelay) * (1 + Math.random()) / 2;
        const wait = Math.max(backOff, retryAfter * 1000);
        if (retry !== "same" || attempt >= attempts || Date.now() + wait >= until) throw error;
        onState?.({ name: "offline", attempt, code, seconds: wait / 1000 });
        const online = (over) => (globalThis.navigator?.onLine === false
          ? once(globalThis, "online", over) : sleep(wait, over));
        await within(until - Date.now(), code, signal, online);
      }
    }
  }

  async #getToken(refresh, signal) {
    try {
      const step = async () => this.#options.token({ refresh });
      const token = await within(this.#times.token, "token_failed", signal, step);
      if (token) return token;
      throw new Error("no token");
    } catch (cause) {
      if (cause instanceof LivenessError) throw cause;
      // A TypeError is what `fetch` throws without a network.
      throw new LivenessError(cause instanceof TypeError ? "network" : "token_failed", { cause });
    }
  }

  #once({ path, headers, body, start, report }, token, until, signal) {
    const { url, transport } = this.#options;
    const ms = Math.min(start, until - Date.now());
    return within(ms, "timeout", signal, async (over, { limit }) => {
      report?.(0);
      const request = { method: "POST", url: `${url}/v2/actionliveness/${path}`, body,
        headers: { Authorization: `Bearer ${token}`, ...headers }, signal: over,
        onProgress: (sent, total) => over.aborted || report?.(total ? sent / total : 0, limit) };
      try {
        return await read(await transport(request));
      } catch (cause) {
        if (cause instanceof LivenessError) throw cause;
        throw new LivenessError("network", { cause });
      }
    });
  }
}

export async function checkVideo(video, { anySize } = {}) {
  const fault = (reason, cause) => new LivenessError(`video_${reason}`, { cause });
  if (video.size > 20 * 2 ** 20) throw fault("too_large");
  let found;
  try {
    found = facts(new DataView(await video.arrayBuffer()));
  } catch (cause) {
    throw fault("not_mp4", cause);
  }
  const { codec, width, height, seconds } = found;
  const [short, long] = [width, height].sort((a, b) => a - b);
  const [least, most] = anySize ? [[16, 16], [2032, 2032]] : [[480, 640], [720, 1280]];
  if (codec !== AVC1) throw fault("not_h264");
  if (short < least[0] || long < least[1] || short > most[0] || long > most[1]) {
    throw fault("dimensions");
  }
  if (!(seconds > 0.9)) throw fault("too_short");
  if (seconds > 10.5) throw fault("too_long");
  return { width, height, seconds };
}

export const recordFile = async (video) =>
  ({ video, how: "file", ...await checkVideo(video, { anySize: true }) });

const stop = (stream) => stream?.getTracks().forEach((track) => track.stop());

const CAMERA = { NotAllowedError: "camera_denied", SecurityError: "camera_denied",
  NotFoundError: "no_camera", OverconstrainedError: "no_camera" };

export async function openCamera(video, { signal, timeout = 60e3 } = {}) {
  if (!globalThis.isSecureContext) throw new LivenessError("insecure_page");
  if (!navigator.mediaDevices?.getUserMedia) throw new LivenessError("no_recorder");
  let stream;
  try {
    return await within(timeout, "camera_timeout", signal, async (over) => {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user",
        width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } } });
      if (over.aborted) return stop(stream); // The person has answered too late.
      Object.assign(video, { muted: true, playsInline: true, srcObject: stream });
      video.play().catch(() => {});
      if (video.readyState < 2) await once(video, "loadeddata", over);
      return stream;
    });
  } catch (cause) {
    stop(stream);
    if (cause instanceof LivenessError) throw cause;
    throw new LivenessError(CAMERA[cause.name] ?? "camera_busy", { cause });
  }
}

const H264 = "avc1.42E01F";
const BITRATE = 1e6;
const WAYS = {
  async webcodecs({ canvas, fail, muxer }) {
    const { width, height } = canvas;
    const config = { codec: H264, width, height, bitrate: BITRATE, framerate: 30,
      latencyMode: "realtime", avc: { format: "avc" } };
    const { supported } = await VideoEncoder.isConfigSupported(config);
    if (!supported) throw new Error("no encoder");
    const file = muxer({ width, height });
    const encoder = new VideoEncoder({ error: () => fail("no_recorder"),
      output: (chunk, metadata) => file.add(chunk, metadata) });
    encoder.configure(config);
    let frames = 0;
    return {
      frame(timestamp) {
        if (encoder.encodeQueueSize > 8) return;
        const frame = new VideoFrame(canvas, { timestamp });
        encoder.encode(frame, { keyFrame: frames % 30 === 0 });
        frame.close();
        frames += 1;
      },
      finish: () => encoder.flush().then(() => file.finish()),
      close: () => encoder.state === "closed" || encoder.close(),
    };
  },

  async mediarecorder({ canvas, fail, stream, scaled }) {
    const picture = scaled ? canvas.captureStream(30) : new MediaStream(stream.getVideoTracks());
    const recorder = new MediaRecorder(picture, {
      mimeType: `video/mp4;codecs="${H264}"`, videoBitsPerSecond: BITRATE });
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onerror = () => fail("no_recorder");
    recorder.start();
    const close = () => recorder.state === "inactive" || recorder.stop();
    const finish = async () => {
      const stopped = once(recorder, "stop");
      close();
      await stopped;
      return new Blob(parts, { type: "video/mp4" });
    };
    return { frame() {}, finish, close };
  },
};

/** Records in one way. A canvas makes each frame upright, and of an even size within the limits. */
async function capture(how, { video, stream, seconds, onState, muxer }, over, { limit, fail }) {
  const interrupted = () => fail("camera_interrupted");
  const [track] = stream.getVideoTracks();
  for (const type of ["mute", "ended"]) track.addEventListener(type, interrupted, { signal: over });
  document.addEventListener("visibilitychange", interrupted, { signal: over });
  if (track.readyState === "ended" || document.hidden) interrupted();
  const { videoWidth, videoHeight } = video;
  const [short, long] = [videoWidth, videoHeight].sort((a, b) => a - b);
  const scale = Math.min(1280 / long, 720 / short, Math.max(1, 640 / long, 480 / short));
  const [width, height] = [videoWidth, videoHeight].map((side) => 2 * Math.round(side * scale / 2));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = canvas.getContext("2d");
  const recorder = await WAYS[how]({ canvas, stream, fail, muxer, scaled: scale !== 1 });
  over.addEventListener("abort", recorder.close);
  await new Promise((resolve) => {
    let start, told = -1;
    const draw = (now) => {
      if (over.aborted) return;
      if (video.videoWidth !== videoWidth) interrupted();
      limit(5000); // for the next frame
      start ??= now;
      try {
        pen.drawImage(video, 0, 0, width, height);
        recorder.frame(Math.round((now - start) * 1000));
      } catch {
        fail("no_recorder");
      }
      const passed = (now - start) / 1000;
      if (passed >= told + 0.25) {
        told = passed;
        onState({ name: "recording", how, seconds: passed, total: seconds });
      }
      if (passed >= seconds) resolve();
      else if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(draw);
      else requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  });
  limit(15e3);
  return within(5000, "no_recorder", over, recorder.finish);
}

const FINAL = ["cancelled", "camera_interrupted"];

export async function record({ video, stream = video.srcObject, signal, ...options }) {
  const { seconds, onState = () => {}, muxer = mp4Muxer } = options;
  let cause;
  try {
    for (const how in WAYS) {
      try {
        const settings = { video, stream, seconds, onState, muxer };
        const blob = await within(10e3, "camera_interrupted", signal, (...step) =>
          capture(how, settings, ...step));
        onState({ name: "checking", how, video: blob });
        return { video: blob, how, ...await checkVideo(blob) };
      } catch (error) {
        if (FINAL.includes(error.code)) throw error;
        cause = error;
      }
    }
    throw new LivenessError("no_recorder", { cause });
  } finally {
    stop(stream);
  }
}

/** Shows each action for its part of the recording. */
function recordActions({ session, secondsPerAction, onState, ...options }) {
  const { actions, actions: { length: count } } = session;
  const seconds = Math.min(10, 1 + count * secondsPerAction);
  return record({ ...options, seconds, onState(now) {
    const index = Math.min(count - 1, Math.floor(now.seconds / seconds * count));
    const action = { session, action: actions[index], index, count };
    onState({ ...now, ...now.name === "recording" && action });
  } });
}

export async function checkLiveness({ client, video, signal, session, file, ...options }) {
  const { fields, nonce, faceField, muxer, cameraTimeout: timeout } = options;
  const { countdown = 3, secondsPerAction = 2.5 } = options;
  let state, stream, blocked, recording;
  const onState = (now) => {
    state = now.name;
    options.onState?.(now);
  };
  const orFile = (error) => {
    if (!file || FINAL.includes(error.code)) throw error;
    blocked = error;
  };
  try {
    onState({ name: "camera" });
    stream = await openCamera(video, { signal, timeout }).catch(orFile);
    if (!(session?.expiresAt > Date.now() + 60e3)) {
      onState({ name: "session" });
      session = await client.session({ ...fields, signal, onState });
    }
    const { actions, expiresAt } = session;
    if (actions.some(({ name }) => name === "unknown")) throw new LivenessError("unknown_action");
    if (stream) {
      for (let secondsLeft = countdown; secondsLeft > 0; secondsLeft -= 1) {
        onState({ name: "ready", session, secondsLeft });
        await within(9e3, "timeout", signal, (over) => sleep(1000, over));
      }
      const settings = { session, secondsPerAction, video, stream, signal, muxer, onState };
      recording = await recordActions(settings).catch(orFile);
    }
    if (!recording) {
      onState({ name: "file", session, error: blocked });
      const chosen = await within(expiresAt - Date.now(), "session_expired", signal,
        async (over) => file({ session, error: blocked, signal: over }));
      onState({ name: "checking", how: "file", video: chosen });
      recording = await recordFile(chosen);
    }
    const sent = { session, video: recording.video, nonce, faceField, signal, onState };
    const result = { ...await client.verify(sent), session, recording };
    onState({ name: "done", result });
    return result;
  } catch (error) {
    throw Object.assign(error, { state, session, video: recording?.video });
  } finally {
    stop(stream);
  }
}

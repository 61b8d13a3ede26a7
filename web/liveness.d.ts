/**
 * Types and contract of `liveness.js`: from a camera to a verdict, by a liveness-gateway.
 *
 * The module has no dependencies, keeps nothing (no storage, no cookie, no global state), and loads
 * nothing. It talks to the gateway alone. What it says of a result is for the person in front of
 * the screen: only the app's backend can know whether a check has passed, by checking the
 * signature of the verdict.
 *
 * All times are in milliseconds, except where a name or a comment says seconds.
 */

/** What an action's digit stands for. `unknown`: newer than this module; ask for a new session. */
export type ActionName = "blink" | "head_up" | "head_down" | "turn_left_right" | "unknown";

/** One movement that the person has to do. */
export interface Action {
  /** One of `0`, `4`, `5`, `7`, as in the session's code. */
  digit: string;
  name: ActionName;
}

/** A session: valid for five minutes, for the user of the token, and for one video. */
export interface Session {
  id: string;
  /** One digit for each action. */
  code: string;
  /** What the person has to do, in this order. */
  actions: Action[];
  /** When the session can no longer be used, as `Date.now()` counts. */
  expiresAt: number;
}

/** A sentence is there in these languages. Any tag that begins with `zh` counts as `zh`. */
export type Language = "en" | "zh";

/** Codes of the module itself. `docs/frontend/messages.md` lists them with their sentences. */
export type ModuleCode =
  | "camera_denied" | "camera_busy" | "camera_interrupted" | "camera_timeout" | "no_camera"
  | "no_recorder" | "insecure_page"
  | "video_too_short" | "video_too_long" | "video_too_large" | "video_dimensions"
  | "video_not_h264" | "video_not_mp4" | "unknown_action"
  | "network" | "timeout" | "token_failed" | "bad_response" | "cancelled";

/** Codes of the gateway: `docs/errors.md`. */
export type GatewayCode =
  | "missing_token" | "expired_token" | "invalid_token" | "insufficient_scope"
  | "malformed_request" | "unknown_route" | "method_not_allowed" | "unsupported_media_type"
  | "headers_too_large" | "session_rejected" | "session_in_use" | "session_used"
  | "session_expired" | "outcome_unknown" | "upstream_timeout" | "upstream_error"
  | "upstream_invalid_response" | "internal_error" | "body_too_large" | "video_rejected"
  | "request_timeout" | "body_too_slow" | "overloaded" | "shutting_down" | "upstream_busy"
  | "not_ready" | "rate_limited" | "too_many_concurrent" | "quota_exceeded"
  | "upstream_unreachable" | "upstream_rejected_credentials" | "upstream_rejected_request";

/** Qiniu's `error_code` as a code of this module, such as `qiniu_216501`. */
export type QiniuCode = `qiniu_${number}`;

/** What the judged video came to. */
export type ResultCode = "passed" | "action_failed" | "not_passed" | QiniuCode;

/** Every code that an error or a result can have. Another text is a code of a newer gateway. */
export type Code = ModuleCode | GatewayCode | ResultCode | (string & {});

/**
 * What an app does next:
 *
 * - `same`: send the same `verify` again, with the same session and the same video (or ask for the
 *   session again). It is never billed twice. `LivenessClient` has already done so, as often as
 *   `retry` allows.
 * - `later`: the same, but when the person asks for it, and not before `retryAfter` has passed.
 * - `record_again`: record another video. The session, if there is one, can still be used.
 * - `new_session`: start again with a new session. The old one is used up.
 * - `sign_in`: the token was refused, a fresh one too.
 * - `none`: no retry helps. Show the sentence and `requestId`.
 */
export type Retry = "same" | "later" | "record_again" | "new_session" | "sign_in" | "none";

/** The one error of this module. */
export class LivenessError extends Error {
  constructor(code: Code, facts?: Partial<Omit<LivenessError, "code" | "retry">>);
  readonly name: "LivenessError";
  /** Stable: decide by it. `message` is a text for developers. */
  readonly code: Code;
  readonly retry: Retry;
  /** HTTP status, if there was a response. */
  readonly status?: number;
  /** `X-Request-Id` of the response: what support looks up. */
  readonly requestId?: string;
  /** Seconds to wait, if the response said so. */
  readonly retryAfter?: number;
  /** The gateway's `reason` of a `video_rejected`. */
  readonly reason?: string;
  /** The name of the state that the check was in; set by `checkLiveness`. */
  state?: StateName;
  /** Set by `checkLiveness`: what `client.verify`, or another `checkLiveness`, can go on with. */
  session?: Session;
  /** Set by `checkLiveness` once there is a video. */
  video?: Blob;
  readonly cause?: unknown;
}

/** The sentence to show a person: for a code, a number of Qiniu's, or the name of an action. */
export function describe(
  code: Code | ActionName | number,
  language?: Language | (string & {}),
): string;

/** What an app does next for a code, or for a number of Qiniu's. */
export function retryOf(code: Code | number): Retry;

/** A request as a transport gets it. */
export interface TransportRequest {
  method: "POST";
  url: string;
  headers: Record<string, string>;
  body: string | Blob;
  /** Ends the request: also when its time is up. */
  signal: AbortSignal;
  /** To be called while the body is sent, with bytes; once with both equal when it is sent. */
  onProgress(sent: number, total: number): void;
}

/**
 * Sends one request, and returns the response whatever its status. Rejects if there is none: that
 * is the error `network`. `({ url, onProgress, ...init }) => fetch(url, init)` is a transport.
 */
export type Transport = (request: TransportRequest) => Promise<Response>;

/**
 * The default transport: `XMLHttpRequest`, since it alone reports progress; `fetch` where there is
 * none. A transport of an app can wrap it.
 */
export const send: Transport;

/** Limits of time. Each one that passes is an error with a code, never an endless wait. */
export interface Timeouts {
  /** For the token callback. Default 15 000; then `token_failed`. */
  token: number;
  /** For one response to a request for a session. Default 15 000; then `timeout`. */
  session: number;
  /** For an upload that reports no progress. Default 30 000; then `timeout`. */
  stalled: number;
  /** For a whole upload where the transport can't report progress. Default 120 000. */
  upload: number;
  /** For the response once the video is sent. Default 75 000 (the gateway's own is 60 s). */
  answer: number;
  /** For one call with all its retries; a `verify` ends with its session at the latest. 240 000. */
  total: number;
}

/** How a call is retried by itself after an error whose `retry` is `same`. */
export interface RetryPolicy {
  /** Requests for one call. Default 8. */
  attempts: number;
  /** The first wait, which doubles each time, with jitter. Default 1000. */
  delay: number;
  /** The longest wait, unless `Retry-After` is longer. Default 15 000. */
  maxDelay: number;
}

export interface ClientOptions {
  /** Base URL of the gateway. Default: the page's own origin. */
  url?: string;
  /**
   * Returns the bearer token of the signed-in user, from the app's own session. It is called once
   * for each call of the client. After a 401 it is called once more, with `refresh: true`, and
   * must then not return the same token again. A `TypeError` of it counts as a lost network, as
   * `fetch` throws it; any other error is `token_failed`.
   */
  token: (reason: { refresh: boolean }) => string | Promise<string>;
  transport?: Transport;
  timeouts?: Partial<Timeouts>;
  retry?: Partial<RetryPolicy>;
}

export interface SessionOptions {
  signal?: AbortSignal;
  /** While a retry is waited for: `offline`. */
  onState?: (state: State) => void;
  /** Fields of the request: Qiniu's, as far as the gateway lets them pass. */
  min_code_length?: 1 | 2 | 3;
  max_code_length?: 1 | 2 | 3;
}

export interface VerifyOptions {
  session: Session;
  /** The video as a file: MP4 with H.264. It is sent as it is, without base64. */
  video: Blob;
  /** `spoofing`, `quality`, or both, separated by a comma. */
  faceField?: string;
  /** From the app's backend, for this one transaction. It stands in the verdict. */
  nonce?: string;
  signal?: AbortSignal;
  /** `uploading`, `waiting`, `offline`. */
  onState?: (state: State) => void;
  /** The upload alone, from 0 to 1; 0 again when it is sent again. */
  onProgress?: (progress: number) => void;
}

/** A video was judged. Also a fail is a result: its verdict is signed, too. */
export interface VerifyResult {
  /**
   * What to tell the person; **not a proof**. Taken from the claims of the verdict, whose
   * signature is not checked here; without a verdict, by Qiniu's rule with threshold `frr_1e-3`.
   */
  passed: boolean;
  /** For `describe`. */
  code: ResultCode;
  retry: Retry;
  /** The signed result, to be carried to the app's backend; absent if the gateway makes none. */
  verdict?: string;
  /** The decoded claims of the verdict, **not checked**: for display alone. */
  claims?: VerdictClaims;
  /** The whole response: Qiniu's, as far as the gateway lets it pass. */
  response: Record<string, unknown>;
  /** The gateway has kept this response from an earlier try: nothing was billed again. */
  replayed: boolean;
  /** How many requests it took. */
  attempts: number;
  requestId?: string;
}

/** What the gateway signs: `docs/verdicts.md`. */
export interface VerdictClaims {
  iss: string;
  aud: string | string[];
  sub: string;
  iat: number;
  exp: number;
  jti: string;
  nonce?: string;
  liveness: { passed: boolean; action_verify?: string; [name: string]: unknown };
  [name: string]: unknown;
}

/** The two requests of the gateway. Any number of calls may be made, one after the other. */
export class LivenessClient {
  constructor(options: ClientOptions);
  /** Asks for a session. Rejects with a `LivenessError`. */
  session(options?: SessionOptions): Promise<Session>;
  /**
   * Sends a video, and returns how it was judged.
   *
   * After a lost network or an error that passes by itself it sends the same again: the gateway
   * recognises the session and the video, and judges them once. It waits for the browser to be
   * online, and at least as long as `Retry-After` says. Rejects with a `LivenessError`.
   */
  verify(options: VerifyOptions): Promise<VerifyResult>;
}

/** How a video was recorded. */
export type Recorder = "webcodecs" | "mediarecorder" | "file";

/** What a video file says of itself. */
export interface VideoFacts {
  /** Without rotation that a player would apply. */
  width: number;
  height: number;
  seconds: number;
}

export interface Recording extends VideoFacts {
  video: Blob;
  how: Recorder;
}

/** Writes what a `VideoEncoder` makes of frames into a file: H.264, `avc` format. */
export interface Muxer {
  add(chunk: EncodedVideoChunk, metadata?: EncodedVideoChunkMetadata): void;
  finish(): Blob | Promise<Blob>;
}
export type CreateMuxer = (track: { width: number; height: number }) => Muxer;

/** The module's own muxer: one H.264 track, `moov` before `mdat`, frames at any pace. */
export const mp4Muxer: CreateMuxer;

export interface CameraOptions {
  signal?: AbortSignal;
  /** Limit for the question to the person and the first picture. Default 60 000. */
  timeout?: number;
}

/**
 * Opens the front camera and shows it in `video` (muted, inline). Rejects with `camera_denied`,
 * `camera_busy`, `no_camera`, `camera_timeout`, `insecure_page` or `no_recorder`. Whoever called
 * it stops the tracks of the stream.
 */
export function openCamera(video: HTMLVideoElement, options?: CameraOptions): Promise<MediaStream>;

export interface RecordOptions {
  /** Shows the camera, as after `openCamera`. */
  video: HTMLVideoElement;
  /** Default: the element's `srcObject`. */
  stream?: MediaStream;
  /** 1 to 10. */
  seconds: number;
  signal?: AbortSignal;
  /** `recording`, about four times a second; `checking`. */
  onState?: (state: State) => void;
  muxer?: CreateMuxer;
}

/**
 * Records the camera: H.264 in MP4, no sound, 640×480 to 1280×720, about 1 Mbit/s. A larger or
 * smaller picture is scaled. The file is checked. A recorder that fails, or that makes another
 * file than it said, is followed by the next way: `recording` begins again. WebCodecs is the first
 * way, `MediaRecorder` the second.
 *
 * Rejects with `camera_interrupted` if the camera stops or is muted, its picture turns, or the
 * page is hidden; with `no_recorder` if no way works (`cause`
 * says why). The tracks of
 * the stream are stopped, however it ends.
 */
export function record(options: RecordOptions): Promise<Recording>;

/** A file of the phone's own recorder, of `<input type="file" accept="video/*" capture="user">`. */
export function recordFile(file: Blob): Promise<Recording>;

/**
 * Reads what an MP4 file says of itself, also a fragmented one. Rejects with `video_not_mp4`,
 * `video_not_h264`, `video_dimensions` (not from 640×480 to 1280×720, upright or across),
 * `video_too_short` (1 s), `video_too_long` (10 s; both with a little grace) or
 * `video_too_large` (over 20 MiB). With `anySize`, as `recordFile` calls it, from 16 to 2032
 * pixels: a phone's own recorder can't be told a size, and Qiniu takes these.
 */
export function checkVideo(video: Blob, options?: { anySize?: boolean }): Promise<VideoFacts>;

/** The states of a check, in their order. */
export type StateName =
  | "camera" | "session" | "ready" | "recording" | "file" | "checking" | "uploading" | "waiting"
  | "offline" | "done";

/** Where a check is. The same state comes again when one of its values changes. */
export type State =
  /** The camera is being opened: the browser may be asking the person. */
  | { name: "camera" }
  /** A session is asked for. */
  | { name: "session" }
  /** The countdown, once a second: show the actions. */
  | { name: "ready"; session: Session; secondsLeft: number }
  /** `seconds` of `total` have passed. `checkLiveness` adds the action that is due. */
  | {
      name: "recording"; how: Recorder; seconds: number; total: number;
      action?: Action; index?: number; count?: number; session?: Session;
    }
  /** The camera can't be used: the app's `file` callback has been called. */
  | { name: "file"; session: Session; error: LivenessError }
  /** The file was recorded, and is read back. */
  | { name: "checking"; how: Recorder; video: Blob }
  | { name: "uploading"; progress: number; bytes: number }
  /** The video is sent: the gateway and Qiniu judge it. */
  | { name: "waiting" }
  /**
   * The same will be sent again, `attempt` times so far. `seconds`: the wait, if known. The sentence
   * is `describe("offline")`: that of `code` is for the time when no try is left.
   */
  | { name: "offline"; attempt: number; code: Code; seconds?: number }
  | { name: "done"; result: CheckResult };

export interface CheckOptions {
  client: LivenessClient;
  /** Where the person sees the camera. */
  video: HTMLVideoElement;
  nonce?: string;
  faceField?: string;
  signal?: AbortSignal;
  onState?: (state: State) => void;
  /**
   * A session that is still good, as an error with `retry: "record_again"` has it. One that is
   * about to end, or absent, is replaced by a new one.
   */
  session?: Session;
  /** Fields for `client.session`. */
  fields?: Omit<SessionOptions, "signal" | "onState">;
  /** Seconds of the countdown. Default 3. */
  countdown?: number;
  /** Seconds for each action. Default 2.5, and one second for the whole. */
  secondsPerAction?: number;
  muxer?: CreateMuxer;
  /** Limit for the camera. Default 60 000. */
  cameraTimeout?: number;
  /**
   * The way out where the camera can't be used: shows the actions and a file input, and returns
   * the file. It may take until the session ends. Without it, the error of the camera ends the
   * check.
   */
  file?: (step: { session: Session; error: LivenessError; signal: AbortSignal }) =>
    Promise<Blob>;
}

/** A judged video, and all that was used for it. */
export interface CheckResult extends VerifyResult {
  session: Session;
  recording: Recording;
}

/**
 * Runs a whole check: camera, session, countdown, recording, upload, result. It can be called
 * again at any time. Rejects with a `LivenessError` that has `state`, `session` and `video`. The
 * camera is off when the recording has ended, however it ends.
 */
export function checkLiveness(options: CheckOptions): Promise<CheckResult>;

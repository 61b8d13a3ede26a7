// One liveness check of the page, from a camera or a file to the facts about it. The module does
// the work; this adds what only a sandbox can tell: the emulator's count of billed calls and what
// the backend received. Reports states and returns an outcome as plain data; paints nothing.

import {
  checkLiveness, describe, LivenessClient, LivenessError, recordFile, send,
} from "./liveness.js";
import { evidencePictures, freshNonce, sandboxState, sandboxToken } from "./sandbox.js";
import { text } from "./texts.js";
import { checkVerdict } from "./verdict.js";

const FACE_FIELD = "spoofing,quality";
const VERIFY = "/v2/actionliveness/verify";
/** One or two actions: enough to see how it goes. */
const FIELDS = { max_code_length: 2 };
/** Fewer requests than an app would make, so that a busy Qiniu is shown within seconds. */
const RETRY = { attempts: 3, delay: 1500 };

/**
 * Runs a check. `source` is "camera", or a function that resolves with a video file. `again` is
 * what an earlier outcome had in `again`: its session, and its video if that is to be sent again.
 * Never rejects.
 */
export async function runCheck({ source, again, camera, loseAnswer, signal, report }) {
  const before = await sandboxState();
  const seen = { nonce: again?.nonce ?? freshNonce(), requests: 0 };
  const onState = state => {
    for (const name of ["session", "video"]) if (state[name]) seen[name] = state[name];
    if (state.name !== "done") report(state);
  };
  const transport = countVerifies(loseAnswer ? loseFirstAnswer() : send, seen);
  const options = {
    client: new LivenessClient({ token: sandboxToken, transport, retry: RETRY }),
    nonce: seen.nonce,
    faceField: FACE_FIELD,
    signal,
    onState,
  };
  try {
    const film = () => checkLiveness({ ...options, video: camera, fields: FIELDS, ...again });
    const result = again?.video ? await verifyAgain(again, options)
      : source === "camera" ? await film() : await sendFile(source, options);
    return await conclude({ result, before, seen });
  } catch (error) {
    return await fail({ error, before, seen, signal });
  }
}

async function sendFile(source, options) {
  const { client, signal, onState } = options;
  onState({ name: "session" });
  const session = await client.session({ ...FIELDS, signal, onState });
  const file = await source();
  onState({ name: "checking", session, video: file });
  const recording = await recordFile(file);
  onState({ name: "checking", ...recording });
  return client.verify({ ...options, session, video: recording.video });
}

function verifyAgain({ session, video }, options) {
  options.onState({ name: "uploading", session, video, progress: 0, bytes: video.size });
  return options.client.verify({ ...options, session, video });
}

/** Counts in `seen` how often a video was sent. */
function countVerifies(transport, seen) {
  return request => {
    if (request.url.endsWith(VERIFY)) seen.requests += 1;
    return transport(request);
  };
}

/** Loses the first response to a verify, as a network does that goes away after the upload. */
function loseFirstAnswer() {
  let lost = false;
  return async request => {
    const response = await send(request);
    if (lost || !request.url.endsWith(VERIFY)) return response;
    lost = true;
    throw new TypeError("the connection was lost");
  };
}

async function conclude({ result, before, seen }) {
  const { code, passed, replayed, response } = result;
  const verdict = result.verdict ? await checkVerdict(result.verdict, seen) : null;
  const state = await sandboxState();
  const delivery = state?.deliveries.find(({ id }) => id === verdict?.claims?.jti);
  const sentence = language => describe(code, language);
  return {
    tone: passed ? "good" : "bad",
    title: passed ? "passed" : "not_passed",
    reasons: passed ? ["reason_pass"] : [sentence, reasonOf(verdict?.claims?.liveness)],
    fine: response.error_code ? `error_code ${response.error_code}` : null,
    facts: {
      verdict,
      cost: costOf({ before, state, attempts: seen.requests, replayed }),
      removed: removedOf(delivery, response),
      backend: state ? await receivedBy(delivery) : null,
    },
    papers: { claims: verdict?.claims ?? null, response },
  };
}

async function fail({ error, before, seen, signal }) {
  const state = await sandboxState();
  const known = error instanceof LivenessError ? error : null;
  const { nonce, requests: attempts } = seen;
  const outcome = {
    tone: "warn",
    facts: { verdict: null, cost: costOf({ before, state, attempts, replayed: false }) },
  };
  if (signal.aborted) return { ...outcome, title: "cancelled", reasons: ["cancelled_reason"] };
  if (!known) console.error(error);
  const code = known?.code ?? "unexpected";
  const reasons = [language => describe(code, language)];
  if (known?.retryAfter) {
    reasons.push(language => text(language, "retry_after", { n: known.retryAfter }));
  }
  if (code === "insecure_page") reasons.push("insecure_camera");
  return {
    ...outcome,
    title: "no_result",
    reasons,
    fine: [code, known?.requestId].filter(Boolean).join(" · "),
    again: goOn(known, { nonce, session: known?.session ?? seen.session, video: seen.video }),
  };
}

/** What the next check goes on with: the session and its video, the session alone, or nothing. */
function goOn(error, { nonce, session, video }) {
  if (!error || !session) return null;
  if (["same", "later"].includes(error.retry) && video) return { nonce, session, video };
  return error.retry === "record_again" ? { session } : null;
}

/** Which condition of a pass does not hold. */
function reasonOf(liveness) {
  if (!liveness) return "reason_other";
  if (liveness.passed) return "reason_pass";
  if (liveness.action_verify !== "pass") return "reason_action";
  if (!(liveness.score > liveness.threshold_value)) return "reason_score";
  return liveness.maxspoofing > 0.5 ? "reason_spoof" : "reason_other";
}

function costOf({ before, state, attempts, replayed }) {
  const billed = before && state ? state.billed_calls - before.billed_calls : null;
  return { billed, attempts, replayed };
}

function removedOf(delivery, response) {
  if (!delivery?.pictures) return undefined;
  const received = new Blob([JSON.stringify(response)]).size;
  return { bytes: delivery.removed_bytes, pictures: delivery.pictures, received };
}

async function receivedBy(delivery) {
  if (!delivery) return undefined;
  return { ...delivery, pictures: await evidencePictures(delivery.id) };
}

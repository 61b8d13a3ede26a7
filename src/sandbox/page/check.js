// One liveness check of the page, from a camera or a file to the facts about it. The module does
// the work; this adds what only a sandbox can tell: the emulator's count of billed calls and what
// the backend received. Reports states and returns an outcome as plain data; paints nothing.

import {
  checkLiveness, checkVideo, describe, LivenessClient, LivenessError, send,
} from "./liveness.js";
import { evidencePictures, freshNonce, sandboxState, sandboxToken } from "./sandbox.js";
import { text } from "./texts.js";
import { checkVerdict } from "./verdict.js";

const FACE_FIELD = "spoofing,quality";
const VERIFY = "/v2/actionliveness/verify";

/**
 * Runs a check. `source` is "camera", or a function that resolves with a video; `again` is what
 * an earlier outcome had in `again`: the same video for the same session. Never rejects.
 */
export async function runCheck({ source, again, camera, loseAnswer, signal, report }) {
  const before = await sandboxState();
  const nonce = again?.nonce ?? freshNonce();
  const transport = loseAnswer ? loseFirstAnswer() : send;
  const client = new LivenessClient({ token: sandboxToken, transport });
  const shared = { nonce, faceField: FACE_FIELD, signal };
  const seen = { nonce };
  const onState = state => {
    Object.assign(seen, pick(state, ["session", "video"]));
    report(state);
  };
  try {
    const result = source === "camera" && !again
      ? await checkLiveness({ client, video: camera, onState, ...shared })
      : await sendVideo({ client, source, again, onState, ...shared });
    return await conclude({ result, before, nonce, video: result.video ?? seen.video });
  } catch (error) {
    return await fail({ error, before, seen, signal });
  }
}

async function sendVideo({ client, source, again, onState, nonce, faceField, signal }) {
  let { session, video } = again ?? {};
  if (!again) {
    onState({ name: "session" });
    session = await client.session({ signal });
    video = await source();
    onState({ name: "checking", session, video });
    const facts = await checkVideo(video);
    onState({ name: "checking", session, video, how: "file", ...facts });
  }
  onState({ name: "uploading", session, video, progress: 0 });
  const onProgress = progress => onState({
    name: progress < 1 ? "uploading" : "waiting", session, video, progress,
  });
  const onOffline = () => onState({ name: "offline", session, video });
  const result = await client.verify({
    session, video, nonce, faceField, signal, onProgress, onOffline,
  });
  return { ...result, video };
}

/** Loses the first answer to a verify, as a network does that goes away after the upload. */
function loseFirstAnswer() {
  let lost = false;
  return async request => {
    const response = await send(request);
    if (lost || !request.url.endsWith(VERIFY)) return response;
    lost = true;
    throw new TypeError("the connection was lost");
  };
}

async function conclude({ result, before, nonce, video }) {
  const verdict = result.verdict && await checkVerdict(result.verdict, { nonce, video });
  const state = await sandboxState();
  const delivery = state?.deliveries.find(({ id }) => id === verdict?.claims?.jti);
  const code = result.response.error_code;
  return {
    tone: result.passed ? "good" : "bad",
    title: result.passed ? "passed" : "not_passed",
    reasons: [code ? language => describe(code, language) : reasonOf(verdict?.claims?.liveness)],
    fine: code ? `error_code ${code}` : null,
    facts: {
      verdict: verdict || null,
      cost: costOf({ before, state, attempts: result.attempts, replayed: result.replayed }),
      removed: removedOf(delivery, result.response),
      backend: state ? await receivedBy(delivery) : null,
    },
    papers: { claims: verdict?.claims ?? null, response: result.response },
  };
}

async function fail({ error, before, seen, signal }) {
  const state = await sandboxState();
  const known = error instanceof LivenessError ? error : null;
  const attempts = known?.attempts ?? 0;
  const outcome = {
    tone: "warn",
    facts: { verdict: null, cost: costOf({ before, state, attempts, replayed: false }) },
  };
  if (signal.aborted) return { ...outcome, title: "cancelled", reasons: ["cancelled_reason"] };
  if (!known) console.error(error);
  const code = known?.code ?? "unexpected";
  const reasons = [language => describe(code, language)];
  if (known?.retryAfter) reasons.push(language => text(language, "retry_after", { n: known.retryAfter }));
  if (!navigator.mediaDevices && !seen.video) reasons.push("insecure_camera");
  return {
    ...outcome,
    title: "no_result",
    reasons,
    fine: [code, known?.requestId].filter(Boolean).join(" · "),
    again: known?.retry === "same" && seen.session && seen.video ? seen : null,
  };
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

function pick(object, names) {
  return Object.fromEntries(names.filter(name => object[name]).map(name => [name, object[name]]));
}

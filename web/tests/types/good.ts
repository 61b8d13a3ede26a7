// A program of an app, which must compile: it uses everything that liveness.d.ts promises.
import {
  checkLiveness, checkVideo, describe, LivenessClient, LivenessError, mp4Muxer, openCamera, record,
  recordFile, retryOf, send,
} from "../../liveness.js";
import type {
  Action, CheckResult, ClientOptions, CreateMuxer, Recording, Session, State, Transport,
  VerifyResult,
} from "../../liveness.js";

const options: ClientOptions = {
  url: "https://liveness.example.com",
  token: async ({ refresh }) => (refresh ? "new" : "old"),
  timeouts: { answer: 90_000 },
  retry: { attempts: 3 },
  transport: ({ url, onProgress, ...init }) => fetch(url, init),
};
const client = new LivenessClient(options);
const plain = new LivenessClient({ token: () => "token" });
const lossy: Transport = async (request) => {
  await send(request);
  throw new TypeError("lost");
};

function show(state: State): string {
  switch (state.name) {
    case "ready": return `${state.secondsLeft} ${state.session.actions.length}`;
    case "recording": return `${state.seconds / state.total} ${state.action?.name ?? ""}`;
    case "uploading": return `${Math.round(state.progress * 100)} % of ${state.bytes}`;
    case "offline": return describe(state.code, navigator.language);
    case "file": return describe(state.error.code, "zh");
    case "checking": return `${state.how} ${state.video.size}`;
    case "done": return state.result.verdict ?? "";
    case "camera": case "session": case "waiting": return state.name;
  }
}

export async function run(video: HTMLVideoElement, signal: AbortSignal): Promise<string> {
  try {
    const result: CheckResult = await checkLiveness({
      client, video, signal, nonce: "0123456789abcdef", faceField: "spoofing", onState: show,
      file: async ({ session, error }) => new File([session.id, error.code], "video.mp4"),
    });
    const claims = result.claims?.liveness.passed === true;
    return result.passed && claims ? describe(result.code) : retryOf(result.code);
  } catch (error) {
    if (!(error instanceof LivenessError)) throw error;
    if (error.retry === "same" && error.session && error.video) {
      const again: VerifyResult = await plain.verify({ session: error.session, video: error.video });
      return again.requestId ?? "";
    }
    return `${describe(error.code)} ${error.retryAfter ?? 0} ${error.requestId ?? ""}`;
  }
}

export async function steps(video: HTMLVideoElement, chosen: File): Promise<Recording> {
  const session: Session = await client.session({ min_code_length: 1, max_code_length: 2 });
  const names: Action["name"][] = session.actions.map(({ name }) => name);
  names.map((name) => describe(name, "zh"));
  const stream = await openCamera(video, { timeout: 5000 });
  const muxer: CreateMuxer = (track) => mp4Muxer(track);
  const recording = await record({ video, stream, seconds: 3, muxer });
  const { width, height, seconds } = await checkVideo(recording.video, { anySize: true });
  return width * height * seconds > 0 ? recording : recordFile(chosen);
}

export const lost = new LivenessClient({ token: () => "token", transport: lossy });

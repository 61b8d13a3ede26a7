// The whole check in Chromium with a fake camera, against a gateway: its states in order, a network
// that goes and comes back, a camera that can't be used, and each way out.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { browser, inPage } from "./chromium.mjs";
import { gateway, token } from "./gateway.mjs";
import { site } from "./site.mjs";

const sample = readFileSync(new URL("../../src/sandbox/sample.mp4", import.meta.url), "base64");
let running;
let network;
let started;
before(async () => {
  running = await gateway();
  network = await site(running.url);
  started = await browser();
});
after(async () => {
  await started?.close();
  network?.stop();
  await running?.stop();
});

/** Runs a check in the page. `meanwhile[state]` happens once, when that state is first told. */
async function check(argument, module) {
  const { token, first = "", meanwhile = {}, again, options = {}, sample, retry } = argument;
  const video = document.querySelector("video");
  const control = new AbortController();
  const streams = [];
  const open = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
  if (open) {
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      const stream = await open(wanted);
      streams.push(stream);
      return stream;
    };
  }
  Function("streams", first)(streams);
  const states = [];
  const onState = (state) => {
    states.push(state);
    const happen = meanwhile[state.name];
    delete meanwhile[state.name];
    if (happen) Function("control", happen)(control);
  };
  const client = new module.LivenessClient({ token: () => token, retry: { delay: 200, ...retry } });
  const settings = { client, video, onState, signal: control.signal, countdown: 1,
    secondsPerAction: 0.4, ...options };
  if (sample) {
    settings.file = async ({ session, error }) => {
      states.push({ name: `file of ${session.actions.length > 0} for ${error.code}` });
      return (await fetch(`data:video/mp4;base64,${sample}`)).blob();
    };
  }
  const error = ({ code, retry, state, session, video: kept, stack }) =>
    ({ error: code ?? stack, retry, state, session: session?.id, video: kept?.size });
  let outcome = await module.checkLiveness(settings).catch(error);
  if (again) {
    const { code, attempts } = await module.checkLiveness({ ...settings }).catch(error);
    outcome = { ...outcome, again: code, attempts };
  }
  const names = states.map(({ name }) => name).filter((name, at, all) => name !== all[at - 1]);
  const live = streams.flatMap((stream) => stream.getTracks())
    .filter((track) => track.readyState === "live").length;
  return JSON.parse(JSON.stringify({ ...outcome, states, names, live }));
}

/** Runs it with a new user, and checks what always holds. */
async function run(argument, { from = started, url = network.url, prepare } = {}) {
  const whole = { token: token(), ...argument };
  const found = await inPage(from, url, check, whole, prepare);
  assert.equal(found.live, 0, "the camera is off");
  return found;
}

test("a check tells its states in order, shows each action, and hands out the verdict", async () => {
  const found = await run({ options: { nonce: "0123456789abcdef", faceField: "spoofing",
    fields: { min_code_length: 2, max_code_length: 2 } } });
  assert.deepEqual(found.names, ["camera", "session", "ready", "recording", "checking", "uploading",
    "waiting", "done"]);
  assert.deepEqual([found.passed, found.code, found.replayed], [true, "passed", false]);
  assert.equal(found.claims.nonce, "0123456789abcdef");
  assert.equal(found.recording.how, "webcodecs");
  const recording = found.states.filter(({ name }) => name === "recording");
  const { actions } = found.session;
  assert.deepEqual([...new Set(recording.map(({ index }) => index))], [0, 1]);
  for (const { action, index, count, total } of recording) {
    assert.deepEqual([action, count, total], [actions[index], 2, 1.8]);
  }
  const progress = found.states.filter(({ name }) => name === "uploading");
  assert.equal(progress[0].progress, 0);
  assert.ok(progress.every(({ progress: part, bytes }) => part < 1 && bytes > 1000));
});

test("offline in the middle, then online: the same session, one billed call, told as such", async () => {
  const billed = await running.billed();
  const from = network.seen.length;
  // Only one more try: it must not be made before the network is back.
  const argument = { meanwhile: { offline: "setTimeout(comeBack, 1500)" }, retry: { attempts: 2 } };
  const found = await run(argument, {
    async prepare(page, context) {
      // The network goes when the gateway has answered, and its answer is lost.
      network.faults.push({}, { answer: () => context.setOffline(true) });
      await page.exposeFunction("comeBack", () => context.setOffline(false));
    },
  });
  assert.deepEqual([found.code, found.replayed], ["passed", true], JSON.stringify(found.names));
  assert.ok(found.names.includes("offline"));
  assert.equal(await running.billed(), billed + 1);
  const sent = network.seen.slice(from).map(({ headers }) => headers["liveness-session"]);
  assert.equal(sent.filter(Boolean).length, 2);
  assert.deepEqual([...new Set(sent.filter(Boolean))], [found.session.id]);
});

const reject = (name) => `navigator.mediaDevices.getUserMedia = async () => {
  throw new DOMException("no", "${name}"); };`;
const CAMERAS = [
  ["the person denies it", reject("NotAllowedError"), "camera_denied", "record_again"],
  ["a policy forbids it", reject("SecurityError"), "camera_denied", "record_again"],
  ["there is none", reject("NotFoundError"), "no_camera", "none"],
  ["it can't do what is asked", reject("OverconstrainedError"), "no_camera", "none"],
  ["another program has it", reject("NotReadableError"), "camera_busy", "record_again"],
  ["it fails otherwise", reject("AbortError"), "camera_busy", "record_again"],
  ["the browser has no API", "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })",
    "no_recorder", "none"],
  ["nobody answers the question", "navigator.mediaDevices.getUserMedia = () => new Promise(() => {})",
    "camera_timeout", "record_again"],
];
for (const [when, first, code, retry] of CAMERAS) {
  test(`a camera that can't be used since ${when} is ${code}, and a file is the way out`, async () => {
    const argument = { first, options: { cameraTimeout: 150 } };
    const found = await run(argument);
    assert.deepEqual([found.error, found.retry, found.state], [code, retry, "camera"]);
    const other = await run({ ...argument, sample });
    assert.deepEqual([other.code, other.recording.how], ["passed", "file"]);
    assert.ok(other.names.includes(`file of true for ${code}`), JSON.stringify(other.names));
  });
}

test("a camera that comes too late is switched off", async () => {
  const first = `const open = navigator.mediaDevices.getUserMedia;
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      const stream = await open(wanted);
      window.late = stream;
      return stream; };`;
  const argument = { token: token(), first, options: { cameraTimeout: 100 } };
  const late = `async (argument, module) => {
    const found = await (${check})(argument, module);
    while (!window.late) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { error: found.error, live: window.late.getTracks()[0].readyState };
  }`;
  assert.deepEqual(await inPage(started, network.url, late, argument),
    { error: "camera_timeout", live: "ended" });
});

test("the browser's own refusals have their codes", async () => {
  const denied = await browser({ allowed: false });
  const none = await browser({ camera: false });
  const insecure = await browser({ more: ["--host-resolver-rules=MAP plain.test 127.0.0.1"] });
  try {
    const rows = [
      [denied, network.url, "camera_denied"],
      [none, network.url, "no_camera"],
      [insecure, network.url.replace("127.0.0.1", "plain.test"), "insecure_page"],
    ];
    for (const [from, url, code] of rows) {
      assert.equal((await run({}, { from, url })).error, code);
    }
  } finally {
    await Promise.all([denied, none, insecure].map((each) => each.close()));
  }
});

for (const state of ["camera", "session", "ready", "recording", "checking", "uploading"]) {
  test(`a check that is cancelled in ${state} ends, and can be run again`, async () => {
    // Not from inside of the callback alone: also a moment later, while the step is under way.
    const found = await run({ meanwhile: { [state]: "setTimeout(() => control.abort(), 5)" } });
    assert.deepEqual([found.error, found.retry], ["cancelled", "new_session"]);
  });
}

test("after an error the same call can be made again", async () => {
  network.faults.push({ status: 429, headers: { "Retry-After": "3" },
    body: '{"code":"rate_limited","status":429}' });
  const found = await run({ again: true });
  assert.deepEqual([found.error, found.state, found.again], ["rate_limited", "session", "passed"]);
});

test("an error after the recording has the session and the video to go on with", async () => {
  network.faults.push({}, { status: 429, body: '{"code":"too_many_concurrent","status":429}' });
  const found = await run({});
  assert.deepEqual([found.error, found.retry, found.state],
    ["too_many_concurrent", "later", "waiting"]);
  assert.ok(found.session.length > 10);
  assert.ok(found.video > 1000);
});

test("an action that this module doesn't know is never shown", async () => {
  network.faults.push({ status: 200,
    body: '{"error_code":0,"result":{"session_id":"S","code":"3"}}' });
  const found = await run({});
  assert.deepEqual([found.error, found.retry], ["unknown_action", "new_session"]);
  assert.ok(!found.names.includes("ready"));
});

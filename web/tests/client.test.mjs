// The two requests against a real gateway, over a network that fails in each way: the same session
// is sent again and billed once, tokens are fetched anew, waits are bounded, each error has a name.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { LivenessClient, LivenessError } from "../liveness.js";
import { gateway, token } from "./gateway.mjs";
import { site } from "./site.mjs";

const sample = readFileSync(new URL("../../src/sandbox/sample.mp4", import.meta.url));
const video = new Blob([sample], { type: "video/mp4" });
const QUICK = { attempts: 4, delay: 10, maxDelay: 40 };

let running;
let network;
before(async () => {
  running = await gateway();
  network = await site(running.url);
});
after(() => {
  network?.stop();
  return running?.stop();
});

/** A client of a user of its own. */
function client(options = {}) {
  const own = token();
  return new LivenessClient({ url: `${network.url}/`, token: () => own, retry: QUICK, ...options });
}

/** The error of a promise. */
async function failure(promise) {
  const error = await promise.then((value) => assert.fail(JSON.stringify(value)), (error) => error);
  assert.ok(error instanceof LivenessError, error.stack);
  return error;
}

test("a session has an id, its actions by name, and an end within five minutes", async () => {
  const session = await client().session({ min_code_length: 3, max_code_length: 3 });
  assert.equal(session.actions.length, 3);
  const names = { 0: "blink", 4: "head_up", 5: "head_down", 7: "turn_left_right" };
  for (const { digit, name } of session.actions) assert.equal(name, names[digit]);
  assert.equal(session.actions.map(({ digit }) => digit).join(""), session.code);
  const left = session.expiresAt - Date.now();
  assert.ok(left > 240_000 && left < 300_000, `${left}`);
});

test("a video gets a verdict whose claims are handed out, with the nonce", async () => {
  const own = client();
  const session = await own.session();
  const nonce = "n0nce_of_one_transaction";
  const result = await own.verify({ session, video, nonce, faceField: "spoofing,quality" });
  assert.equal(result.passed, true);
  assert.deepEqual([result.code, result.retry, result.replayed, result.attempts],
    ["passed", "none", false, 1]);
  assert.equal(result.claims.nonce, nonce);
  assert.equal(result.claims.liveness.passed, true);
  assert.equal(result.verdict.split(".").length, 3);
  assert.equal(typeof result.response.result.maxspoofing, "number");
  assert.match(result.requestId, /^[0-9a-f]{32}$/);
  const { headers } = network.seen.at(-1);
  assert.equal(headers["content-type"], "video/mp4");
  assert.equal(Number(headers["content-length"]), video.size);
});

const LOST = [
  ["while it is sent", [{ upload: 20_000 }], 2, false],
  ["before its answer", [{ answer() {} }], 2, true],
  ["three times", [{ upload: 1 }, { answer() {} }, { answer() {} }], 4, true],
  ["by a load balancer's 502", [{ status: 502, body: "<html>" }], 2, false],
  ["by a full gateway", [{ status: 503, headers: { "Retry-After": "0" },
    body: '{"code":"overloaded","status":503}' }], 2, false],
];
for (const [when, faults, attempts, replayed] of LOST) {
  test(`a video that is lost ${when} is sent again for the same session, billed once`, async () => {
    const own = client();
    const states = [];
    const session = await own.session();
    const billed = await running.billed();
    network.faults.push(...faults);
    const from = network.seen.length;
    const onState = (state) => states.push(state);
    const result = await own.verify({ session, video, nonce: "0123456789abcdef", onState });
    assert.deepEqual([result.passed, result.attempts, result.replayed], [true, attempts, replayed]);
    assert.equal(await running.billed(), billed + 1);
    const ids = new Set(network.seen.slice(from).map(({ headers }) => headers["liveness-session"]));
    assert.deepEqual([...ids], [session.id]);
    const offline = states.filter(({ name }) => name === "offline");
    assert.deepEqual(offline.map(({ attempt }) => attempt), faults.map((_, at) => at + 1));
    assert.ok(offline.every(({ code }) => ["network", "overloaded"].includes(code)));
    assert.equal(states.at(-1).name, "uploading");
  });
}

test("a wait is at least as long as Retry-After says", async () => {
  const own = client();
  const session = await own.session();
  network.faults.push({ status: 503, headers: { "Retry-After": "1" },
    body: '{"code":"upstream_busy","status":503}' });
  const from = performance.now();
  const states = [];
  await own.verify({ session, video, onState: (state) => states.push(state) });
  assert.ok(performance.now() - from >= 990);
  const { seconds } = states.find(({ name }) => name === "offline");
  assert.equal(seconds, 1);
});

test("tries are bounded, and the error says what the last one met", async () => {
  const own = client();
  const session = await own.session();
  network.faults.push(...Array(4).fill({ status: 503, headers: { "X-Request-Id": "abc" },
    body: '{"code":"not_ready","status":503,"detail":"no keys"}' }));
  const error = await failure(own.verify({ session, video }));
  assert.deepEqual([error.code, error.retry, error.status, error.requestId],
    ["not_ready", "same", 503, "abc"]);
  assert.equal(network.faults.length, 0);
  // Each call can be repeated.
  assert.equal((await own.verify({ session, video })).passed, true);
});

test("a Retry-After beyond the total limit ends the call at once", async () => {
  const own = client({ timeouts: { total: 3000 } });
  network.faults.push({ status: 503, headers: { "Retry-After": "60" },
    body: '{"code":"shutting_down","status":503}' });
  const error = await failure(own.session());
  assert.deepEqual([error.code, error.retryAfter], ["shutting_down", 60]);
});

test("an error that only the person can mend is not sent again", async () => {
  const own = client();
  network.faults.push({ status: 429, headers: { "Retry-After": "9" },
    body: '{"code":"rate_limited","status":429}' });
  const error = await failure(own.session());
  assert.deepEqual([error.code, error.retry, error.retryAfter], ["rate_limited", "later", 9]);
  const session = await own.session();
  const short = await failure(own.verify({ session, video: new Blob(["no video"]) }));
  assert.deepEqual([short.code, short.reason, short.retry],
    ["video_rejected", "not_mp4", "record_again"]);
  // The session is still good.
  assert.equal((await own.verify({ session, video })).passed, true);
});

test("an expired token is fetched anew once, and a second refusal is for the person", async () => {
  const reasons = [];
  const fresh = token("someone");
  const old = token("someone", -300);
  const own = client({ token: async ({ refresh }) => {
    reasons.push(refresh);
    return refresh ? fresh : old;
  } });
  assert.equal((await own.session()).actions.length > 0, true);
  assert.deepEqual(reasons, [false, true]);
  const expired = await failure(client({ token: () => old }).session());
  assert.deepEqual([expired.code, expired.retry, expired.status], ["expired_token", "sign_in", 401]);
  const invalid = await failure(client({ token: () => "x" }).session());
  assert.equal(invalid.code, "invalid_token");
});

test("a token callback that fails has its own errors, and a time limit", async () => {
  const rows = [
    [() => { throw new Error("no"); }, "token_failed"],
    [async () => "", "token_failed"],
    [() => new Promise(() => {}), "token_failed"],
    [async () => { throw new LivenessError("camera_busy"); }, "camera_busy"],
  ];
  for (const [callback, code] of rows) {
    const own = client({ token: callback, timeouts: { token: 30 } });
    assert.equal((await failure(own.session())).code, code);
  }
  let calls = 0;
  const own = client({ token: async () => {
    calls += 1;
    if (calls < 3) throw new TypeError("fetch failed");
    return token();
  } });
  assert.ok(await own.session());
  assert.equal(calls, 3);
});

test("a request without an answer ends by its limit, and is sent again", async () => {
  const quick = { session: 60, upload: 200, answer: 60, total: 5000 };
  const own = client({ timeouts: quick });
  network.faults.push({ silent: true });
  assert.ok(await own.session());
  const session = await own.session();
  network.faults.push({ stalled: true }, { silent: true });
  const result = await own.verify({ session, video });
  assert.deepEqual([result.passed, result.attempts, result.replayed], [true, 3, true]);
  network.faults.push(...Array(4).fill({ stalled: true }));
  const error = await failure(own.session());
  assert.deepEqual([error.code, error.retry], ["timeout", "same"]);
});

test("a call can be cancelled in each of its states", async () => {
  const own = client({ retry: { attempts: 4, delay: 60_000, maxDelay: 60_000 } });
  const session = await own.session();
  const rows = [
    ["before it begins", { start: true }],
    ["while it is sent", { fault: { stalled: true } }],
    ["while the answer is waited for", { fault: { silent: true } }],
    ["while a retry is waited for", { fault: { upload: 1 }, at: "offline" }],
  ];
  for (const [when, { start, fault, at }] of rows) {
    const control = new AbortController();
    if (start) control.abort();
    if (fault) network.faults.push({ ...fault, reached: () => at || control.abort() });
    const onState = ({ name }) => name === at && setImmediate(() => control.abort());
    const promise = own.verify({ session, video, signal: control.signal, onState });
    assert.equal((await failure(promise)).code, "cancelled", when);
    assert.equal(network.faults.length, 0, when);
  }
});

test("a session that has ended is not sent", async () => {
  const own = client();
  const session = { ...await own.session(), expiresAt: Date.now() - 1 };
  const from = network.seen.length;
  const error = await failure(own.verify({ session, video }));
  assert.deepEqual([error.code, error.retry], ["session_expired", "new_session"]);
  assert.equal(network.seen.length, from);
});

test("a response that no gateway gives is an error, never a pass", async () => {
  const own = client();
  const session = await own.session();
  const good = '{"error_code":0,"result":{"action_verify":"pass","score":0.9,';
  const rows = [
    [200, "hello", "bad_response"],
    [200, "null", "bad_response"],
    [200, '{"error_code":"0"}', "bad_response"],
    [404, "<html>", "bad_response"],
    [418, '{"code":"brand_new","status":418}', "brand_new"],
  ];
  for (const [status, body, code] of rows) {
    network.faults.push({ status, body });
    assert.equal((await failure(own.verify({ session, video }))).code, code, body);
  }
  const failed = [
    ['{"error_code":0}', "not_passed"],
    [`${good}"thresholds":{}}}`, "not_passed"],
    [`${good}"thresholds":{"frr_1e-3":0.95}}}`, "not_passed"],
    [`${good}"thresholds":{"frr_1e-3":0.3}},"verdict":"e30.e30.x"}`, "not_passed"],
    [`${good}"thresholds":{"frr_1e-3":0.3}},"verdict":"?"}`, "not_passed"],
    ['{"error_code":0,"result":{"action_verify":"fail"}}', "action_failed"],
    ['{"error_code":216501,"error_msg":"not found face"}', "qiniu_216501"],
  ];
  for (const [body, code] of failed) {
    network.faults.push({ status: 200, body });
    const result = await own.verify({ session, video });
    assert.deepEqual([result.passed, result.code, result.retry], [false, code, "new_session"], body);
  }
  network.faults.push({ status: 200, body: `${good}"thresholds":{"frr_1e-3":0.3}}}` });
  assert.equal((await own.verify({ session, video })).passed, true);
  for (const body of ['{"error_code":0}', '{"error_code":0,"result":{"session_id":"S","code":"x"}}']) {
    network.faults.push({ status: 200, body });
    assert.equal((await failure(own.session())).code, "bad_response");
  }
  network.faults.push({ status: 200, body: '{"error_code":18}' });
  assert.equal((await failure(own.session())).code, "qiniu_18");
  network.faults.push({ status: 200, body: '{"error_code":0,"result":{"session_id":"S","code":"09"}}' });
  assert.deepEqual((await own.session()).actions.map(({ name }) => name), ["blink", "unknown"]);
});

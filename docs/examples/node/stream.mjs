// Passes an app's requests on to a gateway that only this backend can reach, a sidecar. A video
// goes through as it arrives: `pipe` reads no faster than the gateway takes. It never holds or
// logs a body, and never passes a cookie on.
import { request as call } from "node:http";
import { pipeline } from "node:stream";
import { mint } from "./mint.mjs";

const { GATEWAY_URL = "http://127.0.0.1:8080" } = process.env;
const ROUTES = ["/v2/actionliveness/sessioncode", "/v2/actionliveness/verify"];
const UP = [
  "content-type", "content-length", "liveness-session", "liveness-face-field", "liveness-nonce",
];
const DOWN = [
  "content-type", "content-length", "cache-control", "retry-after", "www-authenticate",
  "x-request-id", "ratelimit", "ratelimit-policy", "liveness-replayed",
];
const SILENCE = 90_000; // longer than the gateway's `timeout` of the route and `evidence.timeout`
const DRAIN = 2_000;

// Stands for your own login: users by the value of their cookie `login`.
const logins = new Map(Object.entries(JSON.parse(process.env.LOGINS)));

/** Handles a request of the app, with `Expect: 100-continue` or without. */
export async function forward(request, response) {
  const user = logins.get(/(?:^|; )login=([^;]*)/.exec(request.headers.cookie ?? "")?.[1]);
  if (user === undefined) return refuse(response, 401, "not_logged_in");
  if (request.method !== "POST" || !ROUTES.includes(request.url)) {
    return refuse(response, 404, "unknown_route");
  }

  // Where the app has a token of its own: authorization = request.headers.authorization
  const headers = { ...pick(request.headers, UP), authorization: `Bearer ${await mint(user)}` };
  const { "transfer-encoding": chunked, "content-length": length } = request.headers;
  const empty = !chunked && !(Number(length) > 0);
  // The gateway asks for the body once token, limits and size are good. A refusal costs no upload.
  if (!empty) headers.expect = "100-continue";
  // No kept connection (`agent`): it could close just as a video begins.
  const options = { method: "POST", headers, timeout: SILENCE, agent: false };
  const upstream = call(new URL(request.url, GATEWAY_URL), options);
  upstream.on("continue", () => {
    if (request.headers.expect) response.writeContinue();
    request.pipe(upstream);
  });
  upstream.on("response", (answer) => {
    if (!upstream.writableEnded) discard(request, upstream);
    response.writeHead(answer.statusCode, pick(answer.headers, DOWN));
    pipeline(answer, response, () => {});
  });
  upstream.on("timeout", () => upstream.destroy(new Error("the gateway is silent")));
  upstream.on("error", (error) => {
    console.log(`no answer of the gateway: ${error.message}`);
    if (!response.headersSent) refuse(response, 502, "unavailable");
  });
  // An app that leaves in the middle ends the upload; nothing is billed. Once the video is
  // complete, the gateway finishes the call, and keeps the answer for the app's next try.
  request.on("error", () => upstream.destroy());
  if (empty) upstream.end();
}

/** Answered before the end of the upload: reads on for a moment, or the app misses the answer. */
function discard(request, upstream) {
  request.unpipe(upstream);
  request.resume();
  const timer = setTimeout(() => request.socket.destroy(), DRAIN);
  request.on("end", () => clearTimeout(timer));
}

/** The headers of these names. */
function pick(headers, names) {
  const there = names.filter((name) => name in headers);
  return Object.fromEntries(there.map((name) => [name, headers[name]]));
}

function refuse(response, status, error) {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify({ error }));
}

// A backend that receives evidence: it verifies the sender and keeps the best picture for the
// verdict that follows. It needs only Node's standard library.
//
//   EVIDENCE_SECRET=whsec_… PORT=3000 node evidence.mjs
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const MAX_BODY = 24 * 1024 * 1024;
const MAX_AGE = 5 * 60; // seconds
const key = Buffer.from(process.env.EVIDENCE_SECRET.replace(/^whsec_/, ""), "base64");

// By the verdict's `jti`. These are pictures of faces: delete them when they are no longer needed.
const evidence = new Map();

/** Whether the gateway sent these bytes recently. `body` must be the bytes as received. */
function isGenuine(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": signatures } = headers;
  if (!id || !/^[0-9]{1,12}$/.test(time ?? "") || !signatures) return false;
  if (Math.abs(Date.now() / 1000 - Number(time)) > MAX_AGE) return false;
  const wanted = createHmac("sha256", key).update(`${id}.${time}.`).update(body).digest();
  return signatures.split(" ").some((signature) => {
    const [version, base64] = signature.split(",", 2);
    const given = Buffer.from(base64 ?? "", "base64");
    return version === "v1" && given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

async function take(request) {
  if (request.method !== "POST" || request.url !== "/liveness") return 404;
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY) return 413;
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (!isGenuine(request.headers, body)) return 401;
  const { id, user, issuer, passed, answer } = JSON.parse(body);
  // The signed id must be the id in the body. A repeated delivery changes nothing.
  if (id !== request.headers["webhook-id"]) return 400;
  if (!evidence.has(id)) evidence.set(id, { user, issuer, picture: answer.result?.best_image?.pic });
  console.log(`took ${id} passed=${passed} picture=${evidence.get(id).picture !== undefined}`);
  return 204;
}

const server = createServer(async (request, response) => {
  const status = await take(request).catch(() => 400);
  response.writeHead(status).end();
});
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => console.log(`listening on ${server.address().port}`));

// Receives evidence: verifies the sender, and keeps the best picture for the verdict that follows.
// It relies on Node's standard library alone, and never keeps a picture for longer than MAX_HELD.
import { createHmac, timingSafeEqual } from "node:crypto";

const MAX_BODY = 24 * 1024 * 1024;
const MAX_AGE = 5 * 60; // seconds
const MAX_HELD = 15 * 60; // seconds: longer than a verdict is valid
const key = Buffer.from(process.env.EVIDENCE_SECRET.replace(/^whsec_/, ""), "base64");

// By the verdict's `jti`. These are pictures of faces: delete them when they are no longer needed.
export const evidence = new Map();

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

/** Returns the status to respond with. Calls `first` with a delivery that did not come before. */
export async function take(request, first = () => {}) {
  if (request.method !== "POST") return 405;
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY) return 413;
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (!isGenuine(request.headers, body)) return 401;
  const delivery = JSON.parse(body);
  // The signed id must be the id in the body. A repeated delivery changes nothing.
  if (delivery.id !== request.headers["webhook-id"]) return 400;
  const now = Date.now() / 1000;
  for (const [id, { since }] of evidence) if (since + MAX_HELD < now) evidence.delete(id);
  if (evidence.has(delivery.id)) return 204;
  // Of a check that failed, nobody needs a face.
  const picture = delivery.passed ? delivery.answer.result?.best_image?.pic : undefined;
  evidence.set(delivery.id, { user: delivery.user, issuer: delivery.issuer, picture, since: now });
  console.log(`took ${delivery.id} passed=${delivery.passed} picture=${picture !== undefined}`);
  first(delivery);
  return 204;
}

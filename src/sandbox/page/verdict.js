// Checks a verdict in the page, as a backend does: the signature by the gateway's key set, then
// the claims. Relies on WebCrypto, which plain HTTP pages do not have, and which older browsers
// have without Ed25519: then it says so. Never takes an unchecked signature for a good one.

const KEY_SET = "/.well-known/jwks.json";
const TYPE = "liveness-verdict+jwt";

/**
 * Checks `verdict`. Each of the result's `checks` is true, false, or null for "could not be
 * checked"; `why` is then the reason: insecure, ed25519, no_keys, no_key or malformed.
 */
export async function checkVerdict(verdict, { nonce, video, now = Date.now() }) {
  const parts = parse(verdict);
  if (!parts) return { claims: null, checks: { signature: false }, why: "malformed" };
  const { claims } = parts;
  const { good, why } = await checkSignature(parts);
  const left = typeof claims.exp === "number" ? claims.exp - now / 1000 : -1;
  const checks = {
    signature: good,
    nonce: claims.nonce === nonce,
    video: await isOf(claims.liveness?.video_sha256, video),
    fresh: left > 0,
  };
  return { claims, checks, why, minutes: Math.max(0, Math.round(left / 60)) };
}

async function checkSignature({ header, signed, signature }) {
  if (!crypto.subtle) return { good: null, why: "insecure" };
  let keys;
  try {
    const response = await fetch(KEY_SET, { cache: "no-store" });
    keys = (await response.json()).keys;
  } catch {
    return { good: null, why: "no_keys" };
  }
  const fits = key => key.kid === header.kid && key.crv === "Ed25519";
  const jwk = Array.isArray(keys) && keys.find(fits);
  if (!jwk || header.alg !== "EdDSA") return { good: false, why: "no_key" };
  try {
    const { kty, crv, x } = jwk;
    const key = await crypto.subtle.importKey("jwk", { kty, crv, x }, "Ed25519", false, ["verify"]);
    return { good: await crypto.subtle.verify("Ed25519", key, signature, signed) };
  } catch {
    return { good: null, why: "ed25519" };
  }
}

async function isOf(digest, video) {
  if (!crypto.subtle || !video || typeof digest !== "string") return null;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await video.arrayBuffer()));
  return digest === Array.from(hash, byte => byte.toString(16).padStart(2, "0")).join("");
}

function parse(verdict) {
  try {
    const [header, payload, signature, ...rest] = verdict.split(".");
    const head = JSON.parse(new TextDecoder().decode(bytes(header)));
    if (rest.length || head.typ !== TYPE) return null;
    return {
      header: head,
      claims: JSON.parse(new TextDecoder().decode(bytes(payload))),
      signature: bytes(signature),
      signed: new TextEncoder().encode(`${header}.${payload}`),
    };
  } catch {
    return null;
  }
}

function bytes(base64url) {
  const text = atob(base64url.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(text, character => character.charCodeAt(0));
}

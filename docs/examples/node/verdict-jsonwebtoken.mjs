// Verifies verdicts with jsonwebtoken, which lacks EdDSA: the gateway must sign with a P-256 key.
// It relies on the gateway's key set alone, and never lets a verdict choose its key or algorithm.
import { createPublicKey } from "node:crypto";
import jwt from "jsonwebtoken";

const { JWKS_URL, ISSUER, AUDIENCE } = process.env;
const MAX_AGE = 600; // Time that fetched keys are used, in seconds.
const REFETCH = 30; // Minimum time between two fetches for unknown keys, in seconds.

// The P-256 keys of the gateway's key set, by their ids.
let keys = new Map();
let fetched = -Infinity;

/** The verdict does not prove what it should. Any other error means: the keys can't be fetched. */
export class Refused extends Error {}

/** Returns the key with this id. Fetches the key set on first use, and again for an unknown id. */
async function keyOf(id) {
  const age = performance.now() / 1000 - fetched;
  if (age > MAX_AGE || (!keys.has(id) && age > REFETCH)) {
    const answer = await fetch(JWKS_URL, { signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`the key set answers ${answer.status}`);
    const set = (await answer.json()).keys.filter((jwk) => jwk.kty === "EC" && jwk.crv === "P-256");
    keys = new Map(set.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: "jwk" })]));
    fetched = performance.now() / 1000;
  }
  if (!keys.has(id)) throw new Refused("signed with an unknown key");
  return keys.get(id);
}

/** Returns the claims of a genuine verdict about this user and this nonce, passed or not. */
export async function check(verdict, user, nonce) {
  const kid = jwt.decode(verdict, { complete: true })?.header.kid;
  const { header, payload } = verify(verdict, await keyOf(kid));
  if (header.typ !== "liveness-verdict+jwt") throw new Refused("not a verdict");
  // jsonwebtoken checks `exp` only where there is one.
  if (typeof payload.exp !== "number" || !payload.jti) throw new Refused("a claim is missing");
  // The user of the backend's own login session, never a name that the frontend sends.
  if (payload.sub !== user.id || payload.sub_iss !== user.issuer) {
    throw new Refused("about another user");
  }
  // The nonce that this backend made for the transaction which is now to be carried out.
  if (payload.nonce !== nonce) throw new Refused("for another transaction");
  return payload;
}

// Used verdicts, until they expire. With several backends, store them in a shared database.
const used = new Map();

/** Returns the claims of a verdict that this user passed for this nonce; accepts it once. */
export async function accept(verdict, user, nonce) {
  const claims = await check(verdict, user, nonce);
  if (claims.liveness?.passed !== true) throw new Refused("not passed");
  const now = Date.now() / 1000;
  for (const [id, until] of used) if (until < now) used.delete(id);
  if (used.has(claims.jti)) throw new Refused("used before");
  used.set(claims.jti, claims.exp);
  return claims;
}

function verify(verdict, key) {
  try {
    const options = { complete: true, algorithms: ["ES256"], issuer: ISSUER, audience: AUDIENCE };
    return jwt.verify(verdict, key, options);
  } catch (error) {
    throw new Refused(error.message);
  }
}

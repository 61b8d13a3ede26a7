// How a backend verifies a verdict with jsonwebtoken, which lacks EdDSA: the gateway must sign with
// a P-256 key. Reads one verdict per line from standard input and prints the result of each.
//
//   JWKS_URL=… ISSUER=… AUDIENCE=… USER_ISSUER=… USER_ID=… NONCE=… node verdict-jsonwebtoken.mjs
import { createPublicKey } from "node:crypto";
import { createInterface } from "node:readline";
import jwt from "jsonwebtoken";

const { JWKS_URL, ISSUER, AUDIENCE, USER_ISSUER, USER_ID, NONCE } = process.env;
const REFETCH = 30; // Minimum time between two fetches for unknown keys, in seconds.

// The P-256 keys of the gateway's key set, by their ids.
let keys = new Map();
let fetched = -Infinity;

/** Returns the key with this id. Fetches the key set on first use, and again for an unknown id. */
async function keyOf(id) {
  if (!keys.has(id) && performance.now() / 1000 - fetched > REFETCH) {
    fetched = performance.now() / 1000;
    const answer = await fetch(JWKS_URL, { signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`the key set answers ${answer.status}`);
    const set = (await answer.json()).keys.filter((jwk) => jwk.kty === "EC" && jwk.crv === "P-256");
    keys = new Map(set.map((jwk) => [jwk.kid, createPublicKey({ key: jwk, format: "jwk" })]));
  }
  if (!keys.has(id)) throw new Error("signed with an unknown key");
  return keys.get(id);
}

// Used verdicts, until they expire. With several backends, store them in a shared database.
const used = new Map();

/** Returns the claims of a verdict that this user passed for this nonce; throws for anything else. */
export async function accept(verdict, user, nonce) {
  const id = jwt.decode(verdict, { complete: true })?.header.kid;
  const { header, payload } = jwt.verify(verdict, await keyOf(id), {
    complete: true,
    algorithms: ["ES256"],
    issuer: ISSUER,
    audience: AUDIENCE,
  });
  if (header.typ !== "liveness-verdict+jwt") throw new Error("not a verdict");
  // jsonwebtoken checks `exp` only where there is one.
  if (typeof payload.exp !== "number" || !payload.jti) throw new Error("a claim is missing");
  // The user of the backend's own login session, never a name that the frontend sends.
  if (payload.sub !== user.id || payload.sub_iss !== user.issuer) throw new Error("about another user");
  // The nonce that this backend made for the transaction which is now to be carried out.
  if (payload.nonce !== nonce) throw new Error("for another transaction");
  if (payload.liveness?.passed !== true) throw new Error("not passed");
  const now = Date.now() / 1000;
  for (const [id, until] of used) if (until < now) used.delete(id);
  if (used.has(payload.jti)) throw new Error("used before");
  used.set(payload.jti, payload.exp);
  return payload;
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    const claims = await accept(line.trim(), { id: USER_ID, issuer: USER_ISSUER }, NONCE);
    console.log(`accepted ${claims.jti}`);
  } catch (error) {
    console.log(`refused: ${error.message}`);
  }
}

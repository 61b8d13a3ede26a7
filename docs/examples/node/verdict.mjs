// How a backend verifies a verdict with jose, whichever kind of key signs. Reads one verdict per
// line from standard input and prints the result of each.
//
//   JWKS_URL=… ISSUER=… AUDIENCE=… USER_ISSUER=… USER_ID=… NONCE=… node verdict.mjs
import { createInterface } from "node:readline";
import { createRemoteJWKSet, jwtVerify } from "jose";

const { JWKS_URL, ISSUER, AUDIENCE, USER_ISSUER, USER_ID, NONCE } = process.env;

// The key set is fetched on first use, and again when a verdict names an unknown key.
const keys = createRemoteJWKSet(new URL(JWKS_URL));

// Used verdicts, until they expire. With several backends, store them in a shared database.
const used = new Map();

/** Returns the claims of a verdict that this user passed for this nonce; throws for anything else. */
export async function accept(verdict, user, nonce) {
  const { payload } = await jwtVerify(verdict, keys, {
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: ["EdDSA", "ES256"],
    typ: "liveness-verdict+jwt",
    requiredClaims: ["exp", "iat", "jti", "sub", "sub_iss"],
  });
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

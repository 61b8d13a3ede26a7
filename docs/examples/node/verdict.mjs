// A backend's check of a verdict. Reads one verdict a line from standard input and says what it thinks of each.
//
//   JWKS_URL=… ISSUER=… AUDIENCE=… USER_ISSUER=… USER_ID=… node verdict.mjs
import { createInterface } from "node:readline";
import { createRemoteJWKSet, jwtVerify } from "jose";

const { JWKS_URL, ISSUER, AUDIENCE, USER_ISSUER, USER_ID } = process.env;

// Fetched when needed, and again when a verdict names a key that is not in it.
const keys = createRemoteJWKSet(new URL(JWKS_URL));

// Verdicts that were used, until they have expired. With several backends this belongs into their database.
const used = new Map();

/** The claims of a verdict about this user that passed; throws for anything else. */
export async function accept(verdict, user) {
  const { payload } = await jwtVerify(verdict, keys, {
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: ["EdDSA"],
    typ: "liveness-verdict+jwt",
    requiredClaims: ["exp", "iat", "jti", "sub", "sub_iss"],
  });
  // The user of the backend's own login session, never a name that the frontend sends beside the verdict.
  if (payload.sub !== user.id || payload.sub_iss !== user.issuer) throw new Error("about another user");
  if (payload.liveness?.passed !== true) throw new Error("not passed");
  const now = Date.now() / 1000;
  for (const [id, until] of used) if (until < now) used.delete(id);
  if (used.has(payload.jti)) throw new Error("used before");
  used.set(payload.jti, payload.exp);
  return payload;
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    const claims = await accept(line.trim(), { id: USER_ID, issuer: USER_ISSUER });
    console.log(`accepted ${claims.jti}`);
  } catch (error) {
    console.log(`refused: ${error.message}`);
  }
}

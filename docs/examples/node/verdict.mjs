// Verifies verdicts with jose, whichever kind of key signs. It relies on the gateway's key set
// alone, and never lets a verdict choose its key or its algorithm.
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const { JWKS_URL, ISSUER, AUDIENCE } = process.env;

// The key set is fetched on first use, every ten minutes, and when a verdict names an unknown key:
// then at most every 30 seconds, so that invented keys cause no flood of fetches.
const keys = createRemoteJWKSet(new URL(JWKS_URL), {
  cacheMaxAge: 600_000,
  cooldownDuration: 30_000,
  timeoutDuration: 5_000,
});

/** The verdict does not prove what it should. Any other error means: the keys can't be fetched. */
export class Refused extends Error {}

/** Returns the claims of a genuine verdict about this user and this nonce, passed or not. */
export async function check(verdict, user, nonce) {
  const { payload } = await jwtVerify(verdict, keys, {
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: ["EdDSA", "ES256"],
    typ: "liveness-verdict+jwt",
    requiredClaims: ["exp", "iat", "jti", "sub", "sub_iss"],
  }).catch(refuse);
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

function refuse(error) {
  const fetching = [errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JOSEError.code];
  if (!(error instanceof errors.JOSEError) || fetching.includes(error.code)) throw error;
  throw new Refused(error.message);
}

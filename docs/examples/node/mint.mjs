// Mints the tokens of a backend that is its own issuer, with jose, and publishes the key that
// verifies them. The type of the key decides the algorithm: Ed25519 EdDSA, P-256 ES256, RSA RS256;
// with TOKEN_SECRET in place of TOKEN_KEY_FILE (PKCS#8 PEM), HS256. It never publishes a secret.
import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { SignJWT } from "jose";

const { TOKEN_ISSUER, TOKEN_AUDIENCE, TOKEN_KEY_FILE, TOKEN_SECRET } = process.env;
export const LIFETIME = 10 * 60; // seconds

const ALGORITHMS = { ed25519: "EdDSA", ec: "ES256", rsa: "RS256" };
const key = TOKEN_SECRET
  ? Buffer.from(TOKEN_SECRET)
  : createPrivateKey(readFileSync(TOKEN_KEY_FILE));
const alg = TOKEN_SECRET ? "HS256" : ALGORITHMS[key.asymmetricKeyType];
const publicKey = TOKEN_SECRET ? undefined : createPublicKey(key);
// Any text that no other key has: here a hash of the public key.
const der = publicKey?.export({ type: "spki", format: "der" });
const kid = der && createHash("sha256").update(der).digest("base64url");

/** Returns a token with which this user makes the liveness check of one transaction. */
export function mint(user, transaction) {
  return new SignJWT({ scope: "liveness", txn: transaction })
    .setProtectedHeader({ alg, kid, typ: "JWT" })
    .setIssuer(TOKEN_ISSUER)
    .setAudience(TOKEN_AUDIENCE)
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime(`${LIFETIME}s`)
    .sign(key);
}

/** Returns the key set for `jwks_url` or `jwks_file`. */
export function keySet() {
  const jwk = publicKey?.export({ format: "jwk" });
  return { keys: jwk ? [{ ...jwk, kid, alg, use: "sig" }] : [] };
}

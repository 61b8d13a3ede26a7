// Mints the tokens of a backend that is its own issuer, with jsonwebtoken: ES256 with a P-256 key,
// RS256 with an RSA key (PKCS#8 PEM in TOKEN_KEY_FILE), or HS256 with TOKEN_SECRET. jsonwebtoken
// lacks EdDSA. It never publishes a secret.
import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import jwt from "jsonwebtoken";

const { TOKEN_ISSUER, TOKEN_AUDIENCE, TOKEN_KEY_FILE, TOKEN_SECRET } = process.env;
export const LIFETIME = 10 * 60; // seconds

const ALGORITHMS = { ec: "ES256", rsa: "RS256" };
const key = TOKEN_SECRET ?? createPrivateKey(readFileSync(TOKEN_KEY_FILE));
const algorithm = TOKEN_SECRET ? "HS256" : ALGORITHMS[key.asymmetricKeyType];
const publicKey = TOKEN_SECRET ? undefined : createPublicKey(key);
// Any text that no other key has: here a hash of the public key.
const der = publicKey?.export({ type: "spki", format: "der" });
const kid = der && createHash("sha256").update(der).digest("base64url");

/** Returns a token with which this user makes the liveness check of one transaction. */
export function mint(user, transaction) {
  return jwt.sign({ scope: "liveness", txn: transaction }, key, {
    algorithm,
    issuer: TOKEN_ISSUER,
    audience: TOKEN_AUDIENCE,
    subject: user,
    expiresIn: LIFETIME,
    ...(kid && { keyid: kid }),
  });
}

/** Returns the key set for `jwks_url` or `jwks_file`. */
export function keySet() {
  const jwk = publicKey?.export({ format: "jwk" });
  return { keys: jwk ? [{ ...jwk, kid, alg: algorithm, use: "sig" }] : [] };
}

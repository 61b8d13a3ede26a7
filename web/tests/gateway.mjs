// A gateway for the module's tests: strict about videos, in front of the emulator, both on free
// ports. LIVENESS_GATEWAY names the program. Makes tokens, and reads what was billed.
import { createHmac, generateKeyPairSync } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { billedCalls, newFolder, start } from "./program.mjs";

const SECRET = "a secret that is used by these tests alone";
const CONFIGURATION = `
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[qiniu]
access_key = { env = "QINIU_ACCESS_KEY" }
secret_key = { env = "QINIU_SECRET_KEY" }
[[identity]]
issuer = "https://login.example.com/"
audience = "liveness"
secret = { env = "LOGIN_SECRET" }
[verdict]
signing_key = { file = "/verdict.pem" }
issuer = "https://gateway.example.com/"
audience = "backend"
[[routes]]
path = "/v2/actionliveness/sessioncode"
kind = "session"
rate = ""
[[routes]]
path = "/v2/actionliveness/verify"
kind = "verify"
rate = ""
video_check = "enforce"
`;

/** Starts one: `{ url, billed(), stop() }`. */
export async function gateway({ outcome = "pass" } = {}) {
  const folder = newFolder();
  const { privateKey } = generateKeyPairSync("ed25519");
  const key = join(folder, "verdict.pem");
  writeFileSync(key, privateKey.export({ type: "pkcs8", format: "pem" }));
  const file = join(folder, "gateway.toml");
  writeFileSync(file, CONFIGURATION.replace("/verdict.pem", key));
  const env = { ...process.env, QINIU_ACCESS_KEY: "a", QINIU_SECRET_KEY: "b", LOGIN_SECRET: SECRET };
  const children = [];
  const started = async (words, wanted, more = {}) => {
    const { child, output, ended } = start(words, { ...env, ...more });
    children.push(child);
    const found = new Promise((resolve) => {
      const look = () => {
        const found = wanted(output());
        if (found) resolve(found);
      };
      child.stdout.on("data", look);
      child.stderr.on("data", look);
    });
    return Promise.race([found, ended]);
  };
  const emulator = ["emulator", "--listen", "127.0.0.1:0", "--outcome", outcome];
  const endpoint = await started(emulator, (text) => /^(http:\S+)\n/m.exec(text)?.[1]);
  const [address, admin] = await started(["serve", "--config", file], (text) => {
    const addresses = [...text.matchAll(/^.*listening.*?(127\.0\.0\.1:\d+).*$/gm)];
    return addresses.length === 2 && addresses.map(([, found]) => found);
  }, { LIVENESS_GATEWAY__QINIU__ENDPOINT: endpoint });
  return {
    url: `http://${address}`,
    billed: () => billedCalls({ admin: `http://${admin}` }),
    async stop() {
      for (const child of children) child.kill("SIGKILL");
      rmSync(folder, { recursive: true });
    },
  };
}

/** A token of the identity provider, for a user, that ends in `seconds`. */
export function token(user = `user-${Math.random()}`, seconds = 600) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: "https://login.example.com/", aud: "liveness", sub: user, iat: now - 900,
    exp: now + seconds };
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

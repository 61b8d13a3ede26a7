// An OpenID provider that is not ours: the npm package oidc-provider, found in the folder that is named, with fresh keys for
// four algorithms. Prints its issuer. A line on standard input makes it sign with new keys; it goes when its input ends.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

// It says that it is not set up for production, on standard output too.
console.info = console.warn = () => {};

const entry = join(resolve(process.argv[2]), "node_modules/oidc-provider/lib/index.js");
const { Provider } = await import(pathToFileURL(entry));

const KINDS = [
  ["RS256", "rsa", { modulusLength: 2048 }],
  ["PS256", "rsa", { modulusLength: 2048 }],
  ["ES256", "ec", { namedCurve: "P-256" }],
  ["EdDSA", "ed25519", {}],
];
let made = 0;
const newKeys = () =>
  KINDS.map(([alg, kind, options]) => {
    const jwk = generateKeyPairSync(kind, options).privateKey.export({ format: "jwk" });
    return { ...jwk, alg, use: "sig", kid: `key-${++made}` };
  });

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
let keys = newKeys();

function serve() {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: "phone",
        client_secret: "a-secret-of-the-tests",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    enabledJWA: { idTokenSigningAlgValues: KINDS.map(([alg]) => alg) },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: "liveness",
          audience: "liveness",
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: resource.split(":").pop() } },
        }),
      },
    },
  });
  server.removeAllListeners("request");
  server.on("request", provider.callback());
}

serve();
console.log(issuer);
createInterface({ input: process.stdin })
  .on("line", () => {
    // The old keys stay published; the first that fits signs.
    keys = [...newKeys(), ...keys];
    serve();
    console.log("rotated");
  })
  .on("close", () => process.exit(0));

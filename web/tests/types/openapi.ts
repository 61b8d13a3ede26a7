// docs/openapi.json and web/liveness.d.ts say the same: this must compile. .ci/openapi
// generates the types of the document.
import { LivenessClient, LivenessError } from "../../liveness.js";
import type {
  GatewayCode, SessionOptions, VerdictClaims, VerifyOptions, VerifyResult,
} from "../../liveness.js";
import type { components, paths } from "../../../target/openapi/openapi.js";

type Schemas = components["schemas"];
type Verify = paths["/v2/actionliveness/verify"]["post"];
type Create = paths["/v2/actionliveness/sessioncode"]["post"];

/** Compiles only if both are the same type. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
/** Compiles only if a value of the first may stand where the second is wanted. */
type Fits<A, B> = [A] extends [B] ? true : never;

// Every code of the gateway, and no other.
export const codes: Same<GatewayCode, Schemas["ErrorCode"]> = true;

// The fields of a request for a session.
type Fields = Pick<SessionOptions, "min_code_length" | "max_code_length">;
export const names: Same<keyof Fields, keyof Schemas["SessionRequest"]> = true;
export const fields: Fits<Fields, Schemas["SessionRequest"]> = true;

// What the module sends with a video has the names of the header fields and of the media type.
type Headers = NonNullable<Verify["parameters"]["header"]>;
export const sent = (options: VerifyOptions): Headers => ({
  "Liveness-Session": options.session.id,
  ...(options.nonce === undefined ? {} : { "Liveness-Nonce": options.nonce }),
});
export const media: Fits<"video/mp4", keyof Verify["requestBody"]["content"]> = true;

// What it reads of the responses.
type Judged = Verify["responses"][200];
type Body = Judged["content"]["application/json"];
export const read = (body: Body, headers: Judged["headers"]): Partial<VerifyResult> => ({
  passed: body.error_code === 0 && body.result?.action_verify === "pass",
  ...(body.verdict === undefined ? {} : { verdict: body.verdict }),
  response: body,
  replayed: headers["Liveness-Replayed"] === "true",
  requestId: headers["X-Request-Id"],
});
export const session = (body: Create["responses"][200]["content"]["application/json"]) =>
  [body.result?.session_id, body.result?.code] satisfies (string | undefined)[];

// The claims of a verdict.
export const claims = (signed: Schemas["VerdictClaims"]): Pick<VerdictClaims,
  "iss" | "aud" | "sub" | "iat" | "exp" | "jti"> & { liveness: { passed: boolean } } => signed;

// A problem becomes the module's error.
export const failed = (problem: Schemas["Problem"], wait: number): LivenessError =>
  new LivenessError(problem.code, {
    status: problem.status,
    requestId: problem.request_id,
    retryAfter: wait,
    ...(problem.reason === undefined ? {} : { reason: problem.reason }),
  });

export const client = new LivenessClient({ token: () => "token" });

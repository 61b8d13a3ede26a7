// Mistakes that liveness.d.ts must find: each marked line, and no other.
import { checkLiveness, LivenessClient, LivenessError, record } from "../../liveness.js";
import type { State } from "../../liveness.js";

new LivenessClient({}); // wrong: no token
new LivenessClient({ token: () => 1 }); // wrong: a token is a text
const client = new LivenessClient({ token: () => "token" });
client.verify({ video: new Blob() }); // wrong: no session
client.session({ min_code_length: 4 }); // wrong: at most three actions
record({ seconds: 3 }); // wrong: no video element
checkLiveness({ client }); // wrong: no video element
new LivenessError("network").retry = "later"; // wrong: read-only
export const progress = (state: State) => state.progress; // wrong: only `uploading` has it
export const proof = async () => (await client.session()).passed; // wrong: a session is no result

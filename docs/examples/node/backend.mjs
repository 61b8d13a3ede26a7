// A small backend that relies on liveness checks. POST /start gives the app of a logged-in user a
// token and a nonce for one transaction; POST /finish takes the verdict and carries the transaction
// out, once. The gateway fetches /jwks.json and posts evidence to /liveness. It never takes a
// user's name from a request, and never tells a frontend more than whether the check passed.
import { randomBytes } from "node:crypto";
import { evidence, take } from "./evidence.mjs";
import { keySet, LIFETIME, mint } from "./mint.mjs";
import { check, Refused } from "./verdict.mjs";

// A token may be used until it expires, and the verdict is valid for five minutes after that.
const TRANSACTION = LIFETIME + 5 * 60; // seconds
const MOST_FAILS = 5;
const FAIL_WINDOW = 60 * 60; // seconds
// Qiniu's judgements "not live". Other codes say that the video or the service was unfit.
const JUDGED = [0, 216434, 223120, 223131];

// Stands for your own login: users by the value of their cookie `login`.
const logins = new Map(Object.entries(JSON.parse(process.env.LOGINS)));
// In your own app both are tables of a database: a transaction ends by a conditional update.
const transactions = new Map();
const fails = new Map();

/** Begins a transaction of this user. */
async function start(user) {
  if (isLocked(user)) return [429, { next: "human" }];
  const id = randomBytes(16).toString("hex");
  const nonce = randomBytes(16).toString("hex");
  transactions.set(id, { user, nonce, expires: now() + TRANSACTION, passed: undefined });
  return [200, { transaction: id, nonce, token: await mint(user, id) }];
}

/** Ends a transaction of this user by a verdict. The same verdict again gets the same answer. */
async function finish(user, { transaction: id, verdict }) {
  const transaction = transactions.get(id);
  if (transaction?.user !== user || transaction.expires < now()) {
    return [404, { error: "unknown_transaction" }];
  }
  const about = { id: user, issuer: process.env.TOKEN_ISSUER };
  const claims = await check(String(verdict), about, transaction.nonce);
  // With `copy_claims = ["txn"]`: the token was minted for this transaction, too.
  if (claims.token_claims?.txn !== id) throw new Refused("a token of another transaction");
  // From here to the end nothing waits, so of two requests at once only one gets past this line.
  if (transaction.passed !== undefined) return [200, { passed: transaction.passed }];
  const picture = evidence.get(claims.jti)?.picture;
  evidence.delete(claims.jti);
  transaction.passed = claims.liveness.passed === true && picture !== undefined && !isLocked(user);
  if (transaction.passed) carryOut(id, picture);
  return [200, { passed: transaction.passed }];
}

/** Counts a fail that the gateway reports itself: a frontend could keep it back. */
function count({ user, issuer, passed, answer }) {
  if (issuer !== process.env.TOKEN_ISSUER || passed || !JUDGED.includes(answer.error_code)) return;
  fails.set(user, [...recentFails(user), now()]);
}

const now = () => Date.now() / 1000;
const recentFails = (user) => (fails.get(user) ?? []).filter((time) => time > now() - FAIL_WINDOW);
const isLocked = (user) => recentFails(user).length >= MOST_FAILS;

// Here your app pays, opens the account, or compares the picture with a document.
function carryOut(id, picture) {
  console.log(`carried out ${id} picture=${picture.length > 0}`);
}

/** Answers a request of the app or of the gateway. */
export async function answer(request, response) {
  const [status, body] = await route(request).catch((error) => {
    // The reason is for the log. It holds neither the verdict nor the token.
    console.log(`${error instanceof Refused ? "refused" : "failed"}: ${error.message}`);
    return error instanceof Refused ? [400, { error: "refused" }] : [503, { error: "unavailable" }];
  });
  const headers = { "Content-Type": "application/json", "Cache-Control": "no-store" };
  if (status === 429) headers["Retry-After"] = FAIL_WINDOW;
  response.writeHead(status, headers).end(body && JSON.stringify(body));
}

async function route(request) {
  for (const [id, { expires }] of transactions) if (expires < now()) transactions.delete(id);
  const called = `${request.method} ${request.url}`;
  if (called === "GET /jwks.json") return [200, keySet()];
  if (request.url === "/liveness") return [await take(request, count).catch(() => 400)];
  if (!["POST /start", "POST /finish"].includes(called)) return [404, { error: "unknown_route" }];
  const user = logins.get(/(?:^|; )login=([^;]*)/.exec(request.headers.cookie ?? "")?.[1]);
  if (user === undefined) return [401, { error: "not_logged_in" }];
  return called === "POST /start" ? start(user) : finish(user, await json(request));
}

async function json(request) {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > 16384) throw new Refused("a body that is too long");
  }
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new Refused("a body that is not JSON");
  }
}

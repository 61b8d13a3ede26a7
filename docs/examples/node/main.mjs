// Starts the examples of this folder, each from the command line:
//   node main.mjs mint|mint-jsonwebtoken USER TRANSACTION    prints a token
//   node main.mjs keys|keys-jsonwebtoken                     prints the key set that verifies it
//   node main.mjs verdict|verdict-jsonwebtoken               verifies verdicts, one in each line
//   node main.mjs evidence|backend|stream                    serves at 127.0.0.1:PORT
// Each file names the variables that it reads. Only the files that a command needs are loaded.
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const [command, ...words] = process.argv.slice(2);
const [subject, library] = command.split(/-(.*)/);
const load = (name) => import(library ? `./${name}-${library}.mjs` : `./${name}.mjs`);

switch (subject) {
  case "mint":
    console.log(await (await load("mint")).mint(...words));
    break;
  case "keys":
    console.log(JSON.stringify((await load("mint")).keySet()));
    break;
  case "verdict":
    await verdicts(await load("verdict"));
    break;
  case "evidence": {
    const { take } = await import("./evidence.mjs");
    serve(async (request, response) => {
      response.writeHead(await take(request).catch(() => 400)).end();
    });
    break;
  }
  case "backend":
    serve((await import("./backend.mjs")).answer);
    break;
  case "stream": {
    const { forward } = await import("./stream.mjs");
    serve(forward).on("checkContinue", forward);
    break;
  }
  default:
    throw new Error(`no example is called ${command}`);
}

/** Reads verdicts from standard input, and prints the result of each. */
async function verdicts({ accept }) {
  const { USER_ISSUER, USER_ID, NONCE } = process.env;
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const claims = await accept(line.trim(), { id: USER_ID, issuer: USER_ISSUER }, NONCE);
      console.log(`accepted ${claims.jti}`);
    } catch (error) {
      console.log(`refused: ${error.message}`);
    }
  }
}

function serve(handle) {
  const server = createServer(handle);
  server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
    console.log(`listening on ${server.address().port}`);
  });
  return server;
}

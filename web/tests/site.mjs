// A site for the module's tests: serves web/ and an empty page, and passes requests on to a
// gateway, byte by byte, with the faults that a test asks for. Nothing of it is kept.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, request } from "node:http";

const FOLDER = new URL("../", import.meta.url);
const PAGE = "<!doctype html><title>test</title><video id=video playsinline muted></video>";

/**
 * Starts one in front of `gateway`. `faults` is a list: each request to the gateway takes the first
 * one. `{ upload: N }` cuts the connection after N bytes of the body; `{ answer }` when the gateway
 * has answered and that function has ended; `{ silent: true }` never passes the answer on;
 * `{ stalled: true }` stops to read the body; `{ status, headers, body }` is answered at once.
 * `reached` of each is called when a request has taken it.
 */
export async function site(gateway) {
  const faults = [];
  const seen = [];
  const server = createServer(async (incoming, outgoing) => {
    // No connection is used twice: Chromium would by itself repeat what is lost on such a one.
    outgoing.shouldKeepAlive = false;
    if (!incoming.url.startsWith("/v2/")) return serve(incoming.url, outgoing);
    const fault = faults.shift() ?? {};
    seen.push({ url: incoming.url, headers: incoming.headers, fault });
    fault.reached?.();
    if (fault.stalled) return incoming.pause();
    if (fault.upload) return cut(incoming, fault.upload);
    if (fault.status) {
      incoming.resume();
      await once(incoming, "end");
      outgoing.writeHead(fault.status, fault.headers);
      return outgoing.end(fault.body);
    }
    const { method, headers } = incoming;
    const onward = request(gateway + incoming.url, { method, headers }, async (answer) => {
      if (fault.answer) {
        await fault.answer();
        return incoming.socket.destroy();
      }
      if (fault.silent) return undefined;
      outgoing.writeHead(answer.statusCode, answer.headers);
      return answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    return incoming.pipe(onward);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    faults,
    seen,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function serve(path, outgoing) {
  const script = /^\/(\w+\.js)$/.exec(path)?.[1];
  outgoing.setHeader("Content-Type", script ? "text/javascript" : "text/html");
  outgoing.end(script ? readFileSync(new URL(script, FOLDER)) : PAGE);
}

function cut(incoming, bytes) {
  let read = 0;
  incoming.on("data", (data) => {
    read += data.length;
    if (read >= bytes) incoming.socket.destroy();
  });
}

// The full job in Node with its standard library alone: checks the HS256 token, limits each user,
// caps and signs the body, and removes the pictures from the response.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

const [listen, upstream, certs] = process.argv.slice(2);
const { QINIU_ACCESS_KEY, QINIU_SECRET_KEY, LOGIN_SECRET } = process.env;
const MAX_BODY = 28 << 20;
const PER_MINUTE = 60000;
// With READ, only these members go upstream. Without it, every body is forwarded.
const READ = @READ@;
const MEMBERS = {
    "/v2/actionliveness/sessioncode": ["min_code_length", "max_code_length"],
    "/v2/actionliveness/verify": ["session_id", "video_base64", "face_field"],
};

const agent = new http.Agent({ keepAlive: true, maxFreeSockets: 4096 });
const [upstreamHost, upstreamPort] = upstream.split(":");
const windows = new Map();

function caller(authorization) {
    const parts = (authorization ?? "").match(/^Bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/);
    if (!parts) return undefined;
    const [, head, payload, signature] = parts;
    try {
        if (JSON.parse(Buffer.from(head, "base64url")).alg !== "HS256") return undefined;
        const right = createHmac("sha256", LOGIN_SECRET).update(`${head}.${payload}`).digest();
        const given = Buffer.from(signature, "base64url");
        if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined;
        const claims = JSON.parse(Buffer.from(payload, "base64url"));
        if (claims.iss !== "@ISSUER@" || claims.aud !== "@AUDIENCE@") return undefined;
        if (!(claims.exp > Date.now() / 1000)) return undefined;
        return claims.sub;
    } catch {
        return undefined;
    }
}

function allows(user) {
    const now = Date.now();
    let window = windows.get(user);
    if (!window || now - window.since > 60000) {
        window = { since: now, used: 0 };
        windows.set(user, window);
    }
    return ++window.used <= PER_MINUTE;
}

function withoutPictures(text) {
    const answer = JSON.parse(text);
    delete answer.result?.best_image?.pic;
    for (const image of answer.result?.pic_list ?? []) delete image.pic;
    return Buffer.from(JSON.stringify(answer));
}

// The pieces of the body to send upstream.
function allowed(path, chunks) {
    if (!READ) return chunks;
    const sent = JSON.parse(Buffer.concat(chunks));
    const kept = {};
    for (const name of MEMBERS[path]) kept[name] = sent[name];
    return [Buffer.from(JSON.stringify(kept))];
}

function refuse(response, status) {
    response.writeHead(status, { Connection: "close", "Content-Length": 0 });
    response.end();
}

function handle(request, response) {
    const user = caller(request.headers.authorization);
    if (!user) return refuse(response, 401);
    if (!allows(user)) return refuse(response, 429);
    if (Number(request.headers["content-length"] ?? 0) > MAX_BODY) return refuse(response, 413);
    const received = [];
    let length = 0;
    request.on("error", () => {});
    request.on("data", (chunk) => {
        length += chunk.length;
        if (length > MAX_BODY) return refuse(response, 413);
        received.push(chunk);
    });
    request.on("end", () => {
        let chunks;
        try {
            chunks = allowed(request.url, received);
        } catch {
            return refuse(response, 400);
        }
        const mac = createHmac("sha1", QINIU_SECRET_KEY);
        mac.update(`POST ${request.url}\nHost: ${upstream}\nContent-Type: application/json\n\n`);
        let size = 0;
        for (const chunk of chunks) {
            mac.update(chunk);
            size += chunk.length;
        }
        const sign = mac.digest("base64").replaceAll("+", "-").replaceAll("/", "_");
        const call = http.request({
            agent, host: upstreamHost, port: upstreamPort, method: "POST", path: request.url,
            headers: {
                Host: upstream, "Content-Type": "application/json", "Content-Length": size,
                Authorization: `Qiniu ${QINIU_ACCESS_KEY}:${sign}`,
            },
        });
        call.on("error", () => refuse(response, 502));
        call.on("response", (answer) => {
            const pieces = [];
            answer.on("data", (piece) => pieces.push(piece));
            answer.on("error", () => refuse(response, 502));
            answer.on("end", () => {
                try {
                    if (answer.statusCode !== 200) return refuse(response, 502);
                    const body = withoutPictures(Buffer.concat(pieces));
                    response.writeHead(200, {
                        "Content-Type": "application/json",
                        "Content-Length": body.length,
                    });
                    response.end(body);
                } catch {
                    refuse(response, 502);
                }
            });
        });
        // One vectored write for all pieces.
        call.cork();
        for (const chunk of chunks) call.write(chunk);
        call.end();
    });
}

const [host, port] = listen.split(":");
const server = certs
    ? https.createServer({
        cert: readFileSync(`${certs}/cert.pem`),
        key: readFileSync(`${certs}/key.pem`),
        minVersion: "TLSv1.3",
    }, handle)
    : http.createServer(handle);
server.requestTimeout = 0;
server.listen({ host, port: Number(port), backlog: 4096 });

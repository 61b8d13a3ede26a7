"""Passes an app's requests on to a gateway that only this backend can reach, a sidecar. A video
goes through in pieces: the next one is read when the gateway has taken the last. It never holds or
logs a body, and never passes a cookie on.
"""

import http.client
import json
import os
import select
import time
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from mint import mint

GATEWAY = urlsplit(os.environ.get("GATEWAY_URL", "http://127.0.0.1:8080"))
ROUTES = ("/v2/actionliveness/sessioncode", "/v2/actionliveness/verify")
UP = ("content-type", "content-length", "liveness-session", "liveness-face-field", "liveness-nonce")
DOWN = (
    *("content-type", "content-length", "cache-control", "retry-after", "www-authenticate"),
    *("x-request-id", "ratelimit", "ratelimit-policy", "liveness-replayed"),
)
SILENCE = 90  # seconds: longer than the gateway's `timeout` of the route and `evidence.timeout`
DRAIN = 2  # seconds
PIECE = 64 * 1024

# Stands for your own login: users by the value of their cookie `login`.
logins = json.loads(os.environ["LOGINS"])


class Forwarder(BaseHTTPRequestHandler):
    """Handles a request of the app."""

    protocol_version = "HTTP/1.1"
    timeout = 30  # of an app that sends nothing

    def do_POST(self):
        login = SimpleCookie(self.headers.get("cookie", "")).get("login")
        user = logins.get(login.value) if login else None
        length = self.headers.get("content-length", "0")
        if user is None:
            return self.refuse(401, "not_logged_in")
        if self.path not in ROUTES:
            return self.refuse(404, "unknown_route")
        if "transfer-encoding" in self.headers or not length.isdecimal():
            return self.refuse(411, "length_required")
        upstream = http.client.HTTPConnection(GATEWAY.hostname, GATEWAY.port, timeout=SILENCE)
        try:
            # Where the app has a token of its own: authorization = self.headers["authorization"]
            self.forward(upstream, f"Bearer {mint(user)}", int(length))
        except (OSError, http.client.HTTPException) as error:
            print(f"no answer of the gateway, or the app has gone: {error!r}", flush=True)
            self.close_connection = True
        finally:
            upstream.close()

    def forward(self, upstream, authorization, left):
        try:
            upstream.putrequest("POST", self.path, skip_accept_encoding=True)
            for name in UP:
                if name in self.headers:
                    upstream.putheader(name, self.headers[name])
            upstream.putheader("authorization", authorization)
            upstream.endheaders()
        except OSError:
            return self.refuse(502, "unavailable")
        # An answer that comes before the end of the video is a refusal: no more is sent then.
        while left and not select.select([upstream.sock], [], [], 0)[0]:
            piece = self.rfile.read1(min(left, PIECE))
            if not piece:
                # An app that leaves in the middle ends the upload; nothing is billed. Once the
                # video is complete, the gateway finishes the call, and keeps the answer for the
                # app's next try.
                raise ConnectionAbortedError("in the middle of the upload")
            left -= len(piece)
            try:
                upstream.send(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
        answer = upstream.getresponse()
        self.send_response_only(answer.status)
        for name in DOWN:
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        if left:
            self.send_header("Connection", "close")
        self.end_headers()
        while piece := answer.read(PIECE):
            self.wfile.write(piece)
        if left:
            self.discard(left)

    def discard(self, left):
        """Reads on for a moment, or an app that is still sending misses the answer."""
        end = time.monotonic() + DRAIN
        while left and (rest := end - time.monotonic()) > 0:
            if not select.select([self.connection], [], [], rest)[0]:
                break
            piece = self.rfile.read1(min(left, PIECE))
            if not piece:
                break
            left -= len(piece)

    def refuse(self, status, error):
        body = json.dumps({"error": error}).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        length = self.headers.get("content-length", "")
        self.discard(int(length) if length.isdecimal() else 0)

    def log_message(self, *_):
        pass

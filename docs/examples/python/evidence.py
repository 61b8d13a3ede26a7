"""A backend that receives evidence: it verifies the sender and keeps the best picture for the
verdict that follows. It needs only Python's standard library.

EVIDENCE_SECRET=whsec_… PORT=3000 python evidence.py
"""

import base64
import hashlib
import hmac
import json
import os
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY = 24 * 1024 * 1024
MAX_AGE = 5 * 60  # seconds
key = base64.b64decode(os.environ["EVIDENCE_SECRET"].removeprefix("whsec_"))

# By the verdict's `jti`. These are pictures of faces: delete them when they are no longer needed.
evidence = {}


def is_genuine(headers, body):
    """Whether the gateway sent these bytes recently. `body` must be the bytes as received."""
    id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not id or not re.fullmatch("[0-9]{1,12}", sent) or abs(time.time() - int(sent)) > MAX_AGE:
        return False
    wanted = hmac.new(key, f"{id}.{sent}.".encode() + body, hashlib.sha256).digest()
    wanted = b"v1," + base64.b64encode(wanted)
    given = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(wanted, signature) for signature in given)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(self.take())
        self.end_headers()

    def take(self):
        length = self.headers.get("content-length", "")
        if self.path != "/liveness" or not re.fullmatch("[0-9]{1,12}", length):
            return 404
        if int(length) > MAX_BODY:
            return 413
        body = self.rfile.read(int(length))
        if not is_genuine(self.headers, body):
            return 401
        delivery = json.loads(body)
        # The signed id must be the id in the body. A repeated delivery changes nothing.
        if delivery["id"] != self.headers["webhook-id"]:
            return 400
        picture = ((delivery["answer"].get("result") or {}).get("best_image") or {}).get("pic")
        evidence.setdefault(delivery["id"], (delivery["issuer"], delivery["user"], picture))
        passed, there = str(delivery["passed"]).lower(), str(picture is not None).lower()
        print(f"took {delivery['id']} passed={passed} picture={there}", flush=True)
        return 204

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Receiver)
print("listening on", server.server_port, flush=True)
server.serve_forever()

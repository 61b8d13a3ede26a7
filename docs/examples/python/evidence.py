"""Receives evidence: verifies the sender, and keeps the best picture for the verdict that follows.
It relies on Python's standard library alone, and never keeps a picture for longer than MAX_HELD.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import threading
import time

MAX_BODY = 24 * 1024 * 1024
MAX_AGE = 5 * 60  # seconds
MAX_HELD = 15 * 60  # seconds: longer than a verdict is valid
key = base64.b64decode(os.environ["EVIDENCE_SECRET"].removeprefix("whsec_"))

# By the verdict's `jti`. These are pictures of faces: delete them when they are no longer needed.
evidence = {}
lock = threading.Lock()


def is_genuine(headers, body):
    """Whether the gateway sent these bytes recently. `body` must be the bytes as received."""
    id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not id or not re.fullmatch("[0-9]{1,12}", sent) or abs(time.time() - int(sent)) > MAX_AGE:
        return False
    wanted = hmac.new(key, f"{id}.{sent}.".encode() + body, hashlib.sha256).digest()
    wanted = b"v1," + base64.b64encode(wanted)
    given = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(wanted, signature) for signature in given)


def take(headers, stream, first=lambda delivery: None):
    """Returns the status to respond with. Calls `first` with one that did not come before."""
    length = headers.get("content-length", "")
    if not re.fullmatch("[0-9]{1,12}", length):
        return 411
    if int(length) > MAX_BODY:
        return 413
    body = stream.read(int(length))
    if not is_genuine(headers, body):
        return 401
    delivery = json.loads(body)
    # The signed id must be the id in the body. A repeated delivery changes nothing.
    if delivery["id"] != headers["webhook-id"]:
        return 400
    picture = ((delivery["answer"].get("result") or {}).get("best_image") or {}).get("pic")
    if not delivery["passed"]:
        picture = None  # Of a check that failed, nobody needs a face.
    with lock:
        now = time.time()
        for old in [id for id, (*_, since) in evidence.items() if since + MAX_HELD < now]:
            del evidence[old]
        if delivery["id"] in evidence:
            return 204
        evidence[delivery["id"]] = (delivery["issuer"], delivery["user"], picture, now)
    passed, there = str(delivery["passed"]).lower(), str(picture is not None).lower()
    print(f"took {delivery['id']} passed={passed} picture={there}", flush=True)
    first(delivery)
    return 204

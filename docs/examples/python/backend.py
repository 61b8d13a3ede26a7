"""A small backend that relies on liveness checks. POST /start gives the app of a logged-in user a
token and a nonce for one transaction; POST /finish takes the verdict and carries the transaction
out, once. The gateway fetches /jwks.json and posts evidence to /liveness. It never takes a user's
name from a request, and never tells a frontend more than whether the check passed.
"""

import json
import os
import secrets
import threading
import time
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler

from evidence import evidence, take
from mint import LIFETIME, key_set, mint
from verdict import Refused, Unavailable, check

# A token may be used until it expires, and the verdict is valid for five minutes after that.
TRANSACTION = LIFETIME + 5 * 60  # seconds
MOST_FAILS = 5
FAIL_WINDOW = 60 * 60  # seconds
# Qiniu's judgements "not live". Other codes say that the video or the service was unfit.
JUDGED = {0, 216434, 223120, 223131}

# Stands for your own login: users by the value of their cookie `login`.
logins = json.loads(os.environ["LOGINS"])
# In your own app both are tables of a database: a transaction ends by a conditional update.
transactions = {}
fails = {}
lock = threading.Lock()


def start(user):
    """Begins a transaction of this user."""
    if is_locked(user):
        return 429, {"next": "human"}
    id, nonce = secrets.token_hex(16), secrets.token_hex(16)
    with lock:
        expires = time.time() + TRANSACTION
        transactions[id] = {"user": user, "nonce": nonce, "expires": expires, "passed": None}
    return 200, {"transaction": id, "nonce": nonce, "token": mint(user, id)}


def finish(user, body):
    """Ends a transaction of this user by a verdict. The same verdict again gets the same answer."""
    id, verdict = str(body.get("transaction")), str(body.get("verdict"))
    with lock:
        transaction = transactions.get(id)
    if not transaction or transaction["user"] != user or transaction["expires"] < time.time():
        return 404, {"error": "unknown_transaction"}
    claims = check(verdict, os.environ["TOKEN_ISSUER"], user, transaction["nonce"])
    # With `copy_claims = ["txn"]`: the token was minted for this transaction, too.
    if claims.get("token_claims", {}).get("txn") != id:
        raise Refused("a token of another transaction")
    # Of two requests at once, only one finds the transaction open.
    with lock:
        if transaction["passed"] is None:
            *_, picture, _ = evidence.pop(claims["jti"], (None, None))
            passed = claims["liveness"]["passed"] is True and picture is not None
            transaction["passed"] = passed and not is_locked(user)
            if transaction["passed"]:
                carry_out(id, picture)
    return 200, {"passed": transaction["passed"]}


def count(delivery):
    """Counts a fail that the gateway reports itself: a frontend could keep it back."""
    judged = delivery["answer"].get("error_code") in JUDGED
    if delivery["issuer"] == os.environ["TOKEN_ISSUER"] and judged and not delivery["passed"]:
        user = delivery["user"]
        fails[user] = [*recent_fails(user), time.time()]


def recent_fails(user):
    return [at for at in fails.get(user, []) if at > time.time() - FAIL_WINDOW]


def is_locked(user):
    return len(recent_fails(user)) >= MOST_FAILS


def carry_out(id, picture):
    """Here your app pays, opens the account, or compares the picture with a document."""
    print(f"carried out {id} picture={str(bool(picture)).lower()}", flush=True)


class Backend(BaseHTTPRequestHandler):
    """Answers the requests of the app and of the gateway."""

    timeout = 30

    def do_GET(self):
        known = self.path == "/jwks.json"
        self.answer(*((200, key_set()) if known else (404, {"error": "unknown_route"})))

    def do_POST(self):
        try:
            self.answer(*self.route())
        except Refused as error:
            # The reason is for the log. It holds neither the verdict nor the token.
            print(f"refused: {error}", flush=True)
            self.answer(400, {"error": "refused"})
        except Unavailable as error:
            print(f"failed: {error}", flush=True)
            self.answer(503, {"error": "unavailable"})

    def route(self):
        with lock:
            for id in [id for id, it in transactions.items() if it["expires"] < time.time()]:
                del transactions[id]
        if self.path == "/liveness":
            return take(self.headers, self.rfile, count), None
        if self.path not in ("/start", "/finish"):
            return 404, {"error": "unknown_route"}
        login = SimpleCookie(self.headers.get("cookie", "")).get("login")
        user = logins.get(login.value) if login else None
        if user is None:
            return 401, {"error": "not_logged_in"}
        return start(user) if self.path == "/start" else finish(user, self.json())

    def json(self):
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > 16384:
            raise Refused("a body without a length, or too long")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise Refused("a body that is not JSON") from error
        return body if isinstance(body, dict) else {}

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        if status == 429:
            self.send_header("Retry-After", str(FAIL_WINDOW))
        self.end_headers()
        if body is not None:
            self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass

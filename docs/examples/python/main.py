"""Starts the examples of this folder, each from the command line:

python main.py mint USER TRANSACTION     prints a token
python main.py keys                      prints the key set that verifies it
python main.py verdict|verdict_jose      verifies verdicts, one in each line
python main.py evidence|backend|stream   serves at 127.0.0.1:PORT

Each file names the variables that it reads. Only the files that a command needs are loaded.
"""

import importlib
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def verdicts(library):
    """Reads verdicts from standard input, and prints the result of each."""
    user = os.environ["USER_ISSUER"], os.environ["USER_ID"]
    for line in sys.stdin:
        try:
            claims = library.accept(line.strip(), *user, os.environ["NONCE"])
            print("accepted", claims["jti"], flush=True)
        except (library.Refused, library.Unavailable) as error:
            print(f"refused: {error}", flush=True)


def serve(handler):
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), handler)
    print("listening on", server.server_port, flush=True)
    server.serve_forever()


class Receiver(BaseHTTPRequestHandler):
    """Receives evidence, and nothing else."""

    def do_POST(self):
        self.send_response(importlib.import_module("evidence").take(self.headers, self.rfile))
        self.end_headers()

    def log_message(self, *_):
        pass


match sys.argv[1:]:
    case ["mint", user, transaction]:
        print(importlib.import_module("mint").mint(user, transaction))
    case ["keys"]:
        print(json.dumps(importlib.import_module("mint").key_set()))
    case ["verdict" | "verdict_jose" as name]:
        verdicts(importlib.import_module(name))
    case ["evidence"]:
        importlib.import_module("evidence")
        serve(Receiver)
    case ["backend"]:
        serve(importlib.import_module("backend").Backend)
    case ["stream"]:
        serve(importlib.import_module("stream").Forwarder)
    case _:
        sys.exit(__doc__)

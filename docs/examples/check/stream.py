"""Checks an example that streams to a sidecar, with a gateway played by this file, which can stop
reading, answer early and be away. It needs Python's standard library and Linux.

stream.py COOKIE COMMAND…   COMMAND gets GATEWAY_URL and PORT=0; COOKIE is one of its LOGINS.

It never waits for a fixed time where an event can be waited for: only "takes no more" is a silence.
"""

import contextlib
import hashlib
import os
import select
import socket
import subprocess
import sys

VERIFY = "/v2/actionliveness/verify"
MARKER = b"a-face-that-no-log-may-show"
MIB = 1024 * 1024
TIMEOUT = 20
HELD = 32 * MIB  # what a process may grow by, of a video of three times as much
LANGUAGE = os.environ["LANGUAGE"]
# Python's HTTP client has no `Expect: 100-continue`.
WAITING = ("node", "go")
failed = False


def report(good, what):
    global failed
    failed = failed or not good
    print(("ok    " if good else "FAIL  ") + f"{LANGUAGE}: {what}", flush=True)


class Head:
    """The first line and the fields of a message, and what came behind them."""

    def __init__(self, connection):
        connection.settimeout(TIMEOUT)
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError(f"ends in its head: {data[:80]}")
            data += piece
        head, self.rest = data.split(b"\r\n\r\n", 1)
        self.first, *fields = head.decode().split("\r\n")
        pairs = [field.split(":", 1) for field in fields]
        self.fields = {name.lower(): value.strip() for name, value in pairs}


def read(connection, head, length):
    """The body so far: bytes behind the head, and more up to this length."""
    data = head.rest
    while len(data) < length:
        piece = connection.recv(min(65536, length - len(data)))
        if not piece:
            break
        data += piece
    return data


class Gateway:
    """What the example takes for its sidecar."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(TIMEOUT)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @contextlib.contextmanager
    def request(self, goes_on=True):
        connection, _ = self.listener.accept()
        with connection:
            head = Head(connection)
            if goes_on and "expect" in head.fields:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            yield connection, head

    def is_idle(self):
        return not select.select([self.listener], [], [], 0.2)[0]


class App:
    """The app's side of a connection."""

    def __init__(self, port, length, cookie):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        fields = f"Host: app\r\nContent-Type: video/mp4\r\nContent-Length: {length}\r\n"
        fields += "Liveness-Session: lg1.s\r\nX-Other: a\r\n"
        if cookie:
            fields += f"Cookie: other=1; login={cookie}\r\n"
        self.connection.sendall(f"POST {VERIFY} HTTP/1.1\r\n{fields}\r\n".encode())

    def send_until_answered(self, data):
        """Sends what it can, like an HTTP client that watches for an answer. Returns how much."""
        sent = 0
        while sent < len(data):
            readable, writable, _ = select.select([self.connection], [self.connection], [], 1)
            if readable or not writable:
                break
            self.connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sent += self.connection.send(data[sent : sent + 65536])
            self.connection.settimeout(TIMEOUT)
        return sent

    def answer(self):
        head = Head(self.connection)
        return head, read(self.connection, head, int(head.fields.get("content-length", 0)))


def memory(process):
    """The resident memory of a process, in bytes."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def whole(gateway, port, cookie):
    video = MARKER + os.urandom(3 * MIB)
    app = App(port, len(video), cookie)
    half = len(video) // 2
    app.connection.sendall(video[:half])
    with gateway.request(goes_on=False) as (connection, head):
        if LANGUAGE in WAITING:
            silent = not head.rest and not select.select([connection], [], [], 0.2)[0]
            report(silent, "nothing of the video is sent before the gateway asks for it")
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Less than half: pieces in the example's own hands may be a few.
        early = read(connection, head, half - 256 * 1024)
        report(len(early) >= half - 256 * 1024, "the first half is there before the second is sent")
        app.connection.sendall(video[half:])
        head.rest = early
        body = read(connection, head, len(video))
        fields = head.fields
        same = hashlib.sha256(body).digest() == hashlib.sha256(video).digest()
        report(same and fields["content-length"] == str(len(video)), "the video, its length kept")
        report(head.first == f"POST {VERIFY} HTTP/1.1", "the path is kept")
        good = fields["authorization"].startswith("Bearer ey") and "cookie" not in fields
        good = good and fields["liveness-session"] == "lg1.s" and "x-other" not in fields
        report(good, "a token in place of the cookie, and no other header")
        fields = "Content-Type: application/json\r\nContent-Length: 2\r\n"
        fields += "Liveness-Replayed: true\r\nSet-Cookie: a=b\r\nRetry-After: 3\r\n"
        connection.sendall(f"HTTP/1.1 200 OK\r\n{fields}\r\n{{}}".encode())
        answer, body = app.answer()
        # Not after the five seconds for which Node keeps one.
        closed = select.select([connection], [], [], 3)[0] and connection.recv(1) == b""
        report(closed, "no connection to the gateway is kept for a later video")
    fields = answer.fields
    good = " 200" in answer.first and body == b"{}" and fields.get("liveness-replayed") == "true"
    good = good and fields.get("retry-after") == "3" and "set-cookie" not in fields
    report(good, "the answer, with the headers that are for an app")


def back_pressure(gateway, port, cookie, process):
    video = bytes(96 * MIB)
    before = memory(process)
    app = App(port, len(video), cookie)
    with gateway.request() as (connection, _):
        sent = app.send_until_answered(video)
        grown = memory(process) - before
        what = f"a gateway that stops reading stops the app, after {sent >> 20} MiB"
        report(sent < len(video), what)
        report(grown < HELD, f"the video is not held: {grown >> 20} MiB more memory")
        app.connection.close()
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(MIB):
                pass
        report(True, "an app that leaves ends the upload")


def refused_early(gateway, port, cookie):
    video = bytes(64 * MIB)
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    refusal += b"Connection: close\r\n\r\n{}"
    cases = ((False, "before the upload"), (True, "in the middle of the upload"))
    for goes_on, when in cases:
        app = App(port, len(video), cookie)
        with gateway.request(goes_on) as (connection, head):
            if goes_on:
                app.connection.sendall(video[:MIB])
                read(connection, head, 65536)
            connection.sendall(refusal)
            connection.shutdown(socket.SHUT_WR)
            sent = app.send_until_answered(video[MIB:])
            answer, body = app.answer()
            good = " 413" in answer.first and body == b"{}" and sent < len(video) - MIB
            report(good, f"an answer {when} reaches the app")
        short = video[: 9 * MIB]
        app = App(port, len(short), cookie)
        with gateway.request(goes_on) as (connection, _):
            connection.sendall(refusal)
            connection.shutdown(socket.SHUT_WR)
            try:
                app.connection.sendall(short)
                answer, _ = app.answer()
                report(" 413" in answer.first, f"an app that sends on gets an answer {when}, too")
            except OSError as error:
                report(False, f"an app that sends on misses an answer {when}: {error!r}")


def main():
    cookie, *command = sys.argv[1:]
    gateway = Gateway()
    environment = {**os.environ, "GATEWAY_URL": gateway.url, "PORT": "0"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, env=environment, **pipes)
    try:
        port = int(process.stdout.readline().split()[-1])
        whole(gateway, port, cookie)
        back_pressure(gateway, port, cookie, process)
        refused_early(gateway, port, cookie)
        answer, _ = App(port, 0, None).answer()
        report(" 401" in answer.first and gateway.is_idle(), "nobody who is not logged in")
        gateway.listener.close()
        answer, _ = App(port, 0, cookie).answer()
        report(" 502" in answer.first, "a gateway that is away is a 502")
    finally:
        process.terminate()
        log = process.stdout.read()
        process.wait()
    report(MARKER not in log and b"Bearer" not in log, "no body and no token in the log")
    sys.exit(failed)


main()

"""Runs what deploy/compose and its emulator.yaml start, as far as it is ours, without Docker.

    compose_run.py LIVENESS_GATEWAY

Redis, the emulator and the gateway get the arguments, the environment and the configuration that
stand there; only folders and ports are others. Then a session is asked for, and the metrics must
say that the store was used.
"""

import contextlib
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request

import yaml

import configurations

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/compose"
PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
GIVEN = {
    "LOGIN_SECRET": "at-least-thirty-two-characters-long",
    "QINIU_ACCESS_KEY": configurations.TEXTS["access_key"],
    "QINIU_SECRET_KEY": configurations.TEXTS["secret_key"],
}


def services(name):
    """The services of a file, with what the operator gives put in."""
    text = re.sub(r"\$\{([A-Z_]+):\?[^}]*\}", lambda it: GIVEN.get(it[1], "given"),
                  (FOLDER / name).read_text())
    return yaml.safe_load(text)["services"]


@contextlib.contextmanager
def running(command, environment, folder, ready):
    """A program, and what its output has of `ready`, a pattern with a group for each find."""
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment},
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        found, seen = [], ""
        while len(found) < len(ready):
            line = process.stdout.readline()
            if not line:
                sys.exit(f"{command[0]} has ended: {seen}")
            seen += line
            if match := re.search(ready[len(found)], line):
                found.append(match[match.lastindex or 0])
        yield found
    finally:
        process.terminate()
        process.communicate()


def ask(url, headers=None, body=None):
    with urllib.request.urlopen(urllib.request.Request(url, body, headers or {})) as response:
        return response.read().decode()


def main(folder):
    compose, more = services("compose.yaml"), services("emulator.yaml")
    gateway = compose["gateway"]["environment"] | more["gateway"]["environment"]
    listen = more["emulator"]["command"][-1]
    endpoint = "LIVENESS_GATEWAY__QINIU__ENDPOINT"
    if gateway[endpoint] != f"http://{listen}":
        sys.exit("the gateway is not told where the emulator listens")

    # The volume of the socket is one folder here, and has two names there.
    redis = [it.replace("/data/", f"{folder}/") for it in compose["redis"]["command"]]
    mounted = dict(it.split(":")[:2] for it in compose["gateway"]["volumes"])["redis"]
    gateway["REDIS_URL"] = gateway["REDIS_URL"].replace(f"{mounted}/", f"{folder}/")
    text = (FOLDER / "gateway/gateway.toml").read_text()
    (folder / "gateway.toml").write_text(configurations.moved(text, folder, PROGRAM))
    gateway["LIVENESS_GATEWAY__SERVER__LISTEN"] = "127.0.0.1:0"
    gateway["LIVENESS_GATEWAY__ADMIN__LISTEN"] = "127.0.0.1:0"
    emulator = [PROGRAM, *(it.replace(":9900", ":0") for it in more["emulator"]["command"])]
    token = subprocess.run(
        [PROGRAM, "token", "--secret-env", "LOGIN_SECRET", "--issuer", "https://login.example.com/",
         "--audience", "liveness", "--subject", "alice"],
        env={**os.environ, **GIVEN}, check=True, capture_output=True, text=True).stdout.strip()

    with contextlib.ExitStack() as stack:
        stack.enter_context(running(redis, {}, folder, ["[Rr]eady to accept connections"]))
        socket = pathlib.Path(gateway["REDIS_URL"].removeprefix("unix://"))
        if stat.S_IMODE(socket.stat().st_mode) & 0o666 != 0o666:
            sys.exit("the gateway's user can't use the socket of Redis")
        start = running(emulator, more["emulator"]["environment"], folder, [r"^(http://\S+)"])
        gateway[endpoint] = stack.enter_context(start)[0]
        start = running([PROGRAM, "serve", "--config", "gateway.toml"], gateway, folder,
                        ['"listening","address":"([^"]+)"', '"admin listening","address":"([^"]+)"'])
        public, admin = stack.enter_context(start)
        if not json.loads(ask(f"http://{admin}/readyz"))["ready"]:
            sys.exit("the gateway is not ready")
        # Without the store, the request would be counted here alone.
        for _ in range(100):
            if re.search(r"^liveness_gateway_store_up 1$", ask(f"http://{admin}/metrics"), re.M):
                break
            time.sleep(0.1)
        else:
            sys.exit("the gateway has no store")
        said = ask(f"http://{public}/v2/actionliveness/sessioncode",
                   {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, b"{}")
        if not json.loads(said)["result"]["session_id"].startswith("lg1."):
            sys.exit(f"no session: {said}")
        asked = subprocess.run(["redis-cli", "-s", socket, "--scan"], check=True,
                               capture_output=True, text=True).stdout
        if ":rate:" not in asked:
            sys.exit(f"nothing is counted in Redis: {asked}")
        if (folder / "dump.rdb").exists() or (folder / "appendonlydir").exists():
            sys.exit("Redis writes to disk")
    print("gateway, emulator and Redis work together as deploy/compose starts them")


with tempfile.TemporaryDirectory() as name:
    main(pathlib.Path(name))

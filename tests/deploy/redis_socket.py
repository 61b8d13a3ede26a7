"""Starts redis-server with the arguments of deploy/compose/compose.yaml, but in another folder, and
asks it through its socket, as the gateway does.
"""

import pathlib
import socket
import stat
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]

compose = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())
redis = compose["services"]["redis"]
with tempfile.TemporaryDirectory() as folder:
    command = [it.replace("/data/", f"{folder}/") for it in redis["command"]]
    url = compose["services"]["gateway"]["environment"]["REDIS_URL"]
    mounted = dict(it.split(":")[:2] for it in compose["services"]["gateway"]["volumes"])["redis"]
    path = url.removeprefix("unix://").replace(f"{mounted}/", f"{folder}/")
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        for line in server.stdout:
            if "ready to accept connections" in line.lower():
                break
        else:
            sys.exit("redis-server has ended")
        if stat.S_IMODE(pathlib.Path(path).stat().st_mode) & 0o666 != 0o666:
            sys.exit("another user can't use the socket")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            for ask, wanted in (
                ("CONFIG GET save", '*2\r\n$4\r\nsave\r\n$0\r\n\r\n'),
                ("CONFIG GET appendonly", '*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n'),
                ("CONFIG GET port", '*2\r\n$4\r\nport\r\n$1\r\n0\r\n'),
                ("CONFIG GET maxmemory-policy", '*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n'),
            ):
                connection.sendall(f"{ask}\r\n".encode())
                said = connection.recv(1000).decode()
                if said != wanted:
                    sys.exit(f"{ask}: {said!r}")
    finally:
        server.terminate()
        server.wait()
print("redis-server listens on its socket alone, and writes nothing")

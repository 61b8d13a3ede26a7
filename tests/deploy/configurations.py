"""Runs `liveness-gateway check --strict` on the gateway.toml of manifests, with throw-away keys."""

import os
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Names of files that the program itself makes, by their arguments.
MADE = {
    "seal_key": ["keygen", "seal"],
    "previous_seal_key": ["keygen", "seal"],
    "verdict_key": ["keygen", "verdict"],
}
TEXTS = {
    "access_key": "access",
    "secret_key": "secret",
    "jwks.json": (ROOT / "config/example-jwks.json").read_text(),
    "token_secret": "at-least-thirty-two-characters-long",
    "redis_url": "rediss://gateway:password@redis.example.com:6379",
}


def write(folder, name, program):
    """A file as gateway.toml asks for it, by its name."""
    path = folder / name
    if path.exists():
        return
    if name in MADE:
        made = subprocess.run([program, *MADE[name]], check=True, capture_output=True)
        path.write_bytes(made.stdout)
    elif name in ("tls.crt", "tls.key"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "90", "-subj", "/CN=liveness.example.com",
             "-addext", "subjectAltName=DNS:liveness.example.com",
             "-keyout", folder / "tls.key", "-out", folder / "tls.crt"],
            check=True, capture_output=True)
    else:
        path.write_text(TEXTS[name])


def moved(text, folder, program):
    """This configuration with its files in another folder, where they are made."""
    places = r'"/(?:run/(?:secrets|credentials)|etc)/[^"/]+/'
    used = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for file in re.findall(places + r'([^"/]+)"', used):
        write(folder, file, program)
    return re.sub(places, f'"{folder}/', text)


def check(text, program, **variables):
    """The messages of `check` for this configuration, warnings too, or nothing if it is good."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "gateway.toml").write_text(moved(text, folder, program))
        done = subprocess.run([program, "check", "--strict", "--config", folder / "gateway.toml"],
                              env={**os.environ, **variables}, capture_output=True, text=True,
                              check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr


def faults(objects, program):
    """What `check` says of the configuration in a ConfigMap."""
    for item in objects:
        text = item.get("data", {}).get("gateway.toml") if item["kind"] == "ConfigMap" else None
        if text is None:
            continue
        if said := check(text, program):
            yield f"gateway.toml: {said}"
        # The program reads these files, so a wrong one does not pass.
        if not check(text.replace("[qiniu]", "[qiniu]\nunknown = 1"), program):
            yield "gateway.toml: an unknown key passes"
        # Nor does what is only a warning: a variable that looks like an override, and is none.
        if not check(text, program, LIVENESS_GATEWAY_SERVER_LISTEN="127.0.0.1:1"):
            yield "gateway.toml: a warning passes"

"""Plays the kubelet for the gateway's container of each overlay, in the files of the image.

    pod_run.py FOLDER ROOT

FOLDER as for manifests.py, ROOT as deploy/image-root makes it. The container gets its volumes as
the kubelet writes them (links to a folder that is swapped as a whole, with the Pod's modes and
group), its arguments and its user, and answers the probes of the manifest. Only the ports are
others. One overlay then gets another ConfigMap, a wrong one, and another Secret, while it runs,
and the one with TLS a renewed certificate, as cert-manager writes it.
It needs root, for chroot.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import yaml

import configurations
import promises

FOLDER, ROOT = (pathlib.Path(it).resolve() for it in sys.argv[1:3])
PROGRAM = "/usr/local/bin/liveness-gateway"
IMAGE = dict(
    line.removeprefix("ENV ").split("=", 1)
    for line in (configurations.ROOT / "deploy/Dockerfile").read_text().splitlines()
    if line.startswith("ENV ")
)


class Volume:
    """A volume of a ConfigMap or a Secret."""

    def __init__(self, path, mode, group):
        self.path, self.mode, self.group, self.count = ROOT / path.lstrip("/"), mode, group, 0
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)

    def write(self, files):
        """Replaces all files at once."""
        self.count += 1
        data = self.path / f"..{self.count}"
        data.mkdir()
        os.chown(data, 0, self.group)
        for name, content in files.items():
            (data / name).write_text(content)
            os.chown(data / name, 0, self.group)
            (data / name).chmod(self.mode)
            with contextlib.suppress(FileExistsError):
                (self.path / name).symlink_to(f"..data/{name}")
        link = self.path / "..data_tmp"
        link.symlink_to(data.name)
        link.rename(self.path / "..data")


def mounts(objects, template, keys):
    """The volumes of the gateway's container, by the name of the object that they show."""
    security = template["spec"].get("securityContext", {})
    group = security.get("fsGroup", 0)
    places = {it["name"]: it["mountPath"] for it in promises.gateway_of(template)["volumeMounts"]}
    made = {}
    for volume in template["spec"]["volumes"]:
        if volume["name"] not in places:
            continue
        source = volume.get("configMap") or volume["secret"]
        mode = source.get("defaultMode", 0o644)
        name = source.get("name") or source["secretName"]
        made[name] = Volume(places[volume["name"]], mode, group)
        data = [it["data"] for it in promises.of_kind(objects, "ConfigMap")]
        if "configMap" in volume:
            made[name].write(data[0])
        else:
            # Keys as gateway.toml names them.
            files = [it for it in promises.files(promises.settings_of(objects))]
            folder = places[volume["name"]] + "/"
            wanted = [it.removeprefix(folder) for it in files if it.startswith(folder)]
            made[name].write({it: keys(it) for it in wanted})
    return made


@contextlib.contextmanager
def container(template):
    """The gateway's container, and its lines of output."""
    spec = promises.gateway_of(template)
    security = template["spec"].get("securityContext", {}) | spec["securityContext"]
    user = f"{security['runAsUser']}:{security['runAsGroup']}"
    groups = str(template["spec"].get("securityContext", {}).get("fsGroup", security["runAsGroup"]))
    environment = IMAGE | {
        "LIVENESS_GATEWAY__SERVER__LISTEN": "127.0.0.1:0",
        "LIVENESS_GATEWAY__ADMIN__LISTEN": "127.0.0.1:0",
    }
    process = subprocess.Popen(
        [shutil.which("chroot"), f"--userspec={user}", f"--groups={groups}", ROOT, PROGRAM, *spec["args"]],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process.stdout
    finally:
        process.kill()
        process.communicate()


def wait_for(lines, pattern):
    """The first line that matches. A program that stays silent is ended by the time limit of CI."""
    seen = ""
    for line in lines:
        seen += line
        if match := re.search(pattern, line):
            return match
    return sys.exit(f"no {pattern} in:\n{seen}")


def probe(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}") as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def follow(volumes, lines, keys):
    """Other objects while it runs."""
    config = volumes["liveness-gateway-config"]
    text = (config.path / "gateway.toml").read_text()
    config.write({"gateway.toml": text.replace("max_connections = 1500", "max_connections = 1400")})
    wait_for(lines, '"the new configuration is in use"')
    config.write({"gateway.toml": text.replace("[admin]", "[admin_]")})
    wait_for(lines, "the old one stays in use")
    secret = volumes["liveness-gateway-keys"]
    secret.write({it: keys(it) + "2" for it in ("access_key", "secret_key")}
                 | {"seal_key": keys("seal_key")})
    wait_for(lines, '"the new content is in use".*qiniu.access_key, qiniu.secret_key')


def renew(volumes, lines, keys):
    """The Secret of cert-manager with another pair, and the authority that it adds."""
    pair = {it: keys(it, renewed=True) for it in ("tls.crt", "tls.key")}
    volumes["liveness-gateway-tls"].write(pair | {"ca.crt": pair["tls.crt"]})
    wait_for(lines, '"the new content is in use".*server.tls')


def main():
    scratch = ROOT / "keys"
    scratch.mkdir()

    def keys(name, renewed=False):
        if renewed and name == "tls.crt":
            for file in ("tls.crt", "tls.key"):
                (scratch / file).unlink()
        configurations.write(scratch, name, str(ROOT / PROGRAM.lstrip("/")))
        return (scratch / name).read_text()

    played = 0
    for path in sorted(FOLDER.glob("*.yaml")):
        objects = list(yaml.safe_load_all(path.read_text()))
        if promises.settings_of(objects) is None:
            continue
        played += 1
        _, template = next(promises.pods(objects))
        volumes = mounts(objects, template, keys)
        spec = promises.gateway_of(template)
        with container(template) as lines:
            admin = wait_for(lines, '"admin listening","address":"([^"]+)"')[1]
            for kind in ("startupProbe", "livenessProbe"):
                status, said = probe(admin, spec[kind]["httpGet"]["path"])
                if status != 200:
                    sys.exit(f"{path.stem}: {kind}: {status} {said}")
            # Its issuer can't be reached from here: not ready, and alive.
            status, said = probe(admin, "/readyz")
            if status != 503 or json.loads(said)["checks"]["keys"] != "unknown":
                sys.exit(f"{path.stem}: /readyz: {status} {said}")
            if path.stem == "edge":
                follow(volumes, lines, keys)
            if path.stem == "tls":
                renew(volumes, lines, keys)
    print(f"{played} overlays started; edge followed its ConfigMap and its Secret, tls its certificate")
    if played < 6:
        sys.exit(1)


main()

"""Adapts copies of the overlays as deploy/README.md says, and looks whether that was all.

    adapted.py KUBECTL LIVENESS_GATEWAY

In each copy only its own files change, by the edits below. What is then rendered must have no name
of an example left, and a good gateway.toml. README.md must list each file. Then one edit after the
other is left out, and fails if nobody notices. Relies on configurations.py and promises.py.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

import configurations
import promises

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/kubernetes"
README = (ROOT / "deploy/README.md").read_text()
PAGE = (ROOT / "docs/getting-started/sidecar.md").read_text()
KUBECTL, PROGRAM = sys.argv[1:3]

IMAGE = ("kustomization.yaml", "newName: registry.example.com/", "newName: registry.firm.test/")
TOKENS = ("gateway.toml", "https://login.example.com/", "https://login.firm.test/")
PROXIES = ("gateway.toml", "10.0.0.0/16", "10.7.0.0/16")
# What belongs to whoever adapts an overlay: file, old text, new text.
EDITS = {
    "edge": [IMAGE, TOKENS, PROXIES],
    "redis": [IMAGE, TOKENS, PROXIES],
    "tls": [
        IMAGE,
        TOKENS,
        ("certificate.yaml", "liveness.example.com", "liveness.firm.test"),
        ("certificate.yaml", "name: letsencrypt", "name: ours"),
    ],
    "sidecar": [
        IMAGE,
        TOKENS,
        ("app.yaml", "registry.example.com/", "registry.firm.test/"),
        ("app.yaml", "name: example-app", "name: our-app"),
        ("app.yaml", "app: example-app", "app: our-app"),
        ("kustomization.yaml", "name: example-app", "name: our-app"),
    ],
    "production": [
        IMAGE,
        ("kustomization.yaml", "namespace: liveness", "namespace: faces"),
        TOKENS,
        PROXIES,
        ("gateway.toml", "https://app.example.com", "https://app.firm.test"),
        ("gateway.toml", "https://liveness.example.com", "https://liveness.firm.test"),
        ("route.yaml", "namespace: gateways", "namespace: doors"),
        ("route.yaml", "liveness.example.com", "liveness.firm.test"),
        ("network-policy.yaml", "metadata.name: gateways", "metadata.name: doors"),
        ("network-policy.yaml", "metadata.name: monitoring", "metadata.name: watch"),
        ("network-policy.yaml", "10.20.0.0/16", "10.8.0.0/16"),
        ("monitoring.yaml", "kube-prometheus-stack", "prometheus"),
    ],
}
# A name of an example: a part of a text, or all of it.
LEFT = re.compile(
    r"example\.com|10\.0\.0\.0/16|10\.20\.0\.0/16"
    r"|^(gateways|monitoring|letsencrypt|kube-prometheus-stack|liveness|example-app)$"
)


def adapted(name, edits, more=lambda folder: None):
    """The objects of a copy of an overlay, or None where kustomize refuses it."""
    with tempfile.TemporaryDirectory() as work:
        folders = pathlib.Path(work) / "kubernetes"
        shutil.copytree(FOLDER, folders)
        folder = shutil.copytree(folders / name, folders / "mine")
        for file, old, new in edits:
            text = (folder / file).read_text()
            if old not in text:
                sys.exit(f"{name}: {file} has no {old!r}")
            (folder / file).write_text(text.replace(old, new))
        more(folder)
        done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True)
        return list(yaml.safe_load_all(done.stdout)) if done.returncode == 0 else None


def texts(value):
    """Every text in an object; of a configuration, without its comments."""
    if isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield re.sub(r"(^|\s)#.*", "", value) if "\n" in value else value


def faults(name, objects):
    """What is left to do, or wrong."""
    if objects is None or not any(promises.pods(objects)):
        yield "is refused"
        return
    for item in objects:
        owner = f"{item['kind']} {item['metadata']['name']}"
        for text in texts(item):
            for found in LEFT.finditer(text):
                yield f"{owner} still has {found[0]}"
    # A sidecar whose patch found no Deployment is an app without a gateway.
    if any(promises.gateway_of(template) is None for _, template in promises.pods(objects)):
        yield "no container is called gateway"
    yield from configurations.faults(objects, PROGRAM)


def block(language, number=0):
    """A block of the sidecar's page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)[number]


def minting(folder):
    """The sidecar of an app that mints the tokens, as its page says."""
    path = folder / "gateway.toml"
    path.write_text(path.read_text().partition("[[identity]]")[0] + block("toml", 1))
    app = yaml.safe_load((folder / "app.yaml").read_text())
    app["spec"]["template"]["spec"]["containers"][0] |= yaml.safe_load(block("yaml"))
    (folder / "app.yaml").write_text(yaml.safe_dump(app))


def main():
    found, kept = [], 0
    for name, edits in EDITS.items():
        found += (f"{name}: {it}" for it in faults(name, adapted(name, edits)))
        for file in {it[0] for it in edits}:
            if f"\n| `{file}`" not in README:
                found.append(f"{name}: deploy/README.md does not list {file}")
        for number, edit in enumerate(edits):
            fewer = edits[:number] + edits[number + 1:]
            if not any(True for _ in faults(name, adapted(name, fewer))):
                found.append(f"{name}: nobody misses {edit[1]!r} in {edit[0]}")
        kept += len(edits)
    objects = adapted("sidecar", EDITS["sidecar"][2:], minting)
    for fault in faults("sidecar", objects):
        # The page keeps the names of its own example.
        if "example.com" not in fault:
            found.append(f"sidecar that mints: {fault}")
    _, template = next(promises.pods(objects))
    found += (f"sidecar that mints: {it}" for it in promises.sidecar_faults(
        promises.settings_of(objects), objects, template))
    for fault in found:
        print(f"FAIL  {fault}")
    print(f"{len(EDITS)} overlays adapted by {kept} edits, {len(found)} faults")
    if found:
        sys.exit(1)


main()

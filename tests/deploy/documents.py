"""Checks the kubectl commands in the documents against the manifests.

    documents.py FOLDER

FOLDER as for manifests.py. A document that names a label, a container, an object or a folder which
no manifest has leads an operator to an empty list.
"""

import pathlib
import re
import shlex
import sys

import yaml

import promises

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Objects that the operator makes, which manifests mount.
KINDS = {"secret": "secretName", "configmap": "configMap"}


def commands(text):
    """The kubectl commands in blocks of code, each with its pipe's first part only."""
    joined = re.sub(r"\\\n\s*", " ", text)
    # Commands in a sentence stand between backquotes.
    for line in joined.splitlines() + re.findall(r"`(kubectl [^`]+)`", joined):
        for part in re.split(r"\s(?:\||&&|;)\s", line.strip()):
            words = part.split("  #")[0]
            if words.startswith("kubectl ") and "`" not in words:
                yield shlex.split(words)


def option(words, *names):
    """The value of an option, in each way to write it."""
    for number, word in enumerate(words):
        if word in names and number + 1 < len(words):
            return words[number + 1]
        for name in names:
            if word.startswith(f"{name}="):
                return word.removeprefix(f"{name}=")
    return None


def faults(words, pods, names):
    """What a command names that is nowhere."""
    if selector := option(words, "-l", "--selector"):
        wanted = dict(term.split("=", 1) for term in selector.split(","))
        found = [it for it in pods if wanted.items() <= it["metadata"]["labels"].items()]
        if not found:
            yield f"no Pod has {selector}"
        container = option(words, "-c", "--container")
        if container and not any(
            it["name"] == container for pod in found for it in promises.containers(pod)
        ):
            yield f"no such Pod has a container {container}"
    folder = option(words, "-k") or (words[2] if words[1] == "kustomize" else None)
    if folder and not (ROOT / folder / "kustomization.yaml").is_file():
        yield f"{folder} has no kustomization.yaml"
    if words[1] == "create" and words[2] in KINDS:
        name = next(it for it in words[3:] if it not in ("generic", "tls"))
        if name not in names:
            yield f"no manifest mounts {words[2]} {name}"
    for word in words:
        kind, _, name = word.partition("/")
        if kind in ("deployment", "deploy") and "/" not in name and name not in ("liveness-gateway", "example-app"):
            yield f"there is no Deployment {name}"


def main():
    pods, names = [], set()
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.yaml")):
        for _, pod in promises.pods(list(yaml.safe_load_all(path.read_text()))):
            pods.append(pod)
            for volume in pod["spec"].get("volumes", []):
                names.add(volume.get("secret", {}).get("secretName"))
                names.add(volume.get("configMap", {}).get("name"))
    found, count = [], 0
    pages = [ROOT / "README.md", ROOT / "deploy/README.md", *ROOT.glob("docs/**/*.md")]
    texts = [(page, page.read_text()) for page in pages]
    for page, text in texts:
        for words in commands(text):
            count += 1
            for fault in faults(words, pods, names):
                found.append(f"{page.relative_to(ROOT)}: {shlex.join(words)}: {fault}")
    for fault in found:
        print(f"FAIL  {fault}")
    # What must be found.
    planted = [
        "kubectl logs -l app.kubernetes.io/name=gateway -c gateway",
        "kubectl logs -l app.kubernetes.io/name=liveness-gateway -c proxy",
        "kubectl apply -k deploy/kubernetes/none",
        "kubectl create secret generic liveness-gateway --from-file=keys",
        "kubectl rollout restart deployment/gateway",
    ]
    missed = [it for it in planted if not any(True for _ in faults(shlex.split(it), pods, names))]
    for command in missed:
        print(f"FAIL  not found: {command}")
    print(f"{count} kubectl commands in documents, {len(found)} faults; {len(planted)} planted")
    if found or missed or count < 5:
        sys.exit(1)


main()

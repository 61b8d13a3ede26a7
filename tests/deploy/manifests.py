"""Checks the rendered manifests of deploy/kubernetes.

    manifests.py FOLDER [LIVENESS_GATEWAY]

FOLDER has one file for each overlay, as `kubectl kustomize` prints it. Each object is validated by
the schema of Kubernetes itself, strictly, for the oldest and the newest release that is promised.
Objects of other APIs (cert-manager, Prometheus operator, Gateway API) are left to crds.mjs. Then
come the promises of promises.py, and the configuration in each ConfigMap by `check` of the program.
In the end it breaks good manifests on purpose, and fails if one of these faults is not found.
"""

import copy
import pathlib
import sys

import kubernetes_validate
import yaml

import configurations
import promises
import proofs

# Where an overlay needs more than this, it says so in deploy/README.md.
OLDEST = {"sidecar": "1.29"}
OLDEST_OF_ALL = "1.27"
NEWEST = "1.37"
# Their schemas are in npm packages: crds.mjs.
OTHER_APIS = {
    "cert-manager.io/v1",
    "gateway.networking.k8s.io/v1",
    "monitoring.coreos.com/v1",
}


def schema_faults(overlay, objects):
    """What the API server would refuse."""
    for item in objects:
        name = f"{item.get('kind')} {item.get('metadata', {}).get('name')}"
        if item.get("apiVersion") in OTHER_APIS:
            continue
        for version in (OLDEST.get(overlay, OLDEST_OF_ALL), NEWEST):
            try:
                kubernetes_validate.validate(item, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                path = ".".join(str(part) for part in error.path)
                yield f"{name}: Kubernetes {version}: {path}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError:
                yield f"{name}: Kubernetes {version} has no {item.get('apiVersion')}"


def faults(overlay, overlays, program=None):
    """All that is wrong with an overlay."""
    objects = overlays[overlay]
    found = list(schema_faults(overlay, objects))
    # The promises take what the schema says for granted.
    if not found:
        found += promises.faults(overlay, objects, overlays)
    if program:
        found += configurations.faults(objects, program)
    return [f"{overlay}: {fault}" for fault in found]


def main():
    folder = pathlib.Path(sys.argv[1])
    program = sys.argv[2] if len(sys.argv) > 2 else None
    overlays = {}
    for path in sorted(folder.glob("*.yaml")):
        overlays[path.stem] = list(yaml.safe_load_all(path.read_text()))
    found = [it for overlay in overlays for it in faults(overlay, overlays, program)]
    for fault in found:
        print(f"FAIL  {fault}")
    objects = sum(len(items) for items in overlays.values())
    print(f"{len(overlays)} overlays, {objects} objects, {len(found)} faults")

    missed = 0
    for name, overlay, change, expected in proofs.PROOFS:
        broken = copy.deepcopy(overlays)
        change(proofs.Objects(broken[overlay]))
        seen = [it for it in faults(overlay, broken) if it not in found]
        if not any(expected in fault for fault in seen):
            missed += 1
            print(f"FAIL  not found: {name}: wanted {expected!r}, got {seen}")
    print(f"{len(proofs.PROOFS)} faults planted, {missed} missed")
    # An empty folder or list proves nothing.
    if found or missed or len(overlays) < 10 or len(proofs.PROOFS) < 20:
        sys.exit(1)


main()

"""Checks deploy/compose without a Docker daemon.

    compose.py LIVENESS_GATEWAY

By a strict parser of the Compose specification, and by what deploy/README.md promises. Then it
breaks the file on purpose, and fails if one of these faults is not found.
"""

import copy
import os
import pathlib
import sys
import tomllib

import compose_spec
import yaml

import configurations
import promises

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/compose"
# What the operator makes, as the README says.
MADE = {"./secrets"}


def refused(compose):
    """What Compose would refuse: the first fault, or nothing."""
    try:
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(compose)).validate()
    except ValueError as error:
        yield str(error)


def faults(compose, settings):
    """All that is wrong."""
    for fault in refused(compose):
        # What follows takes the specification for granted.
        yield fault
        return
    services = compose["services"]
    for name, service in services.items():
        yield from (f"{name}: {it}" for it in service_faults(service, compose))
        for other in service.get("depends_on", []):
            if other not in services:
                yield f"{name}: depends on {other}, which is not there"
    gateway = services["gateway"]
    drain = settings["server"].get("drain_timeout", "65s")
    needed = promises.seconds(settings["server"].get("lame_duck", "0s")) + promises.seconds(drain) + promises.MARGIN
    if promises.seconds(gateway.get("stop_grace_period", "10s")) < needed:
        yield f"gateway: stop_grace_period is under {needed} s"
    if gateway.get("read_only") is not True:
        yield "gateway: its root can be written"
    secret = settings["store"]["redis"]["env"]
    if secret not in gateway.get("environment", {}):
        yield f"gateway: {secret} is not set"
    scrape = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    port = settings["admin"]["listen"].rpartition(":")[2]
    if [it["targets"] for job in scrape for it in job["static_configs"]] != [[f"gateway:{port}"]]:
        yield "prometheus: does not scrape the admin listener"
    if not set(gateway["networks"]) & set(services["prometheus"]["networks"]):
        yield "prometheus: has no network in common with the gateway"


def service_faults(service, compose):
    """Hardening, and what a service names."""
    tag = service["image"].rpartition(":")[2]
    if "build" not in service and tag in (service["image"], "latest"):
        yield f"image {service['image']} floats"
    if service.get("cap_drop") != ["ALL"]:
        yield "capabilities are not dropped"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "can gain privileges"
    for port in service.get("ports", []):
        if not port.startswith("127.0.0.1:"):
            yield f"port {port} is open to other machines"
    for volume in service.get("volumes", []):
        source, _, options = volume.partition(":")
        if not source.startswith("."):
            if source not in compose["volumes"]:
                yield f"there is no volume {source}"
            continue
        if source not in MADE and not (FOLDER / source).exists():
            yield f"{source} is not there"
        if not options.endswith(":ro"):
            yield f"{source} can be written"


def main():
    program = sys.argv[1]
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    text = (FOLDER / "gateway/gateway.toml").read_text()
    settings = tomllib.loads(text)
    found = list(faults(compose, settings))
    emulator = yaml.safe_load((FOLDER / "emulator.yaml").read_text())
    found += refused(emulator)
    emulator = emulator["services"]["emulator"]
    found += (f"emulator: {it}" for it in service_faults(emulator | {"build": "."}, compose))
    os.environ.update(compose["services"]["gateway"]["environment"])
    if said := configurations.check(text, program):
        found.append(said)
    for fault in found:
        print(f"FAIL  {fault}")
    changes = [
        ("an unknown member", lambda it: it["gateway"].update(readonly=True), "readonly"),
        ("a wrong type", lambda it: it["gateway"].update(networks="metrics"), "expected a set"),
        ("a network that is not there", lambda it: it["grafana"].update(networks=["m"]), "`m`"),
        ("a wrong size", lambda it: it["redis"].update(mem_limit="lots"), "lots"),
        ("a floating image", lambda it: it["redis"].update(image="redis"), "floats"),
        ("an open port", lambda it: it["grafana"].update(ports=["3000:3000"]), "other machines"),
        ("capabilities", lambda it: it["redis"].pop("cap_drop"), "capabilities"),
        ("a short stop", lambda it: it["gateway"].update(stop_grace_period="60s"), "stop_grace"),
        ("a missing file", lambda it: it["grafana"]["volumes"].append("./none:/none:ro"), "./none"),
        ("a missing volume", lambda it: it["redis"].update(volumes=["none:/data"]), "no volume"),
        ("a missing service", lambda it: it["grafana"].update(depends_on=["p"]), "depends on p"),
        ("no metrics", lambda it: it["gateway"].update(networks=["public"]), "in common"),
    ]
    missed = 0
    for name, change, words in changes:
        broken = copy.deepcopy(compose)
        change(broken["services"])
        seen = [it for it in faults(broken, settings) if it not in found]
        if not any(words in it for it in seen):
            missed += 1
            print(f"FAIL  not found: {name}: {seen}")
    services = len(compose["services"])
    print(f"{services} services, {len(found)} faults; {len(changes)} planted, {missed} missed")
    if found or missed:
        sys.exit(1)


main()

"""What deploy/README.md promises of the manifests, beyond their schema."""

import tomllib

GATEWAY = "liveness-gateway"
# Overlays that only add objects beside others.
ADDITIONS = {"gateway-api", "network-policy", "pod-monitor"}
# Overlays that have Pods, but no configuration of their own.
WITHOUT_CONFIGURATION = {"base"} | ADDITIONS
MARGIN = 5


def seconds(text):
    """A duration of gateway.toml."""
    for unit, factor in (("ms", 0.001), ("min", 60), ("h", 3600), ("s", 1)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


def of_kind(objects, kind):
    return [item for item in objects if item["kind"] == kind]


def pods(objects):
    """The Pod templates, each with the name of its Deployment."""
    for item in of_kind(objects, "Deployment"):
        yield item["metadata"]["name"], item["spec"]["template"]


def containers(template):
    spec = template["spec"]
    return spec.get("initContainers", []) + spec.get("containers", [])


def gateway_of(template):
    """The container that runs the gateway."""
    return next((it for it in containers(template) if it["name"] == "gateway"), None)


def settings_of(objects):
    """gateway.toml as read, or None."""
    for item in of_kind(objects, "ConfigMap"):
        if "gateway.toml" in item.get("data", {}):
            return tomllib.loads(item["data"]["gateway.toml"])
    return None


def selects(selector, labels):
    """Whether a selector matches, as Kubernetes says. An empty one is a fault elsewhere."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", []):
        value = labels.get(term["key"])
        if term["operator"] == "Exists" and value is None:
            return False
        if term["operator"] == "In" and value not in term["values"]:
            return False
    return True


def selectors(objects):
    """Every selector of Pods, with its owner."""
    for item in objects:
        owner, spec = f"{item['kind']} {item['metadata']['name']}", item.get("spec", {})
        if item["kind"] == "Service":
            yield owner, {"matchLabels": spec.get("selector", {})}
        elif item["kind"] == "NetworkPolicy":
            yield owner, spec.get("podSelector", {})
        elif item["kind"] in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
            yield owner, spec.get("selector", {})
        if item["kind"] == "Deployment":
            for spread in spec["template"]["spec"].get("topologySpreadConstraints", []):
                yield f"{owner}: spread", spread.get("labelSelector", {})


def port_names(template):
    return {port["name"] for it in containers(template) for port in it.get("ports", []) if "name" in port}


def named_ports(objects):
    """Every port that is used by name, with its owner."""
    for item in objects:
        owner, spec = f"{item['kind']} {item['metadata']['name']}", item.get("spec", {})
        for port in spec.get("ports", []) if item["kind"] == "Service" else []:
            yield owner, port["targetPort"]
        for rule in spec.get("ingress", []) if item["kind"] == "NetworkPolicy" else []:
            for port in rule["ports"]:
                yield owner, port["port"]
        for endpoint in spec.get("podMetricsEndpoints", []):
            yield owner, endpoint["port"]


def faults(overlay, objects, overlays):
    """What an overlay doesn't keep."""
    # Additions meet the Pods of the overlays that they are applied beside.
    all_pods = [it for name in ("base", "sidecar") for it in pods(overlays[name])]
    near = all_pods if overlay in ADDITIONS else list(pods(objects))
    if any(True for _ in of_kind(objects, "Secret")):
        yield "a Secret stands in the repository"
    for owner, selector in selectors(objects):
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            yield f"{owner}: an empty selector, which selects every Pod"
        elif not any(selects(selector, it["metadata"]["labels"]) for _, it in near):
            yield f"{owner}: selects no Pod"
    known = set().union(*(port_names(template) for _, template in near or all_pods))
    known |= set().union(*(port_names(template) for _, template in all_pods))
    for owner, port in named_ports(objects):
        if port not in known:
            yield f"{owner}: no container has a port {port!r}"
    yield from reference_faults(overlay, objects, overlays)
    for name, template in pods(objects):
        container = gateway_of(template)
        if container is None:
            yield f"Deployment {name}: no container is called gateway"
            continue
        for fault in container_faults(template, container):
            yield f"Deployment {name}: {fault}"
    if overlay not in WITHOUT_CONFIGURATION:
        settings = settings_of(objects)
        if settings is None:
            yield "no ConfigMap has a gateway.toml"
            return
        for _, template in pods(objects):
            yield from settings_faults(settings, template)
            kind = sidecar_faults if overlay == "sidecar" else edge_faults
            yield from kind(settings, objects, template)


def reference_faults(overlay, objects, overlays):
    """Names of other objects that nothing has."""
    names = {(it["kind"], it["metadata"]["name"]) for it in objects + overlays["base"]}
    services = {it["metadata"]["name"]: it for it in of_kind(objects + overlays["base"], "Service")}
    for item in of_kind(objects, "HTTPRoute"):
        for rule in item["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                service = services.get(backend["name"])
                ports = [port["port"] for port in service["spec"]["ports"]] if service else []
                if backend["port"] not in ports:
                    yield f"HTTPRoute: no Service {backend['name']} with port {backend['port']}"
    for item in of_kind(objects, "HorizontalPodAutoscaler"):
        target = item["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) not in names:
            yield f"HorizontalPodAutoscaler: there is no {target['kind']} {target['name']}"
        for deployment in of_kind(objects, "Deployment"):
            if "replicas" in deployment["spec"]:
                yield "HorizontalPodAutoscaler: the Deployment sets replicas too"
        if "store" not in (settings_of(objects) or {}):
            yield "HorizontalPodAutoscaler: without [store], each replica counts limits for itself"
    if overlay in WITHOUT_CONFIGURATION:
        return
    for name, template in pods(objects):
        for volume in template["spec"].get("volumes", []):
            target = volume.get("configMap", {}).get("name")
            if target and ("ConfigMap", target) not in names:
                yield f"Deployment {name}: there is no ConfigMap {target}"


def container_faults(template, container):
    """The hardening, the resources and the mounts of the gateway's container."""
    pod = template["spec"].get("securityContext", {})
    own = container.get("securityContext", {})
    both = pod | own
    for key, value in {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }.items():
        if both.get(key) != value:
            yield f"{key} is not {value}"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem is not true"
    if own.get("capabilities") != {"drop": ["ALL"]}:
        yield "capabilities are not dropped"
    resources = container.get("resources", {})
    if "memory" not in resources.get("limits", {}) or "cpu" in resources.get("limits", {}):
        yield "limits: memory is missing, or the CPU is limited"
    if set(resources.get("requests", {})) != {"cpu", "memory"}:
        yield "requests: CPU and memory are not both there"
    registry, _, tag = container["image"].rpartition(":")
    if "/" not in registry or tag in ("", "latest"):
        yield f"image {container['image']} has no registry or a floating tag"
    for mount in container["volumeMounts"]:
        if "subPath" in mount or "subPathExpr" in mount:
            yield f"{mount['mountPath']} is a subPath, which doesn't follow its object"
        if mount.get("readOnly") is not True:
            yield f"{mount['mountPath']} can be written"
    for volume in template["spec"]["volumes"]:
        if "items" in volume.get("secret", {}) or "projected" in volume:
            yield f"volume {volume['name']} is a part of a Secret"
    for probe in ("startupProbe", "livenessProbe"):
        # A restart does not bring an identity provider back.
        if container.get(probe, {}).get("httpGet", {}).get("path") != "/livez":
            yield f"{probe} is not /livez"


def settings_faults(settings, template):
    """gateway.toml against the Pod that it runs in."""
    server = settings["server"]
    timeouts = [seconds(route["timeout"]) for route in settings.get("routes", []) if "timeout" in route]
    drain = seconds(server["drain_timeout"]) if "drain_timeout" in server else max([60, *timeouts]) + 5
    lame_duck = seconds(server.get("lame_duck", "0s"))
    grace = template["spec"].get("terminationGracePeriodSeconds", 30)
    if grace < lame_duck + drain + MARGIN:
        yield f"{grace} s to stop, {lame_duck} s and {drain} s and {MARGIN} s needed"
    container = gateway_of(template)
    ports = {port["containerPort"] for port in container["ports"]}
    for key in ("admin", "server"):
        host, _, port = settings[key]["listen"].rpartition(":")
        if host not in ("127.0.0.1", "[::1]") and int(port) not in ports:
            yield f"{key}.listen: the container has no port {port}"
    folders = [mount["mountPath"] for mount in container["volumeMounts"]]
    for file in files(settings):
        if file.rpartition("/")[0] not in folders:
            yield f"{file} is in no volume"
    for identity in settings["identity"]:
        if set(identity) & {"jwks_file", "jwks_url", "public_key_file", "secret"}:
            yield f"{identity['issuer']}: keys are not found by discovery"


def files(value):
    """Every absolute path in gateway.toml."""
    if isinstance(value, dict):
        for key, part in value.items():
            # A route's path is no file.
            if key != "path":
                yield from files(part)
    elif isinstance(value, list):
        for part in value:
            yield from files(part)
    elif isinstance(value, str) and value.startswith("/"):
        yield value


def edge_faults(settings, objects, template):
    """What holds for a gateway behind a Service."""
    if seconds(settings["server"].get("lame_duck", "0s")) < 5:
        yield "server.lame_duck is too short for a load balancer to notice"
    probe = gateway_of(template).get("readinessProbe", {})
    if probe.get("httpGet", {}).get("path") != "/readyz":
        yield "readinessProbe is not /readyz"
    spread = {it["topologyKey"] for it in template["spec"].get("topologySpreadConstraints", [])}
    if spread != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
        yield "replicas are not spread over zones and nodes"
    if not of_kind(objects, "PodDisruptionBudget"):
        yield "there is no disruption budget"
    scaler = of_kind(objects, "HorizontalPodAutoscaler")
    for deployment in of_kind(objects, "Deployment"):
        least = scaler[0]["spec"]["minReplicas"] if scaler else deployment["spec"]["replicas"]
        if least < 2:
            yield "there may be a single replica"
    services = of_kind(objects, "Service")
    if any(port["targetPort"] != "public" for it in services for port in it["spec"]["ports"]):
        yield "the Service has another port than the public one"
    has_tls = "tls" in settings["server"]
    if has_tls != any(port["port"] == 443 for it in services for port in it["spec"]["ports"]):
        yield "port 443 of the Service and [server.tls] don't go together"


def sidecar_faults(settings, objects, template):
    """What holds for a gateway beside an app."""
    container = gateway_of(template)
    if container.get("restartPolicy") != "Always":
        yield "the gateway is no sidecar: it must outlive the app"
    if container not in template["spec"].get("initContainers", []):
        yield "the gateway is no init container: it must start before the app"
    if "readinessProbe" in container:
        yield "readinessProbe: an issuer that is down would take the app out of its Service"
    if not settings["server"]["listen"].startswith("127.0.0.1:"):
        yield "server.listen can be reached from outside of the Pod"
    if settings["server"].get("trusted_proxies") != ["127.0.0.1/32"]:
        yield "trusted_proxies does not name the app"
    app = next(it for it in template["spec"]["containers"] if it["name"] != "gateway")
    mounted = {mount["name"] for mount in app.get("volumeMounts", [])}
    if "gateway-keys" in mounted:
        yield "the app can read the keys"

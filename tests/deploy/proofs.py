"""Faults that are planted into good manifests, each with words of the message that must follow."""

import tomllib


class Objects:
    """The objects of an overlay, by kind."""

    def __init__(self, objects):
        self.objects = objects

    def __getattr__(self, kind):
        return next(it for it in self.objects if it["kind"] == kind)

    def container(self):
        spec = self.Deployment["spec"]["template"]["spec"]
        every = spec.get("initContainers", []) + spec["containers"]
        return next(it for it in every if it["name"] == "gateway")

    def pod(self):
        return self.Deployment["spec"]["template"]["spec"]

    def toml(self, old, new):
        data = self.ConfigMap["data"]
        assert old in data["gateway.toml"], old
        data["gateway.toml"] = data["gateway.toml"].replace(old, new)
        tomllib.loads(data["gateway.toml"])


def put(target, key, value):
    target[key] = value


# (name, overlay, change, words of the fault)
PROOFS = [
    # The schema.
    ("an unknown member", "edge", lambda it: put(it.container(), "livenesProbe", {}), "livenesProbe"),
    ("a wrong type", "edge", lambda it: put(it.Deployment["spec"], "replicas", "two"), "two"),
    ("a missing member", "edge", lambda it: it.container().pop("name"), "name"),
    ("an API that is gone", "edge",
     lambda it: put(it.PodDisruptionBudget, "apiVersion", "policy/v1beta1"), "v1beta1"),
    ("a member of a newer Kubernetes", "edge",
     lambda it: put(it.container(), "lifecycle", {"preStop": {"sleep": {"seconds": 5}}}), "1.27"),
    ("a port with a name that is none", "network-policy",
     lambda it: put(it.NetworkPolicy["spec"]["egress"][1], "ports", [{"prt": 443}]), "prt"),
    ("an unknown member of the autoscaler", "autoscaler",
     lambda it: put(it.HorizontalPodAutoscaler["spec"], "targetCPU", 70), "targetCPU"),
    # Selectors and names.
    ("another label on the Pods", "edge",
     lambda it: put(it.Deployment["spec"]["template"]["metadata"]["labels"],
                    "app.kubernetes.io/component", "core"), "Service liveness-gateway: selects no Pod"),
    ("an empty selector", "edge",
     lambda it: put(it.PodDisruptionBudget["spec"], "selector", {}), "an empty selector"),
    ("a policy for nobody", "network-policy",
     lambda it: put(it.NetworkPolicy["spec"]["podSelector"]["matchLabels"],
                    "app.kubernetes.io/name", "gateway"), "NetworkPolicy liveness-gateway: selects no Pod"),
    ("a monitor for nobody", "pod-monitor",
     lambda it: put(it.PodMonitor["spec"]["selector"]["matchExpressions"][0], "key", "metrics"),
     "PodMonitor liveness-gateway: selects no Pod"),
    ("a spread of nobody", "edge",
     lambda it: put(it.pod()["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
                    "app.kubernetes.io/name", "gateway"), "spread: selects no Pod"),
    ("a Service to no port", "edge",
     lambda it: put(it.Service["spec"]["ports"][0], "targetPort", "http"), "no container has a port"),
    ("a monitor of no port", "pod-monitor",
     lambda it: put(it.PodMonitor["spec"]["podMetricsEndpoints"][0], "port", "metrics"),
     "no container has a port"),
    ("a route to no port", "gateway-api",
     lambda it: put(it.HTTPRoute["spec"]["rules"][0]["backendRefs"][0], "port", 8080), "no Service"),
    ("a configuration with a hash", "edge",
     lambda it: put(it.ConfigMap["metadata"], "name", "liveness-gateway-config-42"), "no ConfigMap"),
    ("an autoscaler of nothing", "autoscaler",
     lambda it: put(it.HorizontalPodAutoscaler["spec"]["scaleTargetRef"], "name", "app"),
     "there is no Deployment app"),
    ("an autoscaler without a store", "autoscaler",
     lambda it: it.toml("[store]", "[store_]"), "without [store]"),
    ("an autoscaler and replicas", "autoscaler",
     lambda it: put(it.Deployment["spec"], "replicas", 2), "sets replicas too"),
    # The Pod.
    ("root", "edge", lambda it: put(it.pod()["securityContext"], "runAsUser", 0), "runAsUser"),
    ("a root that can be written", "sidecar",
     lambda it: put(it.container()["securityContext"], "readOnlyRootFilesystem", False),
     "readOnlyRootFilesystem"),
    ("capabilities", "edge", lambda it: it.container()["securityContext"].pop("capabilities"),
     "capabilities"),
    ("no memory limit", "sidecar", lambda it: it.container()["resources"].pop("limits"), "limits"),
    ("a floating image", "edge",
     lambda it: put(it.container(), "image", "registry.example.com/liveness-gateway:latest"),
     "floating"),
    ("a subPath", "edge",
     lambda it: put(it.container()["volumeMounts"][0], "subPath", "gateway.toml"), "subPath"),
    ("parts of the Secret", "edge",
     lambda it: put(next(v for v in it.pod()["volumes"] if v["name"] == "keys")["secret"], "items",
                    [{"key": "access_key", "path": "access_key"}]), "a part of a Secret"),
    ("a restart for a provider", "edge",
     lambda it: put(it.container()["livenessProbe"]["httpGet"], "path", "/readyz"), "livenessProbe"),
    ("no zones", "edge", lambda it: it.pod()["topologySpreadConstraints"].pop(0), "zones"),
    ("one replica", "edge", lambda it: put(it.Deployment["spec"], "replicas", 1), "single replica"),
    ("a Secret in the repository", "edge",
     lambda it: it.objects.append({"apiVersion": "v1", "kind": "Secret",
                                   "metadata": {"name": "keys"}}), "a Secret"),
    # The configuration.
    ("too little time to stop", "edge",
     lambda it: put(it.pod(), "terminationGracePeriodSeconds", 75), "to stop"),
    ("too little time for a longer timeout", "sidecar",
     lambda it: it.toml("[admin]", 'drain_timeout = "90s"\n[admin]'), "to stop"),
    ("no lame duck", "edge", lambda it: it.toml('lame_duck = "10s"', ""), "lame_duck"),
    ("another port", "edge", lambda it: it.toml("0.0.0.0:9090", "0.0.0.0:9091"), "no port 9091"),
    ("a file that is nowhere", "edge",
     lambda it: it.toml("/run/secrets/liveness-gateway/seal", "/run/secrets/seal"), "in no volume"),
    ("a key set in a file", "edge",
     lambda it: it.toml('audience = "liveness"',
                        'audience = "liveness"\njwks_file = "/etc/liveness-gateway/jwks.json"'),
     "discovery"),
    ("TLS without its port", "tls",
     lambda it: put(it.Service["spec"]["ports"][0], "port", 80), "port 443"),
    # The sidecar.
    ("readiness of a sidecar", "sidecar",
     lambda it: put(it.container(), "readinessProbe",
                    {"httpGet": {"path": "/readyz", "port": "gateway-admin"}}), "issuer that is down"),
    ("a sidecar that ends", "sidecar", lambda it: it.container().pop("restartPolicy"), "outlive"),
    ("a sidecar for all", "sidecar", lambda it: it.toml("127.0.0.1:8080", "0.0.0.0:8080"), "outside"),
    ("an app that is not trusted", "sidecar",
     lambda it: it.toml('trusted_proxies = ["127.0.0.1/32"]', ""), "trusted_proxies"),
    ("an app that reads the keys", "sidecar",
     lambda it: put(it.pod()["containers"][0], "volumeMounts",
                    [{"name": "gateway-keys", "mountPath": "/keys"}]), "can read the keys"),
]

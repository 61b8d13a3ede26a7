"""The alert rules as an object of the Prometheus operator.

    prometheus_rule.py [--write]

deploy/kubernetes/pod-monitor/prometheus-rule.yaml is deploy/observability's file of rules in
another envelope, which kustomize can't make. Without --write, fails if it is not up to date.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/observability/prometheus/rules/liveness-gateway.yaml"
OBJECT = ROOT / "deploy/kubernetes/pod-monitor/prometheus-rule.yaml"
HEAD = """\
# The rules of deploy/observability/prometheus/rules, for the Prometheus operator. Made by
# `python3 tests/deploy/prometheus_rule.py --write`; CI compares them.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: liveness-gateway
  labels:
    app.kubernetes.io/name: liveness-gateway
spec:
"""

rules = RULES.read_text()
# Its comments stay where they are; they are of no use twice.
body = rules[rules.index("groups:\n"):]
text = HEAD + "".join(f"  {line}\n" if line else "\n" for line in body.splitlines())
if "--write" in sys.argv:
    OBJECT.write_text(text)
elif OBJECT.read_text() != text:
    sys.exit(f"{OBJECT.relative_to(ROOT)} is not up to date: {__doc__}")

"""The parts of deploy/observability: alerts, their tests, the dashboard's queries, and what a PromQL
expression reads. Relies on PyYAML and promql-parser; never asks a server.
"""
import json
import pathlib
import re

import promql_parser as promql
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/observability"
RULES = sorted((FOLDER / "prometheus/rules").glob("*.yaml"))
TESTS = sorted((FOLDER / "prometheus/tests").glob("*.yaml"))
DASHBOARDS = sorted((FOLDER / "grafana").glob("*.json"))
ALERTS = ROOT / "docs/alerts.md"

# What Grafana replaces in a query, and what it is replaced by here.
VARIABLES = {
    "$__rate_interval": "1m",
    "$__interval": "1m",
    "$__range": "1h",
    "$job": ".*",
    "$instance": ".*",
    "$route": ".*",
}


def rules():
    """Every rule of every group."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def tests():
    """The name of an alert, and whether it must fire, for each case of the rules' tests."""
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test["alert_rule_test"]:
                yield path.stem, case["alertname"], bool(case["exp_alerts"])


def dashboards():
    """Each dashboard, with its path."""
    for path in DASHBOARDS:
        yield path, json.loads(path.read_text())


def filled(query):
    """A query of a dashboard as Grafana would send it."""
    for name, value in sorted(VARIABLES.items(), key=lambda it: -len(it[0])):
        query = query.replace(name, value)
    if "$" in query.replace("$__all", ""):
        raise ValueError(f"a variable that VARIABLES lacks: {query}")
    return query


def queries(dashboard):
    """Title, query, legend and format of each query of a dashboard, its annotations included."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"], target.get("format")
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            text = annotation.get("textFormat", "")
            yield f"annotation {annotation['name']}", annotation["expr"], text, None


class Reads:
    """What an expression reads: selectors (metric, label, operator, value), and labels that it
    groups or matches by."""

    def __init__(self, query):
        self.selectors = []
        self.labels = set()
        self._walk(promql.parse(query))

    def _walk(self, node):
        kind = type(node).__name__
        if kind == "VectorSelector":
            matchers = [(it.name, str(it.op), it.value) for it in node.matchers.matchers]
            self.selectors.append((node.name, matchers))
        elif kind == "MatrixSelector":
            self._walk(node.vector_selector)
        elif kind == "Call":
            for argument in node.args:
                self._walk(argument)
        elif kind == "AggregateExpr":
            if node.modifier is not None:
                self.labels.update(node.modifier.labels)
            self._walk(node.expr)
        elif kind == "BinaryExpr":
            if node.modifier is not None and node.modifier.matching is not None:
                self.labels.update(node.modifier.matching.labels)
            self._walk(node.lhs)
            self._walk(node.rhs)
        elif kind in ("ParenExpr", "UnaryExpr", "SubqueryExpr"):
            self._walk(node.expr)
        elif kind not in ("NumberLiteral", "StringLiteral"):
            raise TypeError(f"an unknown kind of expression: {kind}")


def named(text):
    """The labels that a legend or a template of an annotation names."""
    return set(re.findall(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}", text))

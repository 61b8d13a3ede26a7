"""Checks dashboards by Grafana's own model of them: read and written back, nothing may be lost. A
panel's options and field settings are those of its type. Relies on parts.py and on
grafana-foundation-sdk, which is generated from Grafana's schema.

    python grafana.py
"""
import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

import parts

# What Grafana reads and writes itself, and its model leaves out: of variables the query as text, of
# annotations what belongs to Prometheus alone.
UNMODELLED = {"definition", "builtIn", "step", "titleFormat", "textFormat"}


def lost(before, after, place=""):
    """The places of what is missing or different behind the model."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            where = f"{place}/{name}"
            if name in after:
                yield from lost(value, after[name], where)
            elif name not in UNMODELLED and value not in (None, "", [], {}):
                yield where
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{place}/{number}")
    elif before != after:
        yield place


def main():
    plugins.register_default_plugins()
    faults = 0
    for path, dashboard in parts.dashboards():
        model = Dashboard.from_json(dashboard)
        written = json.loads(JSONEncoder().encode(model))
        for place in lost(dashboard, written):
            faults += 1
            print(f"FAIL  {path.name}: Grafana does not know {place}")
        print(f"{path.name}: {len(model.panels)} panels by Grafana's model")
    return bool(faults)


sys.exit(main())

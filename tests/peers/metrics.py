"""Reads metrics with Prometheus's own parser, holds them against its rules for names, and against
values given as NAME=VALUE or NAME{LABEL}=VALUE, where LABEL is the value of the one label."""

import re
import sys
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

url, *expected = sys.argv[1:]
with urllib.request.urlopen(url) as response:
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text = response.read().decode()

families = list(text_string_to_metric_families(text))
seen, values = set(), {}
for family in families:
    assert re.fullmatch(r"maily_[a-z_]+", family.name), family.name
    assert family.name not in seen, f"{family.name} stands twice"
    seen.add(family.name)
    assert family.documentation.endswith("."), f"{family.name} has no help"
    assert family.type in ("counter", "gauge", "histogram"), f"{family.name}: {family.type}"
    if family.type == "counter":
        assert all(sample.name.endswith("_total") for sample in family.samples), family.name
    else:
        assert not family.name.endswith("_total"), family.name
    for sample in family.samples:
        label = "".join("{%s}" % value for value in sample.labels.values())
        values[sample.name + label] = sample.value
assert len(families) >= 30, f"only {len(families)} families"
for each in expected:
    name, value = each.rsplit("=", 1)
    assert values.get(name) == float(value), f"{name} is {values.get(name)}, not {value}"

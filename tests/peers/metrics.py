"""Reads metrics with Prometheus's own parser and holds them against its rules for names."""

import re
import sys
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

with urllib.request.urlopen(sys.argv[1]) as response:
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text = response.read().decode()

families = list(text_string_to_metric_families(text))
assert families, "there are no metrics"
seen = set()
for family in families:
    assert re.fullmatch(r"maily_[a-z_]+", family.name), family.name
    assert family.name not in seen, f"{family.name} stands twice"
    seen.add(family.name)
    assert family.type in ("counter", "gauge", "histogram"), f"{family.name}: {family.type}"
    if family.type == "counter":
        assert all(sample.name.endswith("_total") for sample in family.samples), family.name
    else:
        assert not family.name.endswith("_total"), family.name
print(len(families), "families")

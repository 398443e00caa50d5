#!/usr/bin/env python3
"""Compares what `maily bounces parse` reads from a collection of mails with what is expected.

    score.py MAILY FOLDER

FOLDER holds bounces.jsonl and the mails that it names (see README.md). Prints a table by source, then each
miss; exits 0 whatever the figures are, for expectations are opinions.
"""

import collections
import json
import os
import subprocess
import sys

RIGHTS = ("kind", "recipients", "class", "reason")


def read(maily, folder, rows):
    """What maily reads: an object for each file."""
    files = [row["file"] for row in rows]
    command = [os.path.abspath(maily), "bounces", "parse", "--jsonl", *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return {one["file"]: one for one in map(json.loads, done.stdout.split("\n")[:-1])}


def is_kind(wanted, got):
    """A notice of delay that is taken for a bounce is found, too; nothing else is."""
    about = ("bounce", "delay")
    return wanted == got or (wanted in about and got in about)


def compare(row, got):
    """Yields (what, right, wanted, got)."""
    kind = row["kind"] if row["kind"] != "dsn-success" else "not-a-bounce"
    said = got["kind"] if got["kind"] != "dsn-success" else "not-a-bounce"
    yield "kind", is_kind(kind, said), row["kind"], got["kind"]
    if kind not in ("bounce", "delay"):
        return
    names = {}
    for one in row["recipients"]:
        for name in one.get("also_accept", []):
            names.setdefault(name.lower(), one["address"].lower())
    names |= {one["address"].lower(): one["address"].lower() for one in row["recipients"]}
    wanted = {one["address"].lower(): one for one in row["recipients"]}
    found = {names.get(one["address"].lower(), one["address"]): one for one in got["recipients"]}
    yield "recipients", wanted.keys() == found.keys(), sorted(wanted), sorted(found)
    for address, one in wanted.items():
        other = found.get(address, {})
        for what in ("class", "reason"):
            if one.get(what) and one["class"] != "unknown":
                yield what, one[what] == other.get(what), one[what], other.get(what)


def main():
    """Prints the table and the misses."""
    maily, folder = sys.argv[1:3]
    with open(os.path.join(folder, "bounces.jsonl"), encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    # The same mail with other line ends counts once.
    rows = [row for row in rows if not row.get("contested") and not row.get("variant_of")]
    got = read(maily, folder, rows)
    counts, misses = collections.defaultdict(lambda: [0, 0]), []
    for row in rows:
        for what, right, wanted, found in compare(row, got[row["file"]]):
            for source in (row.get("source") or row.get("corpus"), "all"):
                counts[source, what][0] += right
                counts[source, what][1] += 1
            if not right:
                misses.append(f"{row['file']}: {what} {wanted} expected, {found} read")
    print(f"{'source':20}" + "".join(f"{what:>20}" for what in RIGHTS))
    for source in sorted({source for source, _ in counts}):
        cells = [counts.get((source, what), [0, 0]) for what in RIGHTS]
        shown = [f"{a}/{b} {100 * a / b:.1f} %" if b else "-" for a, b in cells]
        print(f"{source:20}" + "".join(f"{cell:>20}" for cell in shown))
    print(*misses, sep="\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The HTTP bench: how fast mailings are taken, and how fast recipients are answered.

    mailings.py [--rounds N] [--seconds S]

Batches: requests of 10,000 recipients with a template of 50 kB that is bound late, from 2 clients,
not to be sent yet; counted are recipients whose mail is on disk, and octets of their records.
Pixel: wrk fetches pixels of many messages while 1,000 messages a second are handed in by HTTP and
delivered to Postfix's smtp-sink. All on this machine, so the load takes its part of the CPU; what it
takes is printed. The medians go to HTTP.json."""

import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MAILY = ROOT / "target" / "release" / "maily"
SMTP, SINK, API, PUBLIC, OPS = 12525, 12626, 12727, 12728, 12729
TICK = os.sysconf("SC_CLK_TCK")
RECIPIENTS = 10_000


def cpu(pid):
    """CPU seconds of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:13]) / TICK


def free(port):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens at port {port}")


class Daemon:
    def __init__(self, folder):
        (folder / "maily.toml").write_text(f"""
[node]
hostname = "bench.example"
[spool]
folder = "{folder}/spool"
[events]
folder = "{folder}/events"
[registry]
folder = "{folder}/registry"
[[listener]]
address = "127.0.0.1:{SMTP}"
[egress]
tls = "off"
allow_networks = ["127.0.0.0/8"]
[[route]]
domain = "*"
host = "127.0.0.1"
port = {SINK}
[http.public]
listen = "127.0.0.1:{PUBLIC}"
base_url = "http://127.0.0.1:{PUBLIC}"
[http.api]
listen = "127.0.0.1:{API}"
[http.admin]
listen = "{folder}/admin.sock"
[ops]
listen = "127.0.0.1:{OPS}"
[log]
filter = "warn"
""")
        self.config = ["--config", folder / "maily.toml"]
        self.process = subprocess.Popen([MAILY, "serve", *self.config], stdin=subprocess.DEVNULL)
        for port in SMTP, API, PUBLIC, OPS:
            free(port)
        subprocess.run([MAILY, "project", "create", "shop", *self.config], check=True, stdout=subprocess.DEVNULL)
        made = subprocess.run(
            [MAILY, "token", "create", "--project", "shop", "--role", "api", *self.config],
            check=True, capture_output=True, text=True)  # fmt: skip
        self.token = made.stdout.split()[-1]

    def post(self, connection, body):
        fields = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/messages", body, fields)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 202:
            sys.exit(f"{answer.status}: {text[:500]}")

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", OPS)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        return float(re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M)[1])

    def stop(self):
        self.process.terminate()
        self.process.wait()


def mailing(html, count, more):
    recipients = [
        {"email": f"r{number}@d{number % 100}.example", "variables": {"name": f"No. {number}"}}
        for number in range(count)
    ]
    mail = {"from": {"email": "news@shop.example"}, "subject": "For {{ name }}", "html": html,
            "list": "news", "recipients": recipients, **more}  # fmt: skip
    return json.dumps(mail).encode()


def batches(daemon, seconds):
    """Recipients a second, octets on disk for each, CPU-ms of the daemon for each."""
    html = "<p>Dear {{ name }},</p>" + "<p>All that is new this spring.</p>" * 1_500
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3_600))
    body = mailing(html, RECIPIENTS, {"send_at": later})
    before, used = daemon.metric("maily_spool_live_bytes"), cpu(daemon.process.pid)
    taken, end = [0, 0], time.monotonic() + seconds

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", API)
        while time.monotonic() < end:
            daemon.post(connection, body)
            taken[number] += RECIPIENTS

    begun = time.monotonic()
    clients = [threading.Thread(target=client, args=(number,)) for number in range(2)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    elapsed, count = time.monotonic() - begun, sum(taken)
    waiting = daemon.metric("maily_spool_messages")
    if waiting < count:
        sys.exit(f"{count} were acknowledged, and {waiting} wait")
    octets = (daemon.metric("maily_spool_live_bytes") - before) / count
    return {"recipients_per_s": round(count / elapsed), "octets_each": round(octets),
            "cpu_ms_each": round((cpu(daemon.process.pid) - used) * 1e3 / count, 4)}  # fmt: skip


def tokens(folder, daemon):
    """URLs of pixels of messages that were delivered, as wrk's script."""
    kept = folder / "kept"
    sink = subprocess.Popen([MAILY, "sink", "--listen", f"127.0.0.1:{SINK}", "--keep", kept],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    free(SINK)
    connection = http.client.HTTPConnection("127.0.0.1", API)
    daemon.post(connection, mailing("<p>x</p>", 500, {"track": {"opens": True}}))
    while len(list(kept.glob("*.eml"))) < 500:
        time.sleep(0.2)
    sink.terminate()
    sink.wait()
    paths = []
    for mail in kept.glob("*.eml"):
        text = mail.read_text().replace("=\r\n", "").replace("=\n", "").replace("=3D", "=")
        paths.append(re.search(rf":{PUBLIC}(/o/[\w-]+)", text)[1])
    script = folder / "pixels.lua"
    listed = ",".join(f'"{path}"' for path in paths)
    script.write_text(f"""local paths = {{{listed}}}
local n = 0
request = function()
  n = n % #paths + 1
  return wrk.format("GET", paths[n], {{["User-Agent"] = "Mozilla/5.0 (X11) Firefox"}})
end
""")
    return script


def pixels(folder, daemon, script, seconds):
    """Pixels a second and their p99, and messages a second delivered meanwhile."""
    sink = subprocess.Popen(["smtp-sink", "-u", "nobody", "-c", f"127.0.0.1:{SINK}", "1000"],
                            stdout=subprocess.DEVNULL)  # fmt: skip
    free(SINK)
    body = mailing("<p>Dear {{ name }}</p>", 250, {})
    stopped = threading.Event()

    def load():
        connection = http.client.HTTPConnection("127.0.0.1", API)
        due = time.monotonic()
        while not stopped.is_set():
            daemon.post(connection, body)
            due += 0.25
            time.sleep(max(0, due - time.monotonic()))

    loading = threading.Thread(target=load)
    loading.start()
    try:
        time.sleep(1)
        delivered = re.escape('maily_recipients_total{outcome="delivered"}')
        before, used = daemon.metric(delivered), cpu(daemon.process.pid)
        begun = time.monotonic()
        wrk = subprocess.run(
            ["wrk", "-t1", "-c32", f"-d{seconds}s", "--latency", "-s", script, f"http://127.0.0.1:{PUBLIC}"],
            capture_output=True, text=True, check=True)  # fmt: skip
        elapsed = time.monotonic() - begun
        sent = (daemon.metric(delivered) - before) / elapsed
        busy = cpu(daemon.process.pid) - used
    finally:
        # A sink that is left behind would take the mail of the next run.
        stopped.set()
        loading.join()
        sink.terminate()
        sink.wait()
    rate = float(re.search(r"Requests/sec:\s+(\S+)", wrk.stdout)[1])
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", wrk.stdout).groups()
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", wrk.stdout)
    return {"pixels_per_s": round(rate), "delivered_per_s": round(sent),
            "p99_ms": round(float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit], 2),
            "wrong": int(wrong[1]) if wrong else 0, "daemon_cpu": round(busy / elapsed, 2)}  # fmt: skip


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=8)
    wanted = arguments.parse_args()
    runs = {"batches": [], "pixels": []}
    for _ in range(wanted.rounds):
        # A disk, not memory.
        folder = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp", prefix="maily-bench-http-"))
        daemon = Daemon(folder)
        try:
            script = tokens(folder, daemon)
            runs["pixels"].append(pixels(folder, daemon, script, wanted.seconds))
            runs["batches"].append(batches(daemon, wanted.seconds))
        finally:
            daemon.stop()
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps({case: each[-1] for case, each in runs.items()}), flush=True)
    medians = {
        case: {key: statistics.median(run[key] for run in each) for key in each[0]}
        for case, each in runs.items()
    }
    (ROOT / "benches" / "HTTP.json").write_text(json.dumps(medians, indent=1) + "\n")
    print(json.dumps(medians, indent=1))


main()

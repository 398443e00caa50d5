#!/usr/bin/env python3
"""The relay bench: the same messages through Maily and through Postfix into the same sink, in one
run, one after the other in each round, with durable acceptance on both (fsync before the 250).

    relay.py [--rounds N] [--scale F] [--case NAME ...] [--peer NAME ...] [--note TEXT]

The source is Postfix's smtp-source, or relay-source where recipients are at many domains; the sink
is Postfix's smtp-sink. A rate is counted at the sink: from the first connection of the source to
the sink's last message. CPU is user and system time of all processes of a server with their dead
children, from before the first message until it is quiet again; source and sink are counted apart.
Medians go to RESULTS.json, and a line a case to HISTORY.md. Needs root, for Postfix."""

import argparse
import datetime
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILT = ROOT / "target" / "release"
# A disk, not memory; and where the user postfix may go.
RUN = pathlib.Path(os.environ.get("BENCH_FOLDER", "/var/tmp/maily-bench-relay"))
SERVER_PORT, SINK_PORT, MILTER_PORT = 12525, 12626, 12727
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
RUN_SECONDS_MAX = 240

# Messages: for Maily and the bare sink, for Postfix. Each run takes seconds either way.
CASES = {
    "10 KiB": dict(octets=10_240, messages=(16_000, 4_000)),
    "10 KiB, 1,000 domains": dict(octets=10_240, messages=(16_000, 4_000), domains=1_000),
    "1 KiB": dict(octets=1_024, messages=(24_000, 5_000)),
    "100 KiB": dict(octets=102_400, messages=(4_000, 2_000)),
    "10 KiB, DKIM RSA-2048": dict(octets=10_240, messages=(8_000, 2_000), dkim="rsa"),
    "10 KiB, DKIM Ed25519": dict(octets=10_240, messages=(16_000, 2_000), dkim="ed25519"),
    "10 KiB, new connection per message": dict(
        octets=10_240, messages=(8_000, 3_000), reconnect=True
    ),
    # A template that is written for each recipient (X-Maily-Vars), without and with a plugin that
    # makes the greeting.
    "10 KiB, template": dict(
        octets=10_240, messages=(12_000, 0), template=True, peers=["maily", "plugin"]
    ),
}


# === processes ===


def stat(pid):
    """Parent and CPU ticks of a process, those of its dead children with it."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(fields[1]), sum(int(field) for field in fields[11:15])


def tree(roots):
    """All living processes below these, and their CPU seconds."""
    stats = {int(name): stat(name) for name in os.listdir("/proc") if name.isdigit()}
    stats = {pid: found for pid, found in stats.items() if found}
    children = {}
    for pid, (parent, _) in stats.items():
        children.setdefault(parent, []).append(pid)
    found, todo = [], [root for root in roots if root in stats]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, []))
    return found, sum(stats[pid][1] for pid in found) / TICK


class Account:
    """CPU seconds of a role: of a control group where there is one (version 1 or 2), which is exact;
    else of the process tree, in whole ticks a process."""

    def __init__(self, role):
        self.folder = None
        for root in "/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/unified", "/sys/fs/cgroup":
            folder = pathlib.Path(root) / f"maily-bench-{role}"
            try:
                folder.mkdir(exist_ok=True)
            except OSError:
                continue
            if (folder / "cpuacct.usage").exists() or (folder / "cpu.stat").exists():
                self.folder = folder
                break

    def enter(self):
        if self.folder:
            (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self, roots):
        if not self.folder:
            return tree(roots)[1]
        usage = self.folder / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) / 1e9
        stat = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6


SERVER, SOURCE, SINK = Account("server"), Account("source"), Account("sink")


def resident(roots):
    octets = 0
    for pid in tree(roots)[0]:
        try:
            statm = pathlib.Path(f"/proc/{pid}/statm").read_text()
        except OSError:
            continue
        octets += int(statm.split()[1]) * PAGE
    return octets / 1e6


def machine():
    """Busy seconds of all processors, whoever used them."""
    ticks = [int(tick) for tick in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(ticks[:3]) + sum(ticks[5:7])) / TICK


def start(arguments, log, account=None, **more):
    with open(RUN / log, "ab") as file:
        more.setdefault("stdout", file)
        return subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
            preexec_fn=account.enter if account else None,
            **more,
        )


def stop(process):
    """Ends a process that we started, and what it started."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def await_greeting(port):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as peer:
                peer.settimeout(5)
                if peer.recv(200).startswith(b"220"):
                    peer.sendall(b"QUIT\r\n")
                    return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"nothing greets at port {port}: see {RUN}")


def await_free(port):
    """Waits until nobody listens: a server's children may outlive it by a moment."""
    end = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                return probe.bind(("127.0.0.1", port))
            except OSError:
                if time.monotonic() > end:
                    raise
        time.sleep(0.1)


# === peers ===


def key(kind):
    path = RUN / f"{kind}.pem"
    if not path.exists():
        how = {"rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ed25519": ["ED25519"]}[kind]
        arguments = ["openssl", "genpkey", "-algorithm", *how, "-out", path]
        subprocess.run(arguments, check=True, stderr=subprocess.DEVNULL)
        shutil.chown(path, "nobody")
    return path


class Nothing:
    """The source straight into the sink: what the pair can do."""

    port = SINK_PORT
    roots = []

    def start(self, case):
        pass

    def stop(self):
        pass


class Maily:
    port = SERVER_PORT

    def __init__(self):
        self.dns = None

    def start(self, case):
        folder = RUN / "maily"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        config = f"""
[node]
hostname = "bench.example"
[spool]
folder = "{folder}/spool"
[events]
folder = "{folder}/events"
[[listener]]
address = "127.0.0.1:{SERVER_PORT}"
[smtp]
relay_networks = ["127.0.0.0/8"]
transactions_max = 1000000
[limits]
connections_initial = 20
connections_max = 20
[log]
filter = "warn"
"""
        egress = f'[egress]\ntls = "off"\nport = {SINK_PORT}\nallow_networks = ["127.0.0.0/8"]\n'
        if case.get("domains"):
            arguments = [BUILT / "relay-dns", "--domains", case["domains"]]
            self.dns = start(arguments, "dns.log", stdout=subprocess.PIPE, text=True)
            config += egress + f'[dns]\nservers = ["{self.dns.stdout.readline().strip()}"]\n'
        else:
            config += egress + f'[[route]]\ndomain = "*"\nhost = "127.0.0.1"\nport = {SINK_PORT}\n'
        if case.get("dkim"):
            config += f'[[dkim]]\ndomain = "sender.example"\nselector = "s1"\nkey = "{key(case["dkim"])}"\n'
        config += self.more(folder)
        (folder / "maily.toml").write_text(config)
        self.process = start([BUILT / "maily", "serve", "--config", folder / "maily.toml"],
            "maily.log", SERVER)  # fmt: skip
        self.roots = [self.process.pid]

    def more(self, folder):
        return ""

    def stop(self):
        stop(self.process)
        stop(self.dns)
        self.dns = None


class WithPlugin(Maily):
    """Maily with the plugin that ships for greetings."""

    def more(self, folder):
        shutil.copytree(ROOT / "scripts" / "greeting", folder / "plugins" / "greeting")
        return f'[plugins]\nfolder = "{folder}/plugins"\nstate = "{folder}/plugin-state"\n'


class Postfix:
    """Debian's Postfix, tuned for throughput on few processors (TUNING_README, postconf(5))."""

    port = SERVER_PORT
    TUNED = """
default_process_limit = 100
in_flow_delay = 0
initial_destination_concurrency = 20
default_destination_concurrency_limit = 20
smtp_destination_concurrency_limit = 20
smtp_connection_cache_on_demand = yes
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_restrictions =
smtpd_helo_restrictions =
smtpd_sender_restrictions =
smtpd_recipient_restrictions =
smtpd_delay_reject = no
smtpd_data_restrictions =
receive_override_options = no_address_mappings,no_header_body_checks,no_unknown_recipient_checks
append_dot_mydomain = no
append_at_myorigin = no
local_header_rewrite_clients =
remote_header_rewrite_domain =
qmgr_message_active_limit = 50000
qmgr_message_recipient_limit = 50000
smtp_pix_workarounds =
smtp_send_xforward_command = no
mailbox_size_limit = 0
max_use = 100000
smtp_header_checks =
enable_original_recipient = no
"""

    def __init__(self):
        self.milter = None

    def start(self, case):
        folder = RUN / "postfix"
        shutil.rmtree(folder, ignore_errors=True)
        etc, data = folder / "etc", folder / "data"
        for each in etc, data, folder / "spool":
            each.mkdir(parents=True)
        shutil.chown(data, "postfix")
        main = f"""
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/maillog
maillog_file_prefixes = /var
myhostname = bench.example
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_bind_address =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = none
smtp_tls_security_level = none
smtp_dns_support_level = disabled
smtp_host_lookup = native
biff = no
{self.TUNED}"""
        if case.get("domains"):
            transport = [
                f"d{number:04}.test smtp:[127.1.{number // 250}.{number % 250 + 1}]:{SINK_PORT}\n"
                for number in range(1, case["domains"] + 1)
            ]
            (etc / "transport").write_text("".join(transport))
            main += f"transport_maps = texthash:{etc}/transport\n"
        else:
            main += f"relayhost = [127.0.0.1]:{SINK_PORT}\n"
        if case.get("dkim"):
            self.start_milter(folder, case["dkim"])
            main += f"smtpd_milters = inet:127.0.0.1:{MILTER_PORT}\nmilter_default_action = tempfail\n"
        (etc / "main.cf").write_text(main)
        master = pathlib.Path("/usr/share/postfix/master.cf.dist").read_text()
        master = re.sub(r"(?m)^smtp( +)inet ", f"127.0.0.1:{SERVER_PORT} inet ", master)
        # No chroot: it would need a copy of half of /etc.
        pattern = r"(?m)^([a-z0-9:.-]+ +(?:inet|unix|unix-dgram) +[-ny] +[-ny] +)[-y] "
        (etc / "master.cf").write_text(re.sub(pattern, r"\1n ", master))
        for name in "dynamicmaps.cf", "postfix-files", "dynamicmaps.cf.d", "postfix-files.d":
            source = pathlib.Path("/etc/postfix") / name
            if source.is_dir():
                shutil.copytree(source, etc / name)
            elif source.exists():
                shutil.copy(source, etc / name)
        self.process = start(["/usr/sbin/postfix", "-c", etc, "start-fg"], "postfix.log", SERVER)
        self.roots = [self.process.pid] + ([self.milter.pid] if self.milter else [])

    def start_milter(self, folder, kind):
        config = folder / "opendkim.conf"
        config.write_text(
            f"Mode s\nDomain sender.example\nSelector s1\nKeyFile {key(kind)}\n"
            f"Canonicalization relaxed/relaxed\nSignatureAlgorithm {kind}-sha256\n"
            f"Socket inet:{MILTER_PORT}@127.0.0.1\nSyslog no\nInternalHosts 127.0.0.0/8\n"
            "RequireSafeKeys no\nOversignHeaders From\nUserID nobody\n"
        )
        self.milter = start(["/usr/sbin/opendkim", "-f", "-x", config], "opendkim.log", SERVER)
        end = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", MILTER_PORT)) != 0:
            if time.monotonic() > end or self.milter.poll() is not None:
                sys.exit(f"opendkim did not start: see {RUN}/opendkim.log")
            time.sleep(0.05)

    def stop(self):
        subprocess.run(["/usr/sbin/postfix", "-c", RUN / "postfix/etc", "stop"], capture_output=True)
        stop(self.process)
        stop(self.milter)
        self.milter = None


PEERS = {"none": Nothing, "postfix": Postfix, "maily": Maily, "plugin": WithPlugin}


# === one run ===


def letter(octets):
    """A template of so many octets, in a file for smtp-source."""
    head = (
        "From: The Shop <sender@sender.example>\nTo: Ann Lee <user@d0001.test>\nSubject: Hello\n"
        'X-Maily-Vars: {"shop": "Ulm", "first_name": "ann"}\nMIME-Version: 1.0\nContent-Type: text/plain\n\n'
        "{{ greeting | default('Dear reader') }} of {{ shop }},\n"
    )
    line = "It is a long letter, and this line stands in it many times.\n"
    path = RUN / "letter"
    path.write_text(head + line * ((octets - len(head)) // len(line)))
    return path


def source_arguments(case, messages, port):
    if case.get("domains"):
        arguments = [BUILT / "relay-source", "--to", f"127.0.0.1:{port}", "--sessions", 20]
        return arguments + ["--messages", messages, "--octets", case["octets"], "--domains", case["domains"]]
    keep = [] if case.get("reconnect") else ["-d"]
    what = ["-F", letter(case["octets"])] if case.get("template") else ["-l", case["octets"]]
    return ["/usr/sbin/smtp-source", "-4", *keep, "-N", "-s", 20, "-m", messages, *what,
            "-f", "sender@sender.example", "-t", "user@d0001.test", "-M", "source.example",
            f"127.0.0.1:{port}"]  # fmt: skip


def measure(peer, case, messages):
    """One run; gives what was measured, or None if not all mail came through in time."""
    for port in SERVER_PORT, SINK_PORT, MILTER_PORT:
        await_free(port)
    sink = start(["/usr/sbin/smtp-sink", "-u", "nobody", "-m", 4_000, "-M", messages,
                  f"0.0.0.0:{SINK_PORT}", 4_096], "sink.log", SINK)  # fmt: skip
    source = None
    try:
        peer.start(case)
        await_greeting(peer.port)
        if peer.port != SINK_PORT:
            await_greeting(SINK_PORT)
        os.sync()
        time.sleep(0.5)
        before, busy = SERVER.seconds(peer.roots), machine()
        source_before = SOURCE.seconds([]) if SOURCE.folder else 0
        sink_before, began = SINK.seconds([sink.pid]), time.monotonic()
        source = start(source_arguments(case, messages, peer.port), "source.log", SOURCE)
        injected = delivered = None
        source_cpu = sink_cpu = peak = 0
        sampled = 0
        while time.monotonic() - began < RUN_SECONDS_MAX and not (injected and delivered):
            now = time.monotonic()
            # Ended children are looked at before they are reaped: their CPU would be gone.
            if now - sampled > 0.2:
                sampled, peak = now, max(peak, resident(peer.roots))
            if not injected and ended(source):
                injected = now - began
                source_cpu = SOURCE.seconds([source.pid]) - source_before
            if not delivered and ended(sink):
                delivered, sink_cpu = now - began, SINK.seconds([sink.pid]) - sink_before
            time.sleep(0.002)
        busy = machine() - busy
        # The sink hangs up after its last message, so a source that speaks to it ends unhappily.
        failed = source.wait() != 0 and peer.port != SINK_PORT if injected else True
        if failed or not delivered:
            print(f"  incomplete: see {RUN}", file=sys.stderr)
            return None
        if peer.port == SINK_PORT:
            injected = delivered
        used = quiet(peer.roots) - before
        seconds = max(injected, delivered)
        return dict(
            injected_per_s=messages / injected,
            delivered_per_s=messages / delivered,
            cpu_ms_per_message=used * 1e3 / messages,
            peak_mb=peak,
            source_cpu_ms=source_cpu * 1e3 / messages,
            sink_cpu_ms=sink_cpu * 1e3 / messages,
            others_cpu_percent=max(0, busy - used - source_cpu - sink_cpu) / seconds * 100,
        )
    finally:
        peer.stop()
        for process in source, sink:
            stop(process)


def ended(process):
    """Whether a child has ended; it stays to be looked at."""
    try:
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return True
    return fields[0] == "Z"


def quiet(roots):
    """CPU seconds once a server has finished what is left to do after the last message."""
    last, end = SERVER.seconds(roots), time.monotonic() + 15
    while roots and time.monotonic() < end:
        time.sleep(0.5)
        now = SERVER.seconds(roots)
        if now - last < 0.02:
            return now
        last = now
    return last


# === the whole ===


def show(case, name, result):
    print(
        f"{case:<36}{name:<9}"
        f"{result['injected_per_s']:>8,.0f} injected/s {result['delivered_per_s']:>8,.0f} delivered/s"
        f"{result['cpu_ms_per_message']:>8.3f} CPU-ms {result['peak_mb']:>7,.0f} MB"
        f"   source {result['source_cpu_ms']:.3f} sink {result['sink_cpu_ms']:.3f} CPU-ms,"
        f" others {result['others_cpu_percent']:.0f} %",
        flush=True,
    )


def on_disk():
    kind = subprocess.run(["stat", "-f", "-c", "%T", RUN], capture_output=True, text=True).stdout
    if kind.strip() in ("tmpfs", "ramfs", "overlayfs"):
        sys.exit(f"{RUN} is on {kind.strip()}, where a sync costs nothing: set BENCH_FOLDER")


def record(results, note):
    """Replaces what was measured now in RESULTS.json, and adds lines to HISTORY.md."""
    path = HERE.parent / "RESULTS.json"
    kept = json.loads(path.read_text()) if path.exists() else []
    new = {(result["case"], result["peer"]) for result in results}
    kept = [result for result in kept if (result["case"], result["peer"]) not in new] + results
    order = list(CASES)
    kept.sort(key=lambda result: (order.index(result["case"]), list(PEERS).index(result["peer"])))
    lines = ",\n".join("  " + json.dumps(result) for result in kept)
    path.write_text(f"[\n{lines}\n]\n")
    with open(HERE.parent / "HISTORY.md", "a") as history:
        for result in results:
            if result["peer"] != "maily":
                continue
            other = [
                r for r in results if (r["case"], r["peer"]) == (result["case"], "postfix")
            ]
            ratio = f"{result['delivered_per_s'] / other[0]['delivered_per_s']:.1f}" if other else "-"
            history.write(
                f"| {datetime.date.today()} | {note} | {result['case']} |"
                f" {result['delivered_per_s']:,.0f} | {result['cpu_ms_per_message']:.3f} |"
                f" {result['peak_mb']:,.0f} | {ratio} |\n"
            )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1, help="messages, times this")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--peer", action="append", choices=PEERS)
    parser.add_argument("--note", default="", help="what changed, for HISTORY.md")
    parser.add_argument("--no-record", action="store_true")
    arguments = parser.parse_args()
    RUN.mkdir(parents=True, exist_ok=True)
    RUN.chmod(0o755)
    on_disk()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for name in arguments.case or CASES:
        results = run_case(name, arguments)
        # At once: what was measured outlives an interrupted run.
        if not arguments.no_record:
            record(results, arguments.note)


def run_case(name, arguments):
    """All rounds of a case, the peers in turn in each; gives the medians."""
    case = CASES[name]
    peers = [
        peer
        for peer in arguments.peer or PEERS
        if peer in case.get("peers", ["none", "postfix", "maily"])
        and (peer != "none" or not case.get("dkim"))
    ]
    runs = {peer: [] for peer in peers}
    for _ in range(arguments.rounds):
        for peer in peers:
            messages = case["messages"][1 if peer == "postfix" else 0]
            messages = max(100, int(messages * arguments.scale))
            run = measure(PEERS[peer](), case, messages)
            if run:
                runs[peer].append(run)
                show(name, peer, run)
    results = []
    for peer, measured in runs.items():
        if not measured:
            continue
        median = {key: statistics.median(run[key] for run in measured) for key in measured[0]}
        median = {key: round(value, 3) for key, value in median.items()}
        show(name, f"{peer} *", median)
        results.append(dict(case=name, peer=peer, **median, rounds=len(measured)))
    return results


main()

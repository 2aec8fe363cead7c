#!/usr/bin/env python3
"""Peers that stall, drip, never end or say nothing, beside good ones: what they cost the relaying server in memory, time and
connections, and whether mail for others keeps its speed.

    tools/relay_hostile.py [--bin .build/release] [--messages 3000] [--hostile 1000] [--patience SECONDS] [--only KIND,…]

For each kind of bad peer: mail for ten good destinations alone, then many messages for the bad one, then the good mail again. `--patience 660` also waits out the longest timeouts (RFC 5321 §4.5.3.2) and wants every connection to the bad
peer given up by then.
"""
import argparse, shutil, signal, sys, tempfile, threading, time
from relay_lab import Server, Sink, free_port, load

GOOD = 10
# Rules of the bad destination's sink.
KINDS = {
    "refused": None,
    "stopped": "",
    "black hole": "connect hang",
    "silent after EHLO": "ehlo hang",
    "silent after the dot": "dot hang",
    "does not read": "body stall",
    "one byte at a time": "connect drip 0.5",
    "one byte at a time, later": "dot drip 0.5",
    "endless greeting": "connect endless",
    "endless EHLO": "ehlo endless",
    "endless reply": "dot endless",
    "no text": "connect bare; ehlo bare; mail bare; rcpt bare; data bare; dot bare; quit bare",
    "drops at once": "connect drop",
    "drops after the dot": "dot drop",
    "always 421": "connect 421 4.3.2 no",
    "2 s an answer": "connect delay 2; ehlo delay 2; mail delay 2; rcpt delay 2; data delay 2; dot delay 2",
}
# Kinds that are slow or odd and yet take mail.
TAKES_MAIL = {"no text", "2 s an answer", "one byte at a time, later"}


class Watch:
    """The server's memory, sampled."""

    def __init__(self, server):
        self.server, self.peak, self.running = server, 0, True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while self.running:
            self.peak = max(self.peak, self.server.pss_kb())
            time.sleep(0.2)

    def stop(self):
        self.running = False
        self.thread.join()
        return self.peak


def relay_good(o, server, sink, limit=120):
    """Messages a second, from the first MAIL to the last at the sink."""
    before = sink.totals()["messages"]
    begun = time.monotonic()
    load(o.bin, server.port, "--messages", str(o.messages), "--concurrency", "20", "--size", "4k", "--to-template",
         "u@good%d.test", "--users", str(GOOD), "--json")
    if sink.wait(lambda t: t["messages"] - before >= o.messages, limit) is None:
        return 0.0
    return o.messages / (time.monotonic() - begun)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--messages", type=int, default=3000)
    p.add_argument("--hostile", type=int, default=1000)
    p.add_argument("--patience", type=float, default=0)
    p.add_argument("--only", default="")
    p.add_argument("--keep", action="store_true")
    o = p.parse_args()
    folder = tempfile.mkdtemp(prefix="martlet-relay-hostile-")
    kinds = [k for k in KINDS if not o.only or k in o.only.split(",")]
    good = Sink(o.bin)
    bad_port = free_port()
    routes = [{"domain": f"bad{i}.test", "to": "127.0.0.1", "port": bad_port, "protocol": "smtp", "tls": "none"}
              for i in range(len(kinds))]
    routes.append({"domain": "*", "to": "127.0.0.1", "port": good.port, "protocol": "smtp", "tls": "none"})
    server = Server(folder, o.bin, routes, retries=("5m", "1h"))
    server.start()
    relay_good(o, server, good)
    watch = Watch(server)
    for _ in range(3):
        relay_good(o, server, good)
    base_pss = watch.stop()
    print(f"good destinations alone: {base_pss / 1024:.0f} MiB at most")
    failed = []
    for i, kind in enumerate(kinds):
        failed += attack(o, server, good, bad_port, f"bad{i}.test", kind, base_pss)
    cpu = server.cpu_seconds()
    time.sleep(5)
    idle = (server.cpu_seconds() - cpu) / 5
    print(f"at rest afterwards: {idle * 100:.1f} % of a core")
    if idle > 0.05:
        failed.append("busy at rest")
    server.stop()
    good.stop()
    print("FAILED: " + ", ".join(failed) + f"; kept in {folder}" if failed else "all kinds bounded")
    if not failed and not o.keep:
        shutil.rmtree(folder)
    return 1 if failed else 0


def attack(o, server, good, port, domain, kind, base_pss):
    script = KINDS[kind]
    bad = None if script is None else Sink(o.bin, port=port, script=script)
    if kind == "stopped":
        bad.process.send_signal(signal.SIGSTOP)
    # A busy machine is not the bad peer's fault: both figures from the same seconds.
    base = max(relay_good(o, server, good) for _ in range(2))
    watch = Watch(server)
    load(o.bin, server.port, "--messages", str(o.hostile), "--concurrency", "20", "--size", "4k", "--to", f"u@{domain}",
         "--json")
    rates = [relay_good(o, server, good) for _ in range(2)]
    held = taken = 0
    given_up = ""
    if kind == "stopped":
        time.sleep(min(o.patience, 60))
        bad.process.send_signal(signal.SIGCONT)
        time.sleep(1)
    if bad:
        if kind in TAKES_MAIL:
            bad.wait(lambda t: domain in t["domains"], 30)
        held, taken = bad.totals()["open_max"], bad.totals()["domains"].get(domain, 0)
        if o.patience and kind not in TAKES_MAIL and kind != "stopped":
            # New attempts may begin meanwhile; none may be as old as the patience.
            connections = bad.totals()["connections"]
            bad.wait(lambda t: t["connections"] - t["open"] >= connections, o.patience)
            rest = bad.totals()
            given_up = f", {rest['connections'] - rest['open']} of {rest['connections']} connections given up"
            if rest["connections"] - rest["open"] < connections:
                given_up += " (TOO FEW)"
        bad.stop()
    peak = watch.stop()
    rate = max(rates)
    wrong = []
    if rate < base * 0.6:
        wrong.append("slowed the others")
    if peak > base_pss + 64 * 1024:
        wrong.append("memory")
    if held > 100:
        wrong.append("connections")
    if kind in TAKES_MAIL and taken == 0:
        wrong.append("took nothing")
    if taken > o.hostile:
        wrong.append("copies")
    if "TOO FEW" in given_up:
        wrong.append("not given up")
    print(f"{kind}: others {rate:.0f}/s ({rate / base:.2f}), {peak / 1024:.0f} MiB at most, {held} connections at once, "
          f"{taken} taken{given_up}{' *** ' + ', '.join(wrong) if wrong else ''}", flush=True)
    server.cli("queue", "delete", "--to-domain", domain, "--yes", check=False)
    return [f"{kind}: {w}" for w in wrong]


sys.exit(main())

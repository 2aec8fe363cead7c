#!/usr/bin/env python3
"""A queue of a million rows: what it costs at start, in `queue summary` and in the rate of what comes in beside it.

    tools/relay_queue.py [--bin .build/release] [--rows 1000000] [--messages 6000]

The rows are for a thousand destinations that refuse connections. The rate is of mail accepted and relayed to others.
"""
import argparse, os, shutil, statistics, sys, tempfile, time
from relay_lab import Server, Sink, free_port, load


def rate(o, server, sink):
    """Accepted messages a second, and relayed end to end."""
    before = sink.totals()["messages"]
    begun = time.monotonic()
    load(o.bin, server.port, "--messages", str(o.messages), "--concurrency", "50", "--size", "4k", "--to-template",
         "u@good%d.test", "--users", "10", "--json")
    accepted = time.monotonic() - begun
    if sink.wait(lambda t: t["messages"] - before >= o.messages, 300) is None:
        return 0, 0
    return o.messages / accepted, o.messages / (time.monotonic() - begun)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--messages", type=int, default=6000)
    p.add_argument("--keep", action="store_true")
    o = p.parse_args()
    folder = tempfile.mkdtemp(prefix="martlet-relay-queue-")
    sink = Sink(o.bin)
    routes = [{"domain": f"good{i}.test", "to": "127.0.0.1", "port": sink.port, "protocol": "smtp", "tls": "none"}
              for i in range(10)]
    routes.append({"domain": "*", "to": "127.0.0.1", "port": free_port(), "protocol": "smtp", "tls": "none"})
    server = Server(folder, o.bin, routes, retries=("12h",))
    empty_start = server.start()
    rate(o, server, sink)
    empty = [rate(o, server, sink) for _ in range(3)]
    begun = time.monotonic()
    load(o.bin, server.port, "--messages", str(o.rows // 100), "--recipients", "100", "--concurrency", "20", "--size",
         "1k", "--to-template", "u@queued%d.test", "--users", "1000", "--json")
    print(f"{o.rows} rows accepted in {time.monotonic() - begun:.0f} s")
    time.sleep(5)
    server.stop()
    full_start = server.start(120)
    begun = time.monotonic()
    queued = server.queued()
    summary = time.monotonic() - begun
    time.sleep(2)
    full = [rate(o, server, sink) for _ in range(3)]
    pss = server.pss_kb() / 1024
    size = sum(os.path.getsize(os.path.join(f, n)) for f, _, names in os.walk(folder) for n in names) / 1e6
    server.stop()
    sink.stop()
    print(f"start: {empty_start:.2f} s with an empty queue, {full_start:.2f} s with {queued} rows ({size:.0f} MB on disk)")
    print(f"queue summary: {summary:.2f} s; {pss:.0f} MiB")
    for what, i in (("accepted", 0), ("relayed", 1)):
        a, b = (statistics.median(r[i] for r in runs) for runs in (empty, full))
        print(f"{what}: {a:.0f}/s with an empty queue, {b:.0f}/s with the full one ({b / a if a else 0:.2f})")
    good = full_start < 5 and queued >= o.rows * 0.99 and statistics.median(r[0] for r in full) > 0.8 * statistics.median(
        r[0] for r in empty)
    if good and not o.keep:
        shutil.rmtree(folder)
    print("ok" if good else f"FAILED, kept in {folder}")
    return 0 if good else 1


sys.exit(main())

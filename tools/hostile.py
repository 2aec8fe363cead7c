#!/usr/bin/env python3
"""Good clients beside 2,000 slow and 5,000 idle ones: one byte each 10 s in every state of a session.

    tools/hostile.py [--bin .build/release] [--slow 2000] [--idle 5000] [--seconds 30]

Prints the good clients' latency alone, then beside the others, and the server's memory.
"""
import argparse, json, os, shutil, socket, subprocess, sys, tempfile, time

STATES = ["greeting", "command", "data", "bdat", "tls"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(l.split()[1]) for l in f if l.startswith("Pss:"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--slow", type=int, default=2000)
    p.add_argument("--idle", type=int, default=5000)
    p.add_argument("--seconds", type=int, default=30)
    p.add_argument("--rate", type=int, default=200)
    o = p.parse_args()
    folder, port = tempfile.mkdtemp(prefix="martlet-hostile-"), free_port()
    config = os.path.join(folder, "config.json")
    with open(config, "w") as f:
        json.dump({"server": {"hostname": "mx.hostile.test"},
                   "smtp": {"listeners": [{"address": f"127.0.0.1:{port}", "kind": "mx", "tls": "starttls"}],
                            "max_connections": 12000, "max_connections_per_ip": 12000},
                   "store": {"path": os.path.join(folder, "data")},
                   "metrics": {"listen": f"127.0.0.1:{free_port()}"}, "auth": {"enabled": False}}, f)
    martlet, bench = f"{o.bin}/martlet", f"{o.bin}/martlet-bench"
    subprocess.run([martlet, "domain", "add", "hostile.test", "--config", config], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([martlet, "account", "add", "u0@hostile.test", "--password-stdin", "--config", config], check=True,
                   input=b"hostile-password\n", stdout=subprocess.DEVNULL)
    log = open(os.path.join(folder, "log"), "wb")
    server = subprocess.Popen([martlet, "serve", "--config", config], stderr=log)
    others = []
    try:
        deadline = time.monotonic() + 20
        while b" ready " not in open(log.name, "rb").read():
            assert server.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)

        def good():
            r = subprocess.run([bench, "load", f"127.0.0.1:{port}", "--rate", str(o.rate), "--duration", str(o.seconds),
                                "--to", "u0@hostile.test", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            return json.loads(r.stdout), r.returncode

        base = pss_kib(server.pid)
        alone, status = good()
        print("alone   ", summary(alone), f"PSS {base // 1024} MiB", flush=True)
        hold = str(o.seconds + 60)
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        others.append(subprocess.Popen([bench, "load", f"127.0.0.1:{port}", "--idle", str(o.idle), "--sources", "20",
                                        "--duration", hold], **quiet))
        for state in STATES:
            tls = ["--tls", "starttls"] if state == "tls" else []
            others.append(subprocess.Popen(
                [bench, "load", f"127.0.0.1:{port}", "--slow", "10", "--drip-state", state, "--concurrency",
                 str(o.slow // len(STATES)), "--sources", "20", "--duration", hold, "--to", "u0@hostile.test", *tls], **quiet))
        # All of them must be there before the good ones are measured.
        deadline = time.monotonic() + 40
        while sessions(martlet, config) < (o.idle + o.slow) * 0.98:
            assert time.monotonic() < deadline, f"only {sessions(martlet, config)} of the hostile clients are connected"
            time.sleep(0.5)
        connected = sessions(martlet, config)
        beside, status2 = good()
        pss = pss_kib(server.pid)
        print("beside  ", summary(beside), f"PSS {pss // 1024} MiB, {connected} hostile sessions", flush=True)
        lost = status or status2
        print("no good client failed" if not lost else "FAILED: good clients lost messages")
        return lost
    finally:
        for c in others:
            c.terminate()
        server.terminate()
        server.wait(40)
        shutil.rmtree(folder, ignore_errors=True)


def sessions(martlet, config):
    r = subprocess.run([martlet, "status", "--json", "--config", config], stdout=subprocess.PIPE)
    return json.loads(r.stdout)["smtp_sessions"]


def summary(report):
    dot = report["latency_ms"].get("dot_250", {})
    return (f"{report['acknowledged']} messages, {report['failed']} failed, dot to 250: "
            f"p50 {dot.get('p50')} ms, p99 {dot.get('p99')} ms, max {dot.get('max')} ms")


sys.exit(main())

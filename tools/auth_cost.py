#!/usr/bin/env python3
"""What the checks cost: the same messages with auth.enabled and without, and beside OpenDKIM and Rspamd.

    /usr/bin/python3 tools/auth_cost.py [--bin .build/release] [--rounds 5] [--seconds 8] [--judges]

Each message is signed with RSA-2048 and comes from a domain whose SPF record includes three others and whose DMARC policy
is reject; the answers are known after a first run. Rounds alternate between the server with the checks and the one without;
medians are printed. With --judges OpenDKIM and Rspamd verify the same messages, and their CPU time is taken. Needs
martlet-bench beside martlet, and for --judges what tools/judges.py needs.
"""
import argparse, json, os, re, shutil, statistics, subprocess, sys, tempfile, time, types, urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakedns
from authlab import free_port

DOMAIN, SELECTOR = "cost.example", "rsa"
MESSAGES = 50


def zone(record):
    names = {
        DOMAIN: {"TXT": ["v=spf1 include:one.cost.example include:two.cost.example include:three.cost.example -all"]},
        "one.cost.example": {"TXT": ["v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 -all"]},
        "two.cost.example": {"TXT": ["v=spf1 ip4:203.0.113.0/24 ip6:2001:db8::/32 -all"]},
        "three.cost.example": {"TXT": ["v=spf1 ip4:127.0.0.0/8 -all"]},
        f"_dmarc.{DOMAIN}": {"TXT": ["v=DMARC1; p=reject; rua=mailto:d@cost.example"]},
        f"{SELECTOR}._domainkey.{DOMAIN}": {"TXT": [record]},
        "mail.cost.example": {"A": ["127.0.0.1"]}, "1.0.0.127.in-addr.arpa": {"PTR": ["mail.cost.example"]},
    }
    return names


def message(number, size):
    head = (f"From: Alice <alice@{DOMAIN}>\r\nTo: user@in.example\r\nSubject: cost {number}\r\n"
            f"Date: Mon, 23 Nov 2026 06:00:00 +0000\r\nMessage-ID: <{number}@{DOMAIN}>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=us-ascii\r\n\r\n")
    line = f"message {number}: the quick brown fox jumps over the lazy dog, and so on.\r\n"
    return (head + line * max(1, (size - len(head)) // len(line))).encode()


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tree(pid):
    """A process and its descendants."""
    out = [pid]
    for one in out:
        try:
            with open(f"/proc/{one}/task/{one}/children") as f:
                out += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return out


class Server:
    def __init__(self, o, folder, name, dns, enabled):
        self.o, self.port, self.metrics = o, free_port(), free_port()
        self.martlet = os.path.join(o.bin, "martlet")
        self.config = os.path.join(folder, f"{name}.json")
        with open(self.config, "w") as f:
            json.dump({"server": {"hostname": "mx.lab.example"},
                       "smtp": {"listeners": [{"address": f"127.0.0.1:{self.port}", "kind": "mx", "tls": "none"}],
                                "max_connections_per_ip": 10000},
                       "dns": {"forward": [dns], "trust_anchor_file": "/dev/null"}, "auth": {"enabled": enabled},
                       "store": {"path": os.path.join(folder, f"{name}-data")},
                       "metrics": {"listen": f"127.0.0.1:{self.metrics}"}}, f)
        for arguments, data in ((["domain", "add", "in.example"], b""),
                                (["account", "add", "user@in.example", "--password-stdin"], b"a password of the lab\n")):
            subprocess.run([self.martlet, *arguments, "--config", self.config], input=data, check=True,
                           stdout=subprocess.DEVNULL)
        self.log = open(os.path.join(folder, f"{name}.log"), "wb")
        self.process = subprocess.Popen([self.martlet, "serve", "--config", self.config], stderr=self.log, stdout=self.log)
        deadline = time.monotonic() + 60
        while b" ready " not in open(self.log.name, "rb").read():
            assert self.process.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)

    def load(self, files, seconds=None, messages=None, concurrency=None, each=0):
        """`each`: messages on a connection; 0 is no limit."""
        command = [os.path.join(self.o.bin, "martlet-bench"), "load", f"127.0.0.1:{self.port}", "--from", f"alice@{DOMAIN}",
                   "--to", "user@in.example", "--helo", "mail.cost.example", "--concurrency",
                   str(concurrency or self.o.concurrency), "--messages-per-connection", str(each), "--json"]
        command += ["--duration", str(seconds)] if seconds else ["--messages", str(messages)]
        for path in files:
            command += ["--message", path]
        before, was = cpu(self.process.pid), self.verdicts()
        r = subprocess.run(command, stdout=subprocess.PIPE)
        report = json.loads(r.stdout)
        report["cpu_us"] = (cpu(self.process.pid) - before) * 1e6 / max(1, report["acknowledged"])
        report["verdicts"] = {b: n - was.get(b, 0) for b, n in self.verdicts().items()}
        return report

    def read(self, pattern):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10).read().decode()
        return {m[1]: float(m[2]) for m in re.finditer(pattern, text, re.M)}

    def verdicts(self):
        """{bound: count} of the time from the final dot to the verdict."""
        return self.read(r'^martlet_auth_verdict_duration_seconds_bucket\{le="([^"]+)"\} (\S+)$')

    def results(self):
        return self.read(r"^martlet_auth_results_total\{([^}]*)\} (\S+)$")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def quantile(buckets, share):
    """Upper bound of the bucket that holds it, in microseconds."""
    total = buckets.get("+Inf", 0)
    for bound, count in sorted(((float(b), c) for b, c in buckets.items())):
        if total and count >= share * total:
            return bound * 1e6
    return float("nan")


def judge(o, key_pem, zone_data, paths):
    """CPU and elapsed milliseconds a message of OpenDKIM and Rspamd."""
    import judges
    folder = tempfile.mkdtemp(prefix="judges-cost-", dir="/tmp")
    judges.DOMAIN = DOMAIN
    lab = types.SimpleNamespace(options=o, folder=folder, children=[], zone=fakedns.Zone(zone_data), seed=key_pem,
                                keys={"rsa": key_pem, "ed25519": key_pem})
    lab.path = lambda name: os.path.join(folder, name)

    def spawn(*command, output=None):
        with open(output or lab.path("log"), "ab") as log:
            lab.children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    lab.spawn = spawn
    server = fakedns.Server(lab.zone)
    lab.dns_port, lab.dns = server.port, f"127.0.0.1@{server.port}"
    bodies = []
    for path in paths:
        with open(path, "rb") as f:
            bodies.append(f.read())
    try:
        judges.ALGORITHMS, judges.FORMS = [], []
        for name, make in (("OpenDKIM, DKIM only", judges.OpenDKIM), ("Rspamd, DKIM and ARC only", judges.Rspamd)):
            lab.children = []
            one = make(lab)
            pids = [p for child in lab.children for p in tree(child.pid)]
            for body in bodies[:20]:
                assert one.verify(body) == "pass", f"{name}: {one.verify(body)}"
            before, start = sum(map(cpu, pids)), time.monotonic()
            count = 0
            while time.monotonic() - start < o.seconds:
                one.verify(bodies[count % len(bodies)])
                count += 1
            elapsed, used = time.monotonic() - start, sum(map(cpu, pids)) - before
            print(f"{name:<44}{count:>9} messages, one after another {used * 1e6 / count:>9.0f} us CPU a message, "
                  f"{elapsed * 1e6 / count:.0f} us elapsed")
            for child in lab.children:
                child.terminate()
                child.wait(20)
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=8)
    p.add_argument("--concurrency", type=int, default=20)
    p.add_argument("--size", type=int, default=4096, help="octets of a message before it is signed")
    p.add_argument("--judges", action="store_true")
    o = p.parse_args()
    folder = tempfile.mkdtemp(prefix="martlet-cost-")
    martlet = os.path.join(o.bin, "martlet")

    def run(*arguments, data=b""):
        return subprocess.run([martlet, *arguments], input=data, check=True, stdout=subprocess.PIPE).stdout

    key = json.loads(run("dkim", "generate", "--type", "rsa", "--json", "--selector", SELECTOR, DOMAIN))
    pem = os.path.join(folder, "key.pem")
    with open(pem, "w") as f:
        f.write(key["private_key"])
    signed, plain = [], []
    for i in range(MESSAGES):
        body = message(i, o.size)
        for paths, data in ((plain, body),
                            (signed, run("dkim", "sign", "--domain", DOMAIN, "--selector", SELECTOR, "--key", pem, "-", data=body))):
            paths.append(os.path.join(folder, f"{i}-{len(data)}.eml"))
            with open(paths[-1], "wb") as f:
                f.write(data)
    zone_path = os.path.join(folder, "zone.json")
    with open(zone_path, "w") as f:
        json.dump(zone(key["record"]), f)
    name_server = subprocess.Popen([sys.executable, fakedns.__file__, "--zone", zone_path, "--port", "0"],
                                   stdout=subprocess.PIPE, text=True)
    dns = name_server.stdout.readline().strip()
    servers = {}
    try:
        servers = {"on": Server(o, folder, "on", dns, True), "off": Server(o, folder, "off", dns, False)}
        for server in servers.values():
            server.load(signed, messages=200)
        print(f"{MESSAGES} messages of about {o.size} octets, RSA-2048; {o.rounds} rounds of {o.seconds:g} s each, "
              f"{o.concurrency} connections, closed loop")
        print(f"{'':<44}{'messages/s':>12}{'CPU us':>9}{'dot to 250, ms: p50':>21}{'p99':>8}{'failed':>8}")
        everything = []
        for each, connections in ((0, o.concurrency), (1, o.concurrency), (0, 1)):
            rounds = {"on": [], "off": []}
            for i in range(o.rounds):
                for name in ("on", "off") if i % 2 == 0 else ("off", "on"):
                    rounds[name].append(
                        servers[name].load(signed, seconds=o.seconds, concurrency=connections, each=each))
            everything += rounds["on"]
            how = f"{connections} connections, {'one message each' if each else 'kept'}" if connections > 1 else "one connection"
            for name in ("off", "on"):
                some = rounds[name]
                print(f"{how + ', checks ' + name:<44}{median(some, lambda r: r['messages_per_second']):>12.0f}"
                      f"{median(some, lambda r: r['cpu_us']):>9.1f}"
                      f"{median(some, lambda r: r['latency_ms']['dot_250']['p50']):>21.3f}"
                      f"{median(some, lambda r: r['latency_ms']['dot_250']['p99']):>8.2f}{sum(r['failed'] for r in some):>8}"
                      f"   of each round: {' '.join(format(r['messages_per_second'], '.0f') for r in some)}", flush=True)
            on, off = (median(rounds[n], lambda r: r["messages_per_second"]) for n in ("on", "off"))
            extra = median(rounds["on"], lambda r: r["cpu_us"]) - median(rounds["off"], lambda r: r["cpu_us"])
            print(f"    with checks {on / off * 100:.1f} % of the messages/s without; {extra:.1f} us CPU more a message")
        total = {}
        for r in everything:
            for bound, count in r["verdicts"].items():
                total[bound] = total.get(bound, 0) + count
        print(f"final dot to verdict: {total.get('+Inf', 0):.0f} messages, half at most {quantile(total, 0.5):g} us, "
              f"99 % at most {quantile(total, 0.99):g} us, 99.9 % at most {quantile(total, 0.999):g} us")
        print("results: " + ", ".join(f"{k} {v:.0f}" for k, v in servers["on"].results().items() if v))
        for server in servers.values():
            server.stop()
        servers = {}
        if o.judges:
            judge(o, pem, zone(key["record"]), signed)
    finally:
        for server in servers.values():
            server.stop()
        name_server.terminate()
        name_server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def median(rounds, value):
    return statistics.median(value(r) for r in rounds)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Good clients beside 2,000 tarpitted sessions, 5,000 idle ones and a /24 that floods, all at once.

    tools/siege.py [--bin .build/release] [--tarpit 2000] [--idle 5000] [--flood 1000] [--seconds 30]

Prints the good clients' time from the final dot to its 250, alone and beside the others, the server's memory, sessions
held and refusals by control. The others are processes of their own with the lowest priority, because they stand for
machines elsewhere. Exits with 1 when the 99th percentile beside them is more than twice that alone
(before and after), or good mail failed. Wants a machine that does nothing else.

The flood is paced: from ten thousand connections a second on, two cores that are client, server and disk at once have the
disk's own fdatasync wait (TMPDIR=/dev/shm shows the server without it).
"""
import argparse, json, os, random, re, resource, selectors, socket, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


# -- the others --------------------------------------------------------------------------------------------------------

class Session:
    """One hostile connection: `kind` says what it does with what it is told."""

    def __init__(self, attack, source):
        self.attack, self.source = attack, source
        self.socket, self.buffer, self.step, self.asked, self.due = None, b"", 0, 0.0, None
        self.established = False

    def open(self):
        s = socket.socket()
        s.setblocking(False)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The port is chosen when connecting: thousands of sockets may share one address's ports.
        s.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        try:
            s.bind((self.source, 0))
            s.connect_ex(("127.0.0.1", self.attack.port))
            self.attack.selector.register(s, selectors.EVENT_READ, self)
        except OSError:
            s.close()
            self.attack.stats["errors"] += 1
            return False
        self.socket, self.buffer, self.step = s, b"", 0
        return True

    def close(self):
        if self.socket is not None:
            self.attack.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None
            if self.established:
                self.attack.stats["open"] -= 1
                self.established = False

    def readable(self, now):
        try:
            data = self.socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.buffer += data
        while (end := self.buffer.find(b"\n")) >= 0:
            line, self.buffer = self.buffer[:end], self.buffer[end + 1:]
            if line[3:4] != b"-":
                self.told(line[:3], now)
            if self.socket is None:
                return
        if not data:
            self.attack.stats["closed"] += 1
            self.ended(now)

    def told(self, code, now):
        stats = self.attack.stats
        if self.step == 0:
            if code != b"220":
                stats["refused"] += 1
                return self.ended(now)
            stats["taken"] += 1
            stats["open"] += 1
            self.established = True
            if self.attack.kind == "idle":
                return
            if self.attack.kind == "flood":
                # Such clients do not go by themselves.
                self.due = now + 2
                return self.attack.later(self, 2)
        if self.attack.kind != "hammer":
            return
        if code == b"421":
            stats["refused"] += 1
            return self.ended(now)
        if self.step >= 3:
            stats["replies"] += 1
            if now - self.asked > 0.9:
                stats["slowed"] += 1
        self.step += 1
        commands = {1: b"EHLO a.hammer.example", 2: b"MAIL FROM:<a@hammer.example>"}
        line = commands.get(self.step, b"RCPT TO:<nobody-%d@siege.test>" % random.randrange(10_000))
        self.asked = now
        try:
            self.socket.send(line + b"\r\n")
        except OSError:
            self.ended(now)

    def ended(self, now):
        self.close()
        self.attack.gone(self, now)


class Attack:
    """All sessions of one kind on one selector. `rate`: new connections a second at most."""

    def __init__(self, kind, port, count, rate):
        self.kind, self.port, self.count, self.rate = kind, port, count, rate
        self.selector = selectors.EpollSelector()
        self.stats = dict.fromkeys(("open", "taken", "refused", "closed", "replies", "slowed", "errors", "attempts"), 0)
        self.waiting, self.timers = [], []
        sources = {"idle": lambda i: f"127.20.{i % 100}.{1 + i // 100 % 250}",
                   "hammer": lambda i: f"127.40.{i % 200}.{1 + i // 200 % 250}",
                   "flood": lambda i: f"127.30.0.{1 + i % 254}"}
        self.source = sources[kind]
        if kind != "flood":
            self.waiting = [Session(self, self.source(i)) for i in range(count)]
        self.made = 0

    def later(self, session, seconds):
        self.timers.append((time.monotonic() + seconds, session))

    def gone(self, session, now):
        if self.kind != "flood":
            self.waiting.append(session)

    def run(self, report):
        allowed, last, told = 0.0, time.monotonic(), 0.0
        while True:
            for key, _ in self.selector.select(0.02):
                if key.data.socket is not None:
                    key.data.readable(time.monotonic())
            now = time.monotonic()
            allowed = min(allowed + (now - last) * self.rate, self.rate / 5)
            last = now
            while allowed >= 1 and (self.waiting or self.kind == "flood"):
                allowed -= 1
                session = self.waiting.pop(0) if self.waiting else Session(self, self.source(self.made))
                self.made += 1
                self.stats["attempts"] += 1
                if not session.open():
                    self.gone(session, now)
            while self.timers and self.timers[0][0] <= now:
                session = self.timers.pop(0)[1]
                session.close()
            if now - told > 0.5:
                told = now
                with open(report + ".new", "w") as f:
                    json.dump(self.stats, f)
                os.replace(report + ".new", report)


# -- the measurement ---------------------------------------------------------------------------------------------------

class Others:
    """The three attacks as processes, and what they say of themselves."""

    def __init__(self, o, server):
        self.folder, self.children = server.folder, {}
        for kind, count, rate in (("idle", o.idle, 400), ("hammer", o.tarpit, 200), ("flood", 0, o.flood)):
            if count or (kind == "flood" and rate):
                self.children[kind] = subprocess.Popen(
                    [sys.executable, os.path.abspath(__file__), "--attack", kind, "--port",
                     str(server.port), "--count", str(count), "--flood", str(rate), "--report", self.path(kind)])

    def path(self, kind):
        return os.path.join(self.folder, f"attack-{kind}")

    def stats(self, kind):
        try:
            with open(self.path(kind)) as f:
                return json.load(f)
        except (OSError, ValueError):
            return {}

    def open(self, kind):
        return self.stats(kind).get("open", 0)

    def stop(self):
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            child.wait(20)


def setting(text):
    key, value = text.split("=", 1)
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def memory(pid):
    """(resident, proportional) MiB."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        words = dict(re.findall(r"^(\w+):\s+(\d+) kB", f.read(), re.M))
    return int(words["Rss"]) // 1024, int(words["Pss"]) // 1024


def threads(pid):
    """CPU seconds of each thread by its name."""
    out = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/stat") as f:
                name, rest = re.match(r"\d+ \((.*)\) (.*)", f.read(), re.S).groups()
        except OSError:
            continue
        words = rest.split()
        out[name] = out.get(name, 0) + (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return out


def cpu(before, after, seconds):
    each = {name: (after[name] - before.get(name, 0)) / seconds for name in after}
    busy = sorted(((v, n) for n, v in each.items() if v > 0.005), reverse=True)
    return f"{sum(each.values()):.2f} cores: " + ", ".join(f"{n} {v:.2f}" for v, n in busy[:6])


def busy():
    """Seconds that all cores together worked, whoever for."""
    with open("/proc/stat") as f:
        words = [int(w) for w in f.readline().split()[1:9]]
    return (sum(words) - words[3] - words[4]) / os.sysconf("SC_CLK_TCK")


def dropped():
    """Packets that the kernel's queue had no room for; on loopback both ends share it, and the sender waits for its timer."""
    with open("/proc/net/softnet_stat") as f:
        return sum(int(line.split()[1], 16) for line in f)


def quantile(before, after, name, share):
    """Upper bound, in ms, of what that share of a histogram's values stayed below."""
    counts = sorted((float(m[1].replace("+Inf", "inf")), after[s] - before.get(s, 0)) for s in after
                    if (m := re.match(name + r'_bucket\{.*le="([^"]+)"', s)))
    whole = counts[-1][1] if counts else 0
    return next((edge * 1e3 for edge, n in counts if whole and n >= share * whole), 0)


def inside(before, after):
    """The server's own view of the time from the last byte to the 250, and of its commits."""
    names = {"accept": "martlet_message_accept_duration_seconds", "commit": "martlet_commit_duration_seconds"}
    return ", ".join(f"{what} p99 {quantile(before, after, name, 0.99):g} ms" for what, name in names.items())


def good(o, server, seconds):
    """The good clients' report: a steady rate from a few addresses that were known good before."""
    begun, work = time.monotonic(), busy()
    r = subprocess.run([os.path.join(o.bench or o.bin, "martlet-bench"), "load", f"127.0.0.1:{server.port}", "--rate",
                        str(o.rate), "--duration", str(seconds), "--to", "user@siege.test", "--sources", str(o.sources),
                        "--messages-per-connection", "10", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        return dict(json.loads(r.stdout), busy=(busy() - work) / (time.monotonic() - begun))
    except ValueError:
        raise SystemExit("martlet-bench: " + r.stderr.decode()[-500:])


def summary(report):
    dot = report["latency_ms"].get("dot_250", {})
    return (f"{report['acknowledged']} messages, {report['failed']} failed, dot to 250: p50 {dot.get('p50')} ms, "
            f"p99 {dot.get('p99')} ms, max {dot.get('max')} ms; {report['busy']:.2f} of {os.cpu_count()} cores busy")


def p99(report):
    return report["latency_ms"].get("dot_250", {}).get("p99") or 0


def changed(before, after, pattern):
    out = {s: v - before.get(s, 0) for s, v in after.items() if re.match(pattern, s) and v != before.get(s, 0)}
    return ", ".join(f"{s.removeprefix('martlet_')} {v:g}" for s, v in sorted(out.items())) or "none"


def siege(o):
    from defense_lab import Server
    settings = {"smtp.max_connections": 12_000, "smtp.max_connections_per_ip": 100, "smtp.max_connections_per_network": 200,
                "smtp.rate_limit.connections_per_minute": 600, **dict(setting(s) for s in o.set)}
    server = Server(o.bin, settings=settings, domains=("siege.test",), keep=o.keep)
    with server as s:
        s.cli("domain", "set", "siege.test", "tarpit=true", "tarpit_max_delay=8")
        good(o, s, 5)
        time.sleep(1)
        begun = s.metrics()
        print(f"start    RSS {memory(s.process.pid)[0]} MiB")
        quiet = good(o, s, o.seconds)
        between = s.metrics()
        print(f"quiet    {summary(quiet)}; server: {inside(begun, between)}; RSS {memory(s.process.pid)[0]} MiB", flush=True)
        others = Others(o, s)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and (others.open("idle") < o.idle * 0.98
                                                   or others.open("hammer") < o.tarpit * 0.9):
                time.sleep(0.5)
            # Failures must have added up to the longest delay.
            time.sleep(o.settle)
            print("others   " + "; ".join(f"{k}: {others.stats(k)}" for k in others.children), flush=True)
            at = {k: others.stats(k) for k in others.children}
            middle, used, lost, from_then = s.metrics(), threads(s.process.pid), dropped(), time.monotonic()
            beside = good(o, s, o.seconds)
            lost = dropped() - lost
            work = cpu(used, threads(s.process.pid), time.monotonic() - from_then)
            after = s.metrics()
            rss, pss = memory(s.process.pid)
            print(f"siege    {summary(beside)}; RSS {rss} MiB, PSS {pss} MiB", flush=True)
            for kind in others.children:
                now = others.stats(kind)
                each = {k: now[k] - at[kind].get(k, 0) for k in now if k != "open"}
                print(f"{kind:<8} {now.get('open')} open; a second: " + ", ".join(
                    f"{k} {v / o.seconds:.0f}" for k, v in each.items() if v))
            print(f"server   {work}; {inside(middle, after)}; reactor turn p99 {quantile(middle, after, 'martlet_reactor_turn_seconds', 0.99):g} ms, "
                  f"lag p99 {quantile(middle, after, 'martlet_reactor_lag_seconds', 0.99):g} ms; "
                  f"kernel dropped {lost} packets; log {os.path.getsize(s.log) >> 20} MiB")
            held = {k: v for k, v in after.items() if re.search(r"held", k) and "bucket" not in k}
            print("held     " + (", ".join(f"{k} {v:g}" for k, v in held.items()) or "no such gauge"))
            print("refused  " + changed(between, after, r"martlet_defense_events_total|martlet_limit"))
            print("accepted " + changed(between, after, r"martlet_smtp_connections_total"))
            print("pressure " + (", ".join(f"{k} {v:g}" for k, v in after.items() if "pressure" in k and v) or "none"))
            if o.show:
                print(s.run("top", "--once").stdout.decode(errors="replace"))
        finally:
            others.stop()
        deadline = time.monotonic() + 40
        sessions = lambda: sum(v for k, v in s.metrics().items() if k.startswith("martlet_smtp_sessions"))
        while sessions() and time.monotonic() < deadline:
            time.sleep(0.5)
        again = good(o, s, o.seconds)
        print(f"after    {summary(again)}; RSS {memory(s.process.pid)[0]} MiB")
        # Before and after, since whatever else the machine does comes and goes.
        alone = (p99(quiet) + p99(again)) / 2
        ratio = p99(beside) / alone if alone else 0
        lost = quiet["failed"] + beside["failed"] + again["failed"]
        met = ratio <= 2 and not lost and beside["acknowledged"] >= 0.98 * quiet["acknowledged"]
        print(f"{'ok' if met else 'NOT MET'}: p99 {p99(quiet)} and {p99(again)} ms alone, {p99(beside)} ms in the siege, "
              f"ratio {ratio:.2f}; {lost} good messages failed")
        return 0 if met else 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--bench", help="where martlet-bench is, when not beside martlet")
    p.add_argument("--tarpit", type=int, default=2000)
    p.add_argument("--idle", type=int, default=5000)
    p.add_argument("--flood", type=int, default=1000, help="connections a second from the /24")
    p.add_argument("--seconds", type=int, default=30)
    p.add_argument("--settle", type=int, default=15)
    p.add_argument("--rate", type=int, default=200, help="messages a second of the good clients")
    p.add_argument("--sources", type=int, default=40, help="addresses of the good clients")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="more of the configuration")
    p.add_argument("--show", action="store_true", help="print `martlet top` in the siege")
    p.add_argument("--keep", action="store_true")
    for hidden in ("--attack", "--port", "--count", "--report"):
        p.add_argument(hidden, help=argparse.SUPPRESS)
    o = p.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if o.attack:
        # Gives way to the server and to those who measure at once, as machines elsewhere would.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        return Attack(o.attack, int(o.port), int(o.count), o.flood).run(o.report)
    return siege(o)


if __name__ == "__main__":
    sys.exit(main())

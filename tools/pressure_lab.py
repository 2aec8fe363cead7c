#!/usr/bin/env python3
"""The server short of something: descriptors, disk space, quick commits, memory, DNS. Real server, clients, own ledger.

    tools/pressure_lab.py [--bin .build/release] [--only descriptors,disk,commits,memory,dns] [--keep]

Each scenario takes one resource away while a good client goes on sending and strangers come. The metric, the log and
`martlet explain` must name the resource, the good client must be served, strangers must be told why not, every message
that was acknowledged must be found, and full service must be back within 5 s after the cause is gone. Prints a line for
each expectation; exits with 1 when one is not met. The disk scenario needs root (it mounts a tmpfs), the commits need cc.
"""
import argparse, json, os, re, resource, shutil, signal, socket, subprocess, sys, tempfile, threading, time, urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakedns

ID = re.compile(r"\(([0-9A-HJKMNP-TV-Z]{13})\)")
BACK_SECONDS = 5.0
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>
// While the file named by SLOW_SYNC is there, a sync takes as many milliseconds as it says; it wakes when the file goes.
static void wait_a_little(void) {
    const char *path = getenv("SLOW_SYNC");
    for (int waited = 0; path; waited += 20) {
        FILE *f = fopen(path, "re");
        int ms = 0;
        if (!f) return;
        if (fscanf(f, "%d", &ms) != 1) ms = 0;
        fclose(f);
        if (waited >= ms) return;
        usleep(20000);
    }
}
int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_a_little();
    return real(fd);
}
int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_a_little();
    return real(fd);
}
"""
failures = 0


def expect(condition, text, detail=""):
    global failures
    if not condition:
        failures += 1
    print(f"  {'ok    ' if condition else 'FAILED'} {text}{': ' + str(detail) if detail != '' else ''}", flush=True)
    return condition


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Strangers:
    """Addresses that were never seen before."""
    def __init__(self):
        self.n = 0

    def next(self):
        self.n += 1
        return f"127.{64 + self.n // 40000}.{self.n // 200 % 200}.{1 + self.n % 200}"


class Server:
    def __init__(self, o, folder, settings=(), nofile=None, environment=None, store=None):
        self.o, self.folder, self.nofile = o, folder, nofile
        self.port, self.metrics_port = free_port(), free_port()
        self.config, self.log_path = os.path.join(folder, "config.json"), os.path.join(folder, "log")
        self.environment = dict(os.environ, **(environment or {}))
        self.acknowledged, self.lock, self.serial = [], threading.Lock(), 0
        base = {"server": {"hostname": "mx.pressure.test"},
                "smtp": {"listeners": [{"address": f"127.0.0.1:{self.port}", "kind": "mx", "tls": "none"}]},
                "store": {"path": store or os.path.join(folder, "data")},
                "metrics": {"listen": f"127.0.0.1:{self.metrics_port}"}, "auth": {"enabled": False}}
        self.values = base
        self.write(settings)
        self.cli("domain", "add", "pressure.test")
        self.cli("account", "add", "u0@pressure.test", "--password-stdin", input=b"pressure-test\n")
        self.start()

    def write(self, settings):
        for key, value in settings:
            section, name = key.split(".")
            self.values.setdefault(section, {})[name] = value
        with open(self.config, "w") as f:
            json.dump(self.values, f)

    def reload(self, settings):
        self.write(settings)
        at = len(self.log())
        self.process.send_signal(signal.SIGHUP)
        assert until(lambda: " reloaded" in self.log()[at:], 10), self.log()[-1000:]

    def cli(self, *arguments, check=True, **options):
        r = subprocess.run([f"{self.o.bin}/martlet", *arguments, "--config", self.config], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, **options)
        assert not check or r.returncode == 0, (arguments, r.stdout, r.stderr)
        return r.stdout.decode(errors="replace")

    def start(self):
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))) if self.nofile else None
        self.process = subprocess.Popen([f"{self.o.bin}/martlet", "serve", "--config", self.config],
                                        stderr=open(self.log_path, "ab"), env=self.environment, preexec_fn=limit)
        deadline = time.monotonic() + 30
        while " ready " not in self.log():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()[-2000:]
            time.sleep(0.05)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=60) as r:
            return {l.rsplit(" ", 1)[0]: float(l.rsplit(" ", 1)[1]) for l in r.read().decode().splitlines()
                    if l and not l.startswith("#")}

    def limiting(self, metrics=None):
        found = [k for k, v in (metrics or self.metrics()).items() if k.startswith("martlet_pressure_limiting{") and v == 1]
        return re.search('resource="(\\w+)"', found[0]).group(1) if found else ""

    def level(self, name):
        return int(self.metrics()[f'martlet_pressure_level{{resource="{name}"}}'])

    def send(self, source, timeout=30):
        """One message on one connection: (its last reply, the seconds it took). Acknowledged ones are in the ledger."""
        with self.lock:
            self.serial += 1
            token = f"lab-{self.serial:06d}-{os.getpid()}"
        begun, reply = time.monotonic(), ""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout, (source, 0)) as s:
                f = s.makefile("rb")
                for line in ("", "EHLO client.example", "MAIL FROM:<a@client.example>", "RCPT TO:<u0@pressure.test>", "DATA",
                             f"From: a@client.example\r\nSubject: {token}\r\n\r\nHello.\r\n."):
                    if line:
                        s.sendall(line.encode() + b"\r\n")
                    reply = self.reply(f)
                    if not reply or reply[0] in "45":
                        return reply or "closed without a word", time.monotonic() - begun
                with self.lock:
                    self.acknowledged.append(token)
                s.sendall(b"QUIT\r\n")
        except OSError as e:
            reply = f"{type(e).__name__} after {reply!r}"
        return reply, time.monotonic() - begun

    @staticmethod
    def reply(f):
        lines = []
        while True:
            line = f.readline().decode(errors="replace").rstrip("\r\n")
            lines.append(line)
            if len(line) < 4 or line[3] != "-":
                return "\n".join(lines).strip()

    def explain(self, reply, word):
        """What the ledger says of it, as soon as it has written that down."""
        found, text = ID.search(reply), ""
        deadline = time.monotonic() + 15
        while found and word not in text and time.monotonic() < deadline:
            text = self.cli("explain", found.group(1), check=False)
            time.sleep(0.2)
        return text

    def found(self):
        stored = self.cli("mailbox", "export", "u0@pressure.test")
        lost = [t for t in self.acknowledged if f"Subject: {t}" not in stored]
        expect(not lost, "every acknowledged message is found", f"{len(self.acknowledged)}, lost {lost[:5]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                return self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


class Good(threading.Thread):
    """A client that sends all the time, each message on a connection of its own."""
    def __init__(self, server, source="127.1.0.1", pause=0.1):
        super().__init__(daemon=True)
        self.server, self.source, self.pause, self.results, self.ending = server, source, pause, [], False
        self.start()

    def run(self):
        while not self.ending:
            self.results.append((time.monotonic(), *self.server.send(self.source)))
            time.sleep(self.pause)

    def since(self, moment):
        return [r for r in self.results if r[0] >= moment]

    def end(self):
        self.ending = True
        self.join(60)

    def show(self, since, text):
        part = self.since(since)
        bad = [r[1] for r in part if not r[1].startswith("2")]
        slowest = max((r[2] for r in part), default=0)
        return expect(part and not bad, text, f"{len(part)} messages, {len(bad)} refused {bad[:2]}, slowest {slowest:.2f} s")


def until(condition, seconds, step=0.05):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True


def back(server, strangers, since):
    """Full service: strangers are served at once, and nothing is scarce."""
    while time.monotonic() - since < 30:
        reply, seconds = server.send(strangers.next())
        if reply.startswith("2") and seconds < 2 and not server.limiting():
            break
        time.sleep(0.05)
    taken = time.monotonic() - since
    expect(taken <= BACK_SECONDS, f"full service within {BACK_SECONDS:.0f} s", f"{taken:.2f} s")


def told(server, reply, code, name):
    expect(reply.startswith(code), f"a stranger is answered {code}", reply)
    text = server.explain(reply, name)
    expect("pressure" in text and name in text, f"explain names {name}",
           next((l.strip() for l in text.splitlines() if name in l), "the reply has no ID" if not ID.search(reply) else text))


def logged(server, name):
    lines = [l for l in server.log().splitlines() if " pressure " in l and f"resource={name}" in l]
    expect(lines, f"the log names {name}", lines[0] if lines else "")


def quiet(server, strangers):
    """The good client becomes a known one."""
    replies = [server.send("127.1.0.1")[0] for _ in range(5)] + [server.send(strangers.next())[0]]
    expect(all(r.startswith("2") for r in replies), "service before", [r for r in replies if not r.startswith("2")])
    expect(server.limiting() == "", "nothing is scarce before", server.limiting())


def hoard(server, strangers, most):
    """Idle connections from as many addresses, until they are turned away or `most` are there."""
    held, refused = [], []
    while len(held) < most and len(refused) < 5:
        s = socket.socket()
        s.settimeout(10)
        s.bind((strangers.next(), 0))
        try:
            s.connect(("127.0.0.1", server.port))
            greeting = s.recv(500).decode(errors="replace").strip()
        except OSError as e:
            greeting = type(e).__name__
        if greeting.startswith("220"):
            held.append(s)
        else:
            refused.append(greeting)
            s.close()
    return held, refused


def descriptors(o, folder):
    strangers, server = Strangers(), Server(o, folder, nofile=400)
    try:
        quiet(server, strangers)
        good, begun = Good(server), time.monotonic()
        held, refused = hoard(server, strangers, 390)
        expect(refused, "idle connections are turned away before descriptors run out", f"after {len(held)}: {refused[:1]}")
        expect(until(lambda: server.limiting() == "descriptors", 1), "the metric names descriptors", server.limiting())
        m = server.metrics()
        expect(m["process_open_fds"] < m["process_max_fds"], "descriptors are left",
               f"{m['process_open_fds']:.0f} of {m['process_max_fds']:.0f}")
        told(server, server.send(strangers.next())[0], "421 4.3.2", "descriptors")
        logged(server, "descriptors")
        time.sleep(3)
        good.show(begun, "the good client is served all the time")
        for s in held:
            s.close()
        back(server, strangers, time.monotonic())
        # The same, and they stay: the server has to get rid of them by itself.
        begun = time.monotonic()
        held, refused = hoard(server, strangers, 390)
        expect(refused and until(lambda: server.limiting() == "descriptors", 1), "once more", f"after {len(held)}")
        gone = until(lambda: server.limiting() == "", 60, 0.5)
        expect(gone, "silent strangers are sent away after 30 s, and the pressure ends by itself",
               f"{time.monotonic() - begun:.1f} s")
        back(server, strangers, time.monotonic())
        good.show(begun, "the good client is served all the time")
        for s in held:
            s.close()
        good.end()
        server.found()
        expect(server.stop() == 0, "the server ends well")
    finally:
        server.stop()


def disk(o, folder):
    place = os.path.join(folder, "disk")
    os.mkdir(place)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", place]).returncode:
        return expect(False, "a tmpfs can be mounted (this needs root)")
    strangers, server = Strangers(), None
    try:
        server = Server(o, folder, [("store.min_free_bytes", 32 << 20)], store=os.path.join(place, "data"))
        quiet(server, strangers)
        good = Good(server)
        free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
        filler = os.path.join(place, "filler")

        def fill(left):
            free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
            with open(filler, "ab") as f:
                f.write(bytes(max(0, free - left)))
        begun = time.monotonic()
        fill(42 << 20)
        expect(until(lambda: server.level("disk") == 1, 5), "a warning before the mark", server.limiting())
        time.sleep(1)
        reply, _ = server.send(strangers.next())
        expect(reply.startswith("2"), "strangers are served still", reply)
        good.show(begun, "so is the good client")
        fill(24 << 20)
        expect(until(lambda: server.level("disk") == 3, 5), "below the mark it is critical", server.limiting())
        expect(server.limiting() == "disk", "the metric names disk", server.limiting())
        time.sleep(1)
        refused, deferred = server.send(strangers.next())[0], server.send("127.1.0.1")[0]
        told(server, refused, "452 4.3.1", "disk")
        expect(deferred.startswith("452 4.3.1"), "the good client comes in and is told to wait", deferred)
        expect("disk" in server.explain(deferred, "disk"), "explain names disk there too")
        logged(server, "disk")
        expect(good.results[-1][1].startswith("4"), "nothing is lost silently", good.results[-1][1])
        os.unlink(filler)
        back(server, strangers, time.monotonic())
        moment = time.monotonic()
        time.sleep(2)
        good.show(moment, "the good client is served again")
        good.end()
        server.found()
        print("        " + server.cli("store", "verify").strip().replace("\n", "\n        "))
        expect(server.stop() == 0, "the server ends well")
    finally:
        if server:
            server.stop()
        subprocess.run(["umount", "-l", place])


def commits(o, folder):
    source, shim, flag = (os.path.join(folder, n) for n in ("slow.c", "slow.so", "slow-sync"))
    with open(source, "w") as f:
        f.write(SHIM)
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True)

    def slow(ms):
        with open(flag + "~", "w") as f:
            f.write(str(ms))
        os.rename(flag + "~", flag)
    strangers = Strangers()
    server = Server(o, folder, environment={"LD_PRELOAD": shim, "SLOW_SYNC": flag})
    try:
        quiet(server, strangers)
        goods = [Good(server, f"127.1.0.{i}", 0.05) for i in range(1, 9)]
        begun = time.monotonic()
        slow(500)
        expect(until(lambda: server.limiting() == "commit", 5), "commits of 500 ms: the metric names commit", server.limiting())
        time.sleep(4)
        m = server.metrics()
        expect(server.limiting(m) == "commit", "and goes on doing so", server.limiting(m))
        logged(server, "commit")
        for good in goods[:2]:
            good.show(begun, "a good client is served, a commit at a time")
        reply, seconds = server.send(strangers.next())
        expect(reply.startswith("2"), "strangers are served: slow is not full", f"{reply} after {seconds:.2f} s")
        os.unlink(flag)
        back(server, strangers, time.monotonic())
        begun = time.monotonic()
        slow(4000)
        expect(until(lambda: server.level("commit") == 3, 10), "commits of 4 s: critical", server.limiting())
        expect(server.limiting() == "commit", "the metric names commit", server.limiting())
        refused, deferred = server.send(strangers.next())[0], server.send("127.1.0.1")[0]
        os.unlink(flag)
        back(server, strangers, time.monotonic())
        told(server, refused, "421 4.3.2", "commit")
        expect(deferred.startswith("452 4.3.1"), "the good client comes in and is told to wait", deferred)
        expect("commit" in server.explain(deferred, "commit"), "explain names commit there too")
        moment = time.monotonic()
        time.sleep(2)
        goods[0].show(moment, "the good client is served again")
        for good in goods:
            good.ending = True
        for good in goods:
            good.end()
        server.found()
        expect(server.stop() == 0, "the server ends well")
    finally:
        server.stop()


class Sender:
    """A stranger that is sent bytes to write and never waits: many of them fill memory or ask DNS at the same time."""
    def __init__(self, server, source):
        self.socket, self.heard = socket.socket(), b""
        self.socket.settimeout(10)
        self.socket.bind((source, 0))
        try:
            self.socket.connect(("127.0.0.1", server.port))
        except OSError as e:
            self.heard = type(e).__name__.encode()
        self.socket.setblocking(False)
        self.left = b""

    def put(self, data):
        self.left += data

    def step(self):
        """Writes and reads what goes; False when the server has closed."""
        try:
            if self.left:
                self.left = self.left[self.socket.send(self.left):]
        except BlockingIOError:
            pass
        except OSError:
            return False
        try:
            data = self.socket.recv(65536)
            self.heard += data
            return bool(data)
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self):
        self.socket.close()


def drive(senders, seconds, until=lambda: False):
    """Lets all of them write and read, until nobody has anything left, or `until`, or the time is over."""
    deadline = time.monotonic() + seconds
    live = list(senders)
    while live and time.monotonic() < deadline and not until():
        live = [s for s in live if s.step()]
        if not any(s.left for s in live):
            return
        time.sleep(0.005)


def own_memory(server):
    _, resident, shared = (int(n) for n in open(f"/proc/{server.process.pid}/statm").read().split()[:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def half_headers(server, strangers, count, size=240_000):
    """Messages begun whose header goes on and on, from as many addresses."""
    field = b"X-More: " + b"x" * 900 + b"\r\n"
    senders = [Sender(server, strangers.next()) for _ in range(count)]
    for s in senders:
        s.put(b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<u0@pressure.test>\r\nDATA\r\n")
    drive(senders, 20)
    until(lambda: not any(drive(senders, 0.2) or s.heard.count(b"\n") < 5 for s in senders if s.heard[:1] == b"2"), 5)
    for s in senders:
        if b"\n354 " in s.heard:
            s.put(field * (size // len(field)))
    return senders


def memory(o, folder):
    """Strangers begin messages whose header does not end: the server has to keep it, a quarter of a megabyte each."""
    strangers, server = Strangers(), Server(o, folder)
    try:
        quiet(server, strangers)
        used = own_memory(server)
        limit = used + max(used, 50 << 20)
        server.reload([("pressure.memory_limit", limit)])
        time.sleep(0.5)
        expect(server.limiting() == "", f"{used >> 20} of {limit >> 20} MiB in use: calm", server.limiting())
        good, begun = Good(server), time.monotonic()
        senders = half_headers(server, strangers, 350)
        top = [0]

        def full():
            top[0] = max(top[0], own_memory(server))
            return False
        drive(senders, 10, full)
        expect(until(lambda: drive(senders, 0.1, full) or server.limiting() == "memory", 10), "unfinished headers: the metric names memory",
               f"{server.limiting()}, level {server.level('memory')}, {own_memory(server) >> 20} MiB")
        expect(server.level("memory") >= 2, "its level turns strangers away", server.level("memory"))
        told(server, server.send(strangers.next())[0], "421 4.3.2", "memory")
        logged(server, "memory")
        expect(until(lambda: drive(senders, 0.1) or own_memory(server) < limit, 5), "large messages of strangers are given up",
               f"{top[0] >> 20} MiB at worst, {own_memory(server) >> 20} of {limit >> 20} MiB now")
        drive(senders, 1)
        given_up = [s.heard.decode().splitlines()[-1] for s in senders if b"\n421 " in s.heard]
        expect(given_up, "their clients are told so", f"{len(given_up)} of {len(senders)}: {given_up[:1]}")
        text = server.explain(given_up[0] if given_up else "", "given up")
        expect("memory" in text and "given up" in text, "and explain names memory there too", text[:200])
        shed = server.metrics()['martlet_pressure_shed_total{action="message",resource="memory"}']
        expect(shed >= len(given_up) > 0, "each is counted", f"{shed:.0f}")
        # Those that are left stay where they are.
        back(server, strangers, time.monotonic())
        good.show(begun, "the good client is served all the time")
        for s in senders:
            s.close()
        back(server, strangers, time.monotonic())
        expect(own_memory(server) < limit * 0.7, "the memory was given back", f"{own_memory(server) >> 20} MiB")
        # Scarce, but not so much that anybody is turned away: what is free inside the heap is given back here too.
        limit = int((own_memory(server) + (25 << 20)) / 0.75)
        server.reload([("pressure.memory_limit", limit)])
        senders = []
        while server.level("memory") == 0 and len(senders) < 600:
            senders += half_headers(server, strangers, 20)
            drive(senders, 2)
            time.sleep(0.15)
        expect(server.level("memory") == 1, "elevated", f"{server.limiting()}, {own_memory(server) >> 20} of {limit >> 20} MiB")
        reply, _ = server.send(strangers.next())
        expect(reply.startswith("2"), "strangers are served", reply)
        for s in senders:
            s.close()
        back(server, strangers, time.monotonic())
        expect(own_memory(server) < limit * 0.66, "the memory was given back", f"{own_memory(server) >> 20} MiB")
        good.end()
        server.found()
        expect(server.stop() == 0, "the server ends well")
    finally:
        server.stop()


class Mute(fakedns.Zone):
    """Names below dead.example are never answered, or, while `isMute`, no name at all."""
    def __init__(self):
        super().__init__({"client.example": {"TXT": ["v=spf1 ip4:127.0.0.0/8 -all"]}})
        self.isDead, self.isMute = True, False

    def look(self, name, kind):
        if self.isMute or self.isDead and name.endswith("dead.example"):
            return None, []
        return super().look(name, kind)


def askers(server, strangers, count, each):
    """Strangers of whom every MAIL needs SPF of another name."""
    senders = [Sender(server, strangers.next()) for _ in range(count)]
    for s in senders:
        s.put(b"EHLO client.example\r\n" + b"".join(
            b"MAIL FROM:<a@%d-%d.dead.example>\r\nRSET\r\n" % (strangers.n, id(s) % 10**8 * 100 + n) for n in range(each)))
    return senders


def answers(server, strangers):
    """Whether a name that nobody has asked for yet gets its answer."""
    def known():
        return sum(v for k, v in server.metrics().items()
                   if k.startswith("martlet_dns_queries_total") and ('"nxdomain"' in k or '"nodata"' in k or '"noerror"' in k))
    before, s = known(), Sender(server, strangers.next())
    s.put(b"EHLO client.example\r\nMAIL FROM:<a@%d.alive.example>\r\n" % time.monotonic_ns())
    drive([s], 1)
    found = until(lambda: known() > before, 1)
    s.close()
    return found


def dns(o, folder):
    """Strangers whose domains' name servers do not answer; then a DNS that does not answer anybody."""
    strangers, zone = Strangers(), Mute()
    names = fakedns.Server(zone)
    server = Server(o, folder, [("auth.enabled", True), ("dns.forward", [f"127.0.0.1@{names.port}"]),
                                ("dns.trust_anchor_file", "/dev/null")])

    def flood(text):
        senders, highest = askers(server, strangers, 100, 90), [0]

        def watch():
            m = server.metrics()
            highest[0] = max(highest[0], m["martlet_dns_questions_in_flight"])
            return server.limiting(m) == "dns" and m['martlet_pressure_level{resource="dns"}'] >= 2
        drive(senders, 20, watch)
        expect(until(lambda: watch() or drive(senders, 0.1), 3), f"{text}: the metric names dns",
               f"{server.limiting()}, {highest[0]:.0f} in flight")
        return senders
    try:
        quiet(server, strangers)
        good, begun = Good(server), time.monotonic()
        senders = flood("many questions without an answer")
        told(server, server.send(strangers.next())[0], "421 4.3.2", "DNS")
        logged(server, "dns")
        drive(senders, 2)
        for s in senders:
            s.close()
        left = time.monotonic()
        expect(until(lambda: server.limiting() == "", 40, 0.2), "who asked is gone: it ends by itself, although nothing answers",
               f"{time.monotonic() - left:.1f} s")
        good.show(begun, "the good client is served all the time")
        # Nothing but silence for three seconds looks like a dead DNS, and a probe each second finds out that it is not.
        expect(until(lambda: answers(server, strangers), 10, 0.3), "questions are answered again")
        begun, senders = time.monotonic(), flood("once more")
        zone.isDead = False
        for s in senders:
            s.close()
        back(server, strangers, time.monotonic())
        good.show(begun, "the good client is served all the time")
        begun, zone.isDead, zone.isMute = time.monotonic(), True, True
        senders = askers(server, strangers, 100, 90)
        seen = set()
        drive(senders, 6)
        until(lambda: seen.add(server.limiting()), 6, 0.1)
        expect(until(lambda: server.limiting() == "", 10), "a DNS that answers nobody is given up before it is scarce for long",
               f"{time.monotonic() - begun:.1f} s; limiting meanwhile: {sorted(seen)}")
        good.show(begun, "the good client is served all the time")
        zone.isMute = False
        for s in senders:
            s.close()
        back(server, strangers, time.monotonic())
        good.end()
        server.found()
        expect(server.stop() == 0, "the server ends well")
    finally:
        server.stop()
        names.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--only", default="descriptors,disk,commits,memory,dns")
    p.add_argument("--keep", action="store_true")
    o = p.parse_args()
    for name in o.only.split(","):
        folder = tempfile.mkdtemp(prefix=f"martlet-pressure-{name}-")
        print(name, folder if o.keep else "", flush=True)
        try:
            {"descriptors": descriptors, "disk": disk, "commits": commits, "memory": memory, "dns": dns}[name](o, folder)
        finally:
            if not o.keep:
                shutil.rmtree(folder, ignore_errors=True)
    print("all as expected" if not failures else f"{failures} expectations not met")
    return 1 if failures else 0


sys.exit(main())

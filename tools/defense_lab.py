#!/usr/bin/env python3
"""Every defence driven by real clients from many addresses, before and after its setting changes at run time.

    tools/defense_lab.py [--bin .build/release] [--only greylist,tarpit] [--show] [--keep]

Each part starts a server of its own and looks at the replies, the counters of /metrics and `explain` of the id that ends
a refusal. One line for each expectation; exits with 1 when any is not met. Needs swaks.
"""
import argparse, base64, json, os, re, shutil, signal, socket, ssl, struct, subprocess, sys, tempfile, time, traceback
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakedns

HOST = "mx.lab.example"
PASSWORD = "a password of the lab"
ID = re.compile(r"\(([0-9A-HJKMNP-TV-Z]{13})\)\s*$")
PARTS = []


def part(function):
    PARTS.append(function)
    return function


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tls_context():
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c


class Findings:
    """Counts expectations; prints one line for each."""

    def __init__(self):
        self.count, self.wrong, self.section = 0, [], ""

    def expect(self, condition, what, seen=""):
        self.count += 1
        line = f"{self.section}: {what}"
        if not condition:
            line += f" -- seen: {seen}"
            self.wrong.append(line)
        print(("ok       " if condition else "NOT MET  ") + line, flush=True)
        return bool(condition)


class Reply:
    """`code` is 0 when the connection ended instead."""

    def __init__(self, code, text, seconds):
        self.code, self.text, self.seconds = code, text, seconds
        found = ID.search(text)
        self.id = found[1] if found else None

    def __repr__(self):
        return f"{self.code} {self.text!r} after {self.seconds:.2f} s"


class Client:
    """One SMTP connection from an address of 127.0.0.0/8. `first` is sent before the banner is read."""

    def __init__(self, port, source, tls=False, first=b"", timeout=40, banner=True):
        self.begun = time.monotonic()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if first:
            self.socket.sendall(first)
        if tls:
            self.socket = tls_context().wrap_socket(self.socket)
        self.lines = self.socket.makefile("rb")
        self.banner = self.reply(self.begun) if banner else None

    def reply(self, since=None):
        since = since or time.monotonic()
        texts = []
        while True:
            try:
                line = self.lines.readline().decode(errors="replace").rstrip("\r\n")
            except (ConnectionError, TimeoutError, ssl.SSLError) as e:
                return Reply(0, f"{type(e).__name__}", time.monotonic() - since)
            if not re.match(r"\d{3}[ -]", line):
                return Reply(0, line or "closed", time.monotonic() - since)
            texts.append(line[4:])
            if line[3] == " ":
                return Reply(int(line[:3]), "\n".join(texts), time.monotonic() - since)

    def say(self, line):
        try:
            self.socket.sendall((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        except ConnectionError:
            pass
        return self.reply()

    def hello(self, name="client.lab.example"):
        return self.say(f"EHLO {name}")

    def mail(self, sender):
        return self.say(f"MAIL FROM:<{sender}>")

    def rcpt(self, recipient):
        return self.say(f"RCPT TO:<{recipient}>")

    def data(self, message):
        reply = self.say("DATA")
        return reply if reply.code != 354 else self.say(message + b".")

    def starttls(self):
        reply = self.say("STARTTLS")
        if reply.code == 220:
            self.socket = tls_context().wrap_socket(self.socket)
            self.lines = self.socket.makefile("rb")
        return reply

    def login(self, user, password):
        return self.say("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())

    def is_closed(self, seconds=3):
        """Whether the server ends the connection within that time."""
        self.socket.settimeout(seconds)
        try:
            while self.lines.readline():
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self):
        try:
            self.lines.close()
            self.socket.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def message(subject, author="a@sender.example"):
    return (f"From: <{author}>\r\nTo: <user@in.example>\r\nSubject: {subject}\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{subject.replace(' ', '-')}.{time.monotonic_ns()}@sender.example>\r\n\r\nHello.\r\n").encode()


class Names:
    """The lab's part of the DNS. Addresses of 127.8.0.0/16 have reverse names that lead back to them."""

    def __init__(self):
        self.zone = fakedns.Zone({
            "sender.example": {"TXT": ["v=spf1 ip4:127.0.0.0/8 -all"], "MX": ["10 mail.sender.example"]},
            "other.example": {"TXT": ["v=spf1 -all"]},
        })
        self.server = fakedns.Server(self.zone)

    def clean(self, address):
        """The name of an address, made so that it leads there and back."""
        name = "host-" + address.replace(".", "-") + ".clients.example"
        self.zone.put(reverse(address) + ".in-addr.arpa", {"PTR": [name]})
        self.zone.put(name, {"A": [address]})
        return name

    def list(self, zone, address, answer="127.0.0.2", text=None):
        entry = answer if answer in fakedns.CODES else {"A": [answer], **({"TXT": [text]} if text else {})}
        self.zone.put(f"{reverse(address)}.{zone}", entry)


def reverse(address):
    return ".".join(reversed(address.split(".")))


class Server:
    """`martlet serve` in a folder of its own; `with` starts and ends it. `settings` go over the configuration by dotted key."""

    def __init__(self, binary, findings=None, names=None, settings=None, domains=("in.example",), listeners=None,
                 keep=False, show=False):
        self.martlet = os.path.join(binary, "martlet")
        self.findings, self.keep, self.show = findings, keep, show
        self.folder = tempfile.mkdtemp(prefix="martlet-defense-")
        self.port, self.users, self.proxied, self.metrics_port = (free_port() for _ in range(4))
        self.config = os.path.join(self.folder, "config.json")
        self.log = os.path.join(self.folder, "log")
        self.process = None
        self.values = {
            "server": {"hostname": HOST},
            "smtp": {"listeners": [
                {"address": f"127.0.0.1:{self.port}", "kind": "mx", "tls": "starttls"},
                {"address": f"127.0.0.1:{self.users}", "kind": "submission", "tls": "starttls"}] + (listeners or [])},
            "auth": {"enabled": names is not None},
            "store": {"path": os.path.join(self.folder, "data"), "min_free_bytes": 1 << 20},
            "metrics": {"listen": f"127.0.0.1:{self.metrics_port}"},
        }
        if names:
            self.values["dns"] = {"forward": [f"127.0.0.1@{names.server.port}"], "trust_anchor_file": "/dev/null"}
        self.write(settings or {})
        for domain in domains:
            self.cli("domain", "add", domain)
            self.cli("account", "add", f"user@{domain}", "--password-stdin", data=PASSWORD.encode() + b"\n")

    # -- its life

    def write(self, settings):
        for key, value in settings.items():
            place = self.values
            *above, last = key.split(".")
            for word in above:
                place = place.setdefault(word, {})
            place[last] = value
        with open(self.config + ".new", "w") as f:
            json.dump(self.values, f)
        os.replace(self.config + ".new", self.config)

    def start(self):
        at = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.martlet, "serve", "--config", self.config], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while b" ready " not in self.log_since(at):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start: " + self.log_since(at)[-2000:].decode(errors="replace"))
            time.sleep(0.02)
        return self

    def log_since(self, at):
        with open(self.log, "rb") as f:
            f.seek(at)
            return f.read()

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        try:
            if self.process.poll() is not None:
                self.expect(False, "the server lives", f"status {self.process.returncode}: "
                            + self.log_since(0)[-1500:].decode(errors="replace"))
            self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.keep:
                print(f"kept {self.folder}")
            else:
                shutil.rmtree(self.folder, ignore_errors=True)

    # -- what operators do

    def run(self, *arguments, data=b""):
        return subprocess.run([self.martlet, *arguments, "--config", self.config], input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)

    def cli(self, *arguments, data=b""):
        r = self.run(*arguments, data=data)
        if r.returncode:
            raise RuntimeError(f"martlet {' '.join(arguments)}: {r.returncode}: {r.stderr.decode()}")
        return r.stdout.decode(errors="replace")

    def set(self, domain, *settings):
        """True when every setting was taken."""
        r = self.run("domain", "set", domain, *settings)
        return self.expect(r.returncode == 0, f"domain set {domain} {' '.join(settings)}", r.stderr.decode().strip())

    def reload(self, **settings):
        """New values for keys (with __ for each dot), then SIGHUP, until they are taken."""
        before = self.metric("martlet_config_reloads_total")
        self.write({key.replace("__", "."): value for key, value in settings.items()})
        at = os.path.getsize(self.log)
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while self.metric("martlet_config_reloads_total") == before and time.monotonic() < deadline:
            time.sleep(0.02)
        said = self.log_since(at).decode(errors="replace")
        words = ", ".join(f"{k.replace('__', '.')}={json.dumps(v)}" for k, v in settings.items())
        self.expect(self.metric("martlet_config_reloads_total", result="refused") == 0 and "setting_needs_restart" not in said,
                    f"SIGHUP takes {words}", said.strip()[-400:])

    def operate(self, what, verb, *arguments):
        """`martlet WHAT VERB …`; its output, or None."""
        r = self.run(what, verb, *arguments)
        text = r.stdout.decode(errors="replace")
        self.expect(r.returncode == 0, f"martlet {what} {verb} {' '.join(arguments)}",
                    f"status {r.returncode}: {r.stderr.decode().strip()[:300]}")
        if self.show:
            print(text)
        return text if r.returncode == 0 else None

    def lists(self, what, word, *arguments, there=True):
        """Whether `martlet WHAT list` names something, as text and as JSON."""
        text = self.operate(what, "list", *arguments) or ""
        self.expect((word in text) == there, f"martlet {what} list {'names' if there else 'does not name'} {word}",
                    text[:300])
        r = self.run(what, "list", *arguments, "--json")
        try:
            json.loads(r.stdout)
            good = (word in r.stdout.decode()) == there
        except ValueError:
            good = False
        self.expect(good, f"martlet {what} list --json {'names' if there else 'does not name'} {word}",
                    (r.stdout or r.stderr).decode()[:300])

    # -- what they see

    def metrics(self):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10).read().decode()
        out = {}
        for line in text.splitlines():
            if line and line[0] != "#":
                series, value = line.rsplit(" ", 1)
                out[series] = float(value)
        return out

    def metric(self, name, **labels):
        words = [f'{k}="{v}"' for k, v in labels.items()]
        return sum(v for s, v in self.metrics().items() if re.split(r"[{ ]", s)[0] == name and all(w in s for w in words))

    def defended(self, control, *effects):
        return sum(self.metric("martlet_defense_events_total", control=control, effect=e) for e in effects)

    def expect(self, condition, what, seen=""):
        return self.findings.expect(condition, what, seen) if self.findings else bool(condition)

    def explain(self, identifier, *words):
        """Expects `explain` to say all words, as patterns, and JSON to be JSON. Records come a moment later."""
        if not self.expect(identifier, "the reply ends with an id", "none"):
            return ""
        deadline = time.monotonic() + 4
        while (r := self.run("explain", identifier)).returncode and time.monotonic() < deadline:
            time.sleep(0.1)
        text = r.stdout.decode(errors="replace")
        missing = [w for w in words if not re.search(w, text, re.I)]
        self.expect(r.returncode == 0 and not missing, f"explain {identifier} says {', '.join(words)}",
                    f"without {missing}: {(text or r.stderr.decode())[:1500]}")
        details = self.run("explain", identifier, "--json").stdout
        try:
            good = identifier in json.dumps(json.loads(details))
        except ValueError:
            good = False
        self.expect(good, f"explain {identifier} --json is JSON", details[:200])
        if self.show:
            print(text)
        return text

    def refused(self, reply, what, codes, text, *explained, control=None, remedy=True):
        """A refusal: its code, its words, its id, and what `explain` says of it."""
        self.expect(reply.code in codes and re.search(text, reply.text, re.I),
                    f"{what}: {'/'.join(map(str, codes))} {text!r}", reply)
        self.expect(reply.id, f"{what}: the reply ends with an id", reply)
        if reply.id:
            words = [w for w in (control, *explained) if w]
            if remedy:
                words.append(r"remedy|would help|to change|\bfix\b|martlet (limits|greylist|tarpit|domain)|smtp\.")
            self.explain(reply.id, *words)

    def taken(self, reply, what, codes=(250,)):
        self.expect(reply.code in codes, f"{what}: {'/'.join(map(str, codes))}", reply)

    def connect(self, source, **options):
        return Client(options.pop("port", self.port), source, **options)

    def open(self, source, sender="a@sender.example", helo="client.lab.example", **options):
        """A client whose MAIL was sent; its replies so far are in `replies`."""
        c = self.connect(source, **options)
        c.replies = [c.banner]
        if c.banner.code == 220:
            c.replies.append(c.hello(helo))
            c.replies.append(c.mail(sender))
        return c

    def probe(self, source, recipient, sender="a@sender.example", helo="client.lab.example"):
        """The reply to RCPT, or to what was refused before it."""
        with self.open(source, sender, helo) as c:
            if c.replies[-1].code != 250:
                return c.replies[-1]
            return c.rcpt(recipient)

    def deliver(self, source, recipient, sender="a@sender.example", helo="client.lab.example", subject="delivered"):
        """The reply to the final dot, or to what was refused before it."""
        with self.open(source, sender, helo) as c:
            if c.replies[-1].code != 250:
                return c.replies[-1]
            reply = c.rcpt(recipient)
            return reply if reply.code != 250 else c.data(message(subject))

    def swaks(self, source, recipient, sender="a@sender.example", helo="client.lab.example", *more):
        """The last reply that swaks, a client of another make, was given before that to QUIT."""
        r = subprocess.run(["swaks", "--server", f"127.0.0.1:{self.port}", "--local-interface", source, "--helo", helo,
                            "--from", sender, "--to", recipient, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, errors="replace")
        answers = [m for m in re.findall(r"^<(?:-|~|\*\*)+\s+(\d{3}) (.*)$", r.stdout, re.M) if m[0] != "221"]
        return Reply(int(answers[-1][0]), answers[-1][1], 0) if answers else Reply(0, r.stdout[-300:], 0)

    def folder_of(self, recipient, identifier):
        for folder in ("Inbox", "Junk"):
            if identifier in self.run("mailbox", "list", recipient, "--folder", folder, "--json").stdout.decode():
                return folder
        return None


def close_all(clients):
    for c in clients:
        c.close()
    # The server notices in its own time.
    time.sleep(0.2)


# -- limits ------------------------------------------------------------------------------------------------------------

@part
def connections(lab):
    with lab.server(settings={"smtp.max_connections_per_ip": 3, "smtp.max_connections_per_network": 0}) as s:
        events = s.defended("limit", "closed")
        held = [s.connect("127.1.0.1") for _ in range(3)]
        s.expect(all(c.banner.code == 220 for c in held), "3 connections of one address are taken",
                 [c.banner for c in held])
        with s.connect("127.1.0.1") as c:
            s.refused(c.banner, "the 4th connection of an address", (421,), r"4\.\d\.\d .*", "connections",
                      control="limit")
            s.expect(c.is_closed(), "and it is closed")
        s.expect(s.defended("limit", "closed") > events, "counted as limit/closed", s.defended("limit", "closed"))
        s.expect(s.metric("martlet_smtp_connections_total", result="limit_per_ip") == 1, "counted as limit_per_ip")
        with s.connect("127.1.0.2") as c:
            s.taken(c.banner, "another address is taken", (220,))
        s.lists("limits", "127.1.0.1")
        s.reload(smtp__max_connections_per_ip=5)
        held += [s.connect("127.1.0.1") for _ in range(2)]
        s.expect(all(c.banner.code == 220 for c in held), "5 connections after the change", [c.banner for c in held])
        with s.connect("127.1.0.1") as c:
            s.taken(c.banner, "the 6th connection after the change", (421,))
        s.operate("limits", "allow", "127.1.0.1")
        with s.connect("127.1.0.1") as c:
            s.taken(c.banner, "an address on the operators' allow list is not held to it", (220,))
        s.operate("limits", "allow", "127.1.0.1", "--remove")
        with s.connect("127.1.0.1") as c:
            s.taken(c.banner, "taken off the list, it is again", (421,))
        close_all(held)
        with s.connect("127.1.0.1") as c:
            s.taken(c.banner, "closed connections do not count", (220,))


@part
def networks(lab):
    with lab.server(settings={"smtp.max_connections_per_network": 4}) as s:
        held = [s.connect(f"127.2.0.{i}") for i in range(1, 5)]
        s.expect(all(c.banner.code == 220 for c in held), "4 addresses of a /24 are taken", [c.banner for c in held])
        with s.connect("127.2.0.5") as c:
            s.refused(c.banner, "the 5th connection of a /24", (421,), r"4\.\d\.\d .*", r"127\.2\.0\.(0/24|5)|network",
                      control="limit")
        with s.connect("127.2.1.1") as c:
            s.taken(c.banner, "another /24 is taken", (220,))
        s.reload(smtp__trusted_networks=["127.2.0.0/24"])
        with s.connect("127.2.0.5") as c:
            s.taken(c.banner, "a trusted network is not held to it", (220,))
        s.reload(smtp__trusted_networks=[], smtp__max_connections_per_network=6)
        held.append(s.connect("127.2.0.6"))
        s.taken(held[-1].banner, "the 5th connection after the limit was raised", (220,))
        s.reload(smtp__max_connections_per_network=0)
        held += [s.connect(f"127.2.0.{i}") for i in range(10, 20)]
        s.expect(all(c.banner.code == 220 for c in held), "0 is no limit", [c.banner for c in held])
        close_all(held)


@part
def total(lab):
    with lab.server(settings={"smtp.max_connections": 20, "smtp.trusted_networks": ["127.3.9.0/24"]}) as s:
        s.taken(s.deliver("127.3.8.1", "user@in.example"), "a client delivers a message")
        time.sleep(0.2)
        held = [s.connect(f"127.3.{i}.1") for i in range(18)]
        s.expect(all(c.banner.code == 220 for c in held), "18 of 20 connections are for anybody",
                 [c.banner for c in held if c.banner.code != 220])
        with s.connect("127.3.100.1") as c:
            s.refused(c.banner, "the last tenth is not for an unknown client", (421,), r"4\.\d\.\d .*", "connections",
                      control="limit")
        with s.connect("127.3.8.1") as c, s.connect("127.3.9.1") as d:
            s.taken(c.banner, "it is for a client that delivered mail", (220,))
            s.taken(d.banner, "and for a trusted network", (220,))
            with s.connect("127.3.9.2") as e:
                s.taken(e.banner, "the 21st connection is taken from nobody", (421,))
        close_all(held)
        # Connections are a resource too: that the pressure is over is seen at its next look.
        deadline = time.monotonic() + 5
        while True:
            with s.connect("127.3.100.1") as c:
                if c.banner.code == 220 or time.monotonic() > deadline:
                    break
            time.sleep(0.1)
        s.taken(c.banner, "there is room again", (220,))


@part
def rates(lab):
    with lab.server(settings={"smtp.rate_limit.connections_per_minute": 5}) as s:
        got = []
        for _ in range(6):
            with s.connect("127.4.0.1") as c:
                got.append(c.banner)
        s.expect([r.code for r in got[:5]] == [220] * 5, "5 connections a minute are taken", got)
        s.refused(got[5], "the 6th connection within a minute", (421,), r"4\.\d\.\d .*", "minute", control="limit")
        s.lists("limits", "127.4.0.1")
        s.operate("limits", "release", "127.4.0.1")
        with s.connect("127.4.0.1") as c:
            s.taken(c.banner, "released by the operator", (220,))
        codes = []
        for i in range(1, 31):
            with s.connect(f"127.4.1.{i}") as c:
                codes.append(c.banner)
        taken = sum(r.code == 220 for r in codes)
        s.expect(5 < taken < 30 and codes[0].code == 220, "addresses of one /24 share its rate, a few times that of one",
                 f"{taken} of 30")
        refused = next((r for r in codes if r.code != 220), None)
        if refused:
            s.refused(refused, "a /24 over its rate", (421,), r"4\.\d\.\d .*", r"127\.4\.1\.0/24|network", control="limit")
        s.reload(smtp__rate_limit__connections_per_minute=0)
        with s.connect("127.4.1.40") as c:
            s.taken(c.banner, "no rate, no refusal", (220,))
        messages(s)
        recipients(s)


def messages(s):
    s.reload(smtp__rate_limit__messages_per_minute=3)
    with s.connect("127.4.2.1") as c:
        c.hello()
        got = []
        for i in range(3):
            c.mail("a@sender.example"), c.rcpt("user@in.example")
            got.append(c.data(message(f"rate {i}")))
        s.expect([r.code for r in got] == [250] * 3, "3 messages a minute are taken", got)
        reply = c.mail("a@sender.example")
    # What a session did is recorded when it ends.
    s.refused(reply, "the 4th message within a minute", (421, 450, 451, 452), r"4\.\d\.\d .*", "minute", control="limit")
    with s.connect("127.4.3.1") as c:
        c.hello()
        s.taken(c.mail("a@sender.example"), "another address may")
    got = []
    for i in range(14):
        with s.connect(f"127.4.6.{i + 1}") as c:
            c.hello()
            got.append(c.mail("a@sender.example"))
    s.expect([r.code for r in got[:12]] == [250] * 12 and got[13].code == 451 and "network" in got[13].text,
             "a /24 shares four times the rate of an address", got[11:])
    s.reload(smtp__rate_limit__network_factor=1)
    got = []
    for i in range(4):
        with s.connect(f"127.4.7.{i + 1}") as c:
            c.hello()
            got.append(c.mail("a@sender.example"))
    s.refused(got[3], "with smtp.rate_limit.network_factor=1 a /24 has the rate of an address", (451,), r"4\.\d\.\d .*network.*",
              r"network_factor gives a network 1 times that", control="limit")
    s.expect([r.code for r in got[:3]] == [250] * 3, "and no less", got)
    s.reload(smtp__rate_limit__network_factor=4, smtp__rate_limit__messages_per_minute=0)
    with s.connect("127.4.2.1") as c:
        c.hello()
        s.taken(c.mail("a@sender.example"), "after the change the first may too")


def recipients(s):
    s.reload(smtp__rate_limit__recipients_per_minute=4)
    with s.open("127.4.5.1") as c:
        got = [c.rcpt(f"user+{i}@in.example") for i in range(5)]
        s.expect([r.code for r in got[:4]] == [250] * 4, "4 recipients a minute are taken", got)
        if got[4].code != 421:
            s.taken(c.data(message("to four")), "the message goes to those that were taken")
    s.refused(got[4], "the 5th recipient within a minute", (421, 450, 451, 452), r"4\.\d\.\d .*", "recipients",
              control="limit")
    s.reload(smtp__rate_limit__recipients_per_minute=0)
    with s.open("127.4.5.1") as c:
        s.taken(c.rcpt("user@in.example"), "after the change all are taken")


@part
def logins(lab):
    with lab.server(settings={"smtp.rate_limit.failed_logins": 3}) as s:
        def attempt(source, password):
            with s.connect(source, port=s.users) as c:
                if c.banner.code != 220:
                    return c.banner
                c.hello()
                c.starttls()
                c.hello()
                return c.login("user@in.example", password)
        got = [attempt("127.5.0.1", "wrong") for _ in range(3)]
        s.expect([r.code for r in got] == [535] * 3, "3 wrong passwords are answered 535", got)
        s.refused(attempt("127.5.0.1", PASSWORD), "a further login of that address, with the right password",
                  (421, 451, 454), r"4\.7\.\d .*", r"login|password|AUTH", control="limit")
        s.taken(attempt("127.5.1.1", PASSWORD), "another address logs in", (235,))
        s.lists("limits", "127.5.0.1")
        s.reload(smtp__rate_limit__failed_logins=0)
        s.taken(attempt("127.5.0.1", PASSWORD), "without that limit the first does too", (235,))
        s.reload(smtp__rate_limit__failed_logins=3)
        got = [attempt("127.5.2.1", "wrong") for _ in range(4)]
        s.expect(got[3].code != 535, "a 4th wrong password is not looked at", got)
        s.operate("limits", "release", "127.5.2.1")
        s.taken(attempt("127.5.2.1", PASSWORD), "released by the operator", (235,))
        got = [attempt("127.5.3.1", "wrong") for _ in range(4)]
        s.reload(smtp__trusted_networks=["127.5.3.0/24"])
        s.taken(attempt("127.5.3.1", PASSWORD), "a trusted network may try on", (235,))


# -- refusals that are no defence's, and floods ------------------------------------------------------------------------

@part
def refusals(lab):
    with lab.server(settings={"smtp.max_connections_per_ip": 100}) as s:
        begun = s.metric("martlet_ledger_records_total")
        with s.connect("127.5.8.1") as c:
            s.refused(c.mail("a@sender.example"), "MAIL before EHLO", (503,), "EHLO or HELO first", "still open",
                      control="protocol")
            c.hello()
            s.refused(c.mail("no address"), "a sender that is no address", (501,), "sender address", "still open",
                      control="protocol")
            c.mail("a@sender.example")
            s.refused(c.rcpt("nobody@in.example"), "an unknown recipient", (550,), "No such mailbox", "still open",
                      r"<nobody@in\.example>", "account add", control="directory")
            s.refused(c.rcpt("x@elsewhere.example"), "relaying", (550,), "Relaying denied", "still open",
                      "smtp.relay_networks", control="directory")
            s.refused(c.rcpt("not an address"), "a recipient that is no address", (501,), "recipient address",
                      control="protocol")
            s.refused(c.say("DATA"), "DATA without a recipient", (554,), "No valid recipients", control="protocol")
            reply = c.say("BLAH")
            s.refused(reply, "no command", (500,), "not recognised", "nobody@in", control="protocol")
        s.explain(reply.id, "ended at", "7 of them rejected", "2 recipients refused")
        s.expect(s.metric("martlet_ledger_records_total") - begun == 1, "one record for the session",
                 s.metric("martlet_ledger_records_total") - begun)
        with s.connect("127.5.8.2", port=s.users) as c:
            c.hello()
            c.starttls()
            c.hello()
            s.refused(c.mail("user@in.example"), "MAIL without a login", (530,), "Authentication required", "log in",
                      control="protocol")
            s.refused(c.login("user@in.example", "wrong"), "a wrong password", (535,), "invalid", "user@in.example",
                      control="login")
            s.taken(c.login("user@in.example", PASSWORD), "the right one", (235,))
            s.refused(c.mail("other@in.example"), "a sender that is not the user's", (553,), "not yours", "alias",
                      control="directory")
        # A flood: every reply has an id, and every id a record that says how many it stands for.
        s.reload(smtp__max_connections_per_ip=1)
        held = s.connect("127.5.8.3")
        told = []
        for _ in range(20):
            waiting = [s.connect("127.5.8.3", banner=False) for _ in range(250)]
            told += [c.reply() for c in waiting]
            close_all(waiting)
            if s.metric("martlet_refusals_summarised_total"):
                break
        ids = [r.id for r in told]
        s.expect(s.metric("martlet_refusals_summarised_total") > 0, f"of {len(told)} refusals some share a record")
        s.expect(all(ids) and all(r.code == 421 for r in told), "each of them ends with an id", told[:3])
        most = max(set(ids), key=ids.count)
        time.sleep(1.5)
        s.explain(most, f"{ids.count(most)} connections of 127\\.5\\.8\\.0/24 refused", "limit", "max_connections_per_ip")
        known = sum(s.run("explain", i).returncode == 0 for i in set(ids))
        s.expect(known == len(set(ids)), "every id is known", f"{known} of {len(set(ids))}")
        held.close()


# -- PROXY -------------------------------------------------------------------------------------------------------------

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def proxy2(source, command=1, family=1, checksum=None, tlvs=b""):
    """A version 2 header. `checksum`: None, "good" or "bad"."""
    if family == 1:
        addresses = socket.inet_aton(source) + socket.inet_aton("192.0.2.25") + struct.pack("!HH", 40_000, 25)
    elif family == 2:
        addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "2001:db8::25")
        addresses += struct.pack("!HH", 40_000, 25)
    else:
        addresses = b""
    head = b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, (family << 4 | 1) if family else 0])
    if checksum:
        tlvs += b"\x03\x00\x04\0\0\0\0"
    data = head + struct.pack("!H", len(addresses) + len(tlvs)) + addresses + tlvs
    if checksum:
        value = crc32c(data) ^ (checksum == "bad")
        data = data[:-4] + struct.pack("!I", value)
    return data


@part
def proxy(lab):
    port = free_port()
    listener = {"address": f"127.0.0.1:{port}", "kind": "mx", "tls": "starttls", "proxy_protocol": True}
    settings = {"smtp.proxy_networks": ["127.6.0.0/24"], "smtp.max_connections_per_ip": 2}
    with lab.server(settings=settings, listeners=[listener]) as s:
        def through(header, source="127.6.0.1", **options):
            return s.connect(source, port=port, first=header, timeout=15, **options)

        v1 = b"PROXY TCP4 192.0.2.%d 192.0.2.25 40000 25\r\n"
        cases = [("version 1", v1 % 1, "192.0.2.1"), ("version 2", proxy2("192.0.2.2"), "192.0.2.2"),
                 ("version 2 with a checksum", proxy2("192.0.2.3", checksum="good"), "192.0.2.3"),
                 ("version 2 with other fields", proxy2("192.0.2.4", tlvs=b"\x02\x00\x03a.b\x30\x00\x01x"), "192.0.2.4"),
                 ("version 1, IPv6", b"PROXY TCP6 2001:db8::1 2001:db8::25 40000 25\r\n", "2001:db8::1"),
                 ("version 2, IPv6", proxy2("2001:db8::2", family=2), "2001:db8::2"),
                 ("version 1, UNKNOWN", b"PROXY UNKNOWN\r\n", "127.6.0.1"),
                 ("version 2, LOCAL", proxy2("192.0.2.9", command=0), "127.6.0.1")]
        for what, header, address in cases:
            with through(header) as c:
                ok = c.banner.code == 220 and c.hello().code == 250
                ok = ok and c.mail("a@sender.example").code == 250 and c.rcpt("user@in.example").code == 250
                reply = c.data(message(what)) if ok else c.banner
                s.taken(reply, f"{what} from a trusted proxy")
                found = re.search(r"\b([0-9A-HJKMNP-TV-Z]{13})\b", reply.text)
                if found:
                    raw = s.run("mailbox", "read", "user@in.example", found[1], "--raw").stdout.decode(errors="replace")
                    received = re.sub(r"\r?\n[ \t]+", " ", raw).split("\n", 2)[1:2]
                    s.expect(address in "".join(received), f"{what}: the message was received from {address}", received)
                    if address.startswith("192"):
                        s.explain(found[1], address.replace(".", r"\."))
        with through((v1 % 50) + b"EHLO early.example\r\n") as c:
            s.taken(c.banner, "what follows the header is not lost: banner", (220,))
            s.taken(c.reply(), "what follows the header is not lost: EHLO", (250,))
        held = [through(v1 % 77) for _ in range(2)]
        with through(v1 % 77) as c:
            s.refused(c.banner, "the client behind the proxy is the one held to limits", (421,), r"4\.\d\.\d .*",
                      r"192\.0\.2\.77", control="limit")
        with through(v1 % 78) as c:
            s.taken(c.banner, "another client behind the same proxy", (220,))
        close_all(held)
        bad = {"a wrong checksum": proxy2("192.0.2.1", checksum="bad"), "no header": b"EHLO x.example\r\n",
               "a bad address": b"PROXY TCP4 192.0.2.300 192.0.2.25 1 25\r\n", "a line too long": b"PROXY UNKNOWN " + b"x" * 200,
               "version 3": b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c" + bytes(12)}
        for what, header in bad.items():
            with through(header) as c:
                s.refused(c.banner, what, (421,), r"4\.7\.0 .*", "malformed", r"127\.6\.0\.1", control="proxy")
                s.expect(c.is_closed(4), f"closed: {what}")
        with through(v1 % 1, source="127.6.1.1") as c:
            s.refused(c.banner, "a header from elsewhere", (421,), r"4\.7\.0 .*", "untrusted", r"127\.6\.1\.1",
                      control="proxy")
            s.expect(c.is_closed(3), "and it is closed")
        begun = time.monotonic()
        with through(b"", banner=False) as c:
            reply = c.reply()
            s.refused(reply, "a proxy that says nothing", (421,), r"4\.7\.0 .*", "timeout", control="proxy")
            s.expect(4 < reply.seconds < 8, "within 5 s", reply)
            s.expect(c.is_closed(3), "and it is closed")
        with s.connect("127.6.0.1", first=v1 % 1) as c:
            s.expect(c.banner.code == 220, "a listener without proxy_protocol takes no header for one", c.banner)
            s.expect(c.reply().code in (500, 502, 554, 550, 421), "there it is an unknown command")
        s.reload(smtp__proxy_networks=["127.6.1.0/24"])
        with through(v1 % 1, source="127.6.1.1") as c:
            s.taken(c.banner, "after the change the other network is trusted", (220,))
        with through(v1 % 1, source="127.6.0.1") as c:
            s.taken(c.banner, "and the first is not", (421,))


# -- greylisting -------------------------------------------------------------------------------------------------------

@part
def greylist(lab):
    with lab.server(names=True, domains=("grey.example", "open.example")) as s:
        to = "user@grey.example"

        def look(source, recipient, sender="a@plain.example", helo="client.lab.example"):
            return s.probe(source, recipient, sender, helo)
        s.taken(look("127.8.0.1", to), "off by default")
        s.set("grey.example", "greylist=true", "greylist_delay=5")
        first = s.swaks("127.8.0.1", to, "a@plain.example")
        s.refused(first, "a new triplet", (450,), r"4\.7\.1 .*(greylist|minutes|seconds)", r"127\.8\.0\.|network", "new",
                  control="greylist")
        s.expect(s.defended("greylist", "deferred") >= 1, "counted as greylist/deferred")
        again = look("127.8.0.1", to)
        s.refused(again, "an early retry", (450,), r"4\.7\.1 ", control="greylist")
        s.taken(look("127.8.0.1", "user@open.example"), "another domain does not greylist")
        s.taken(look("127.8.0.1", to, sender="b@plain.example"), "another sender is another triplet", (450,))
        s.lists("greylist", "127.8.0.0/24")
        s.expect("grey.example" in (s.operate("greylist", "list", "--to-domain", "grey.example") or ""),
                 "greylist list --to-domain")
        # Release now.
        s.operate("greylist", "release", "--client", "127.8.0.1")
        s.taken(s.deliver("127.8.0.1", to, "a@plain.example"), "released by the operator")
        s.taken(look("127.8.0.77", to), "known for the whole /24")
        other = look("127.8.1.1", to)
        s.taken(other, "not for another /24", (450,))
        if other.id:
            s.operate("greylist", "release", "--id", other.id)
            s.taken(look("127.8.1.1", to), "released by the id of the reply")
        # A domain that SPF proves stands for all its clients.
        s.taken(look("127.8.40.1", to, sender="a@sender.example"), "a proven domain is new", (450,))
        proven = look("127.8.41.1", to, sender="a@sender.example")
        s.expect(proven.code == 450 and "early" in proven.text, "from another of its clients it is the same", proven)
        s.lists("greylist", "sender.example")
        if proven.id:
            s.operate("greylist", "release", "--id", proven.id)
            s.taken(look("127.8.42.1", to, sender="a@sender.example"), "released by the id of the reply, for all of them")
        # The early reply that closes.
        s.set("grey.example", "greylist_early_retry_reply=421")
        with s.open("127.8.2.1", "c@plain.example") as c:
            s.taken(c.rcpt(to), "a new triplet is still 450", (450,))
            s.taken(c.rcpt("user@open.example"), "and its session goes on")
        with s.open("127.8.2.1", "c@plain.example") as c:
            reply = c.rcpt(to)
            s.expect(c.is_closed(), "an early retry closes the connection")
        s.refused(reply, "an early retry", (421,), r"4\.7\.1 ", control="greylist")
        s.set("grey.example", "greylist_early_retry_reply=450")
        # Tags of senders do not make new triplets.
        look("127.8.3.1", to, sender="prvs=1234abcdef=tag@plain.example")
        look("127.8.3.1", to, sender="prvs=5678abcdef=tag@plain.example")
        rows = [l for l in (s.operate("greylist", "list", "--to-domain", "grey.example") or "").splitlines()
                if "127.8.3.0" in l]
        s.expect(len(rows) == 1, "two BATV tags of one sender are one triplet", rows)
        # Who is not greylisted.
        s.taken(look("127.8.4.1", to), "before the exception", (450,))
        s.operate("greylist", "allow", "127.8.4.0/24")
        s.taken(look("127.8.4.1", to), "a client on the operators' allow list")
        s.operate("greylist", "allow", "127.8.4.0/24", "--remove")
        s.taken(look("127.8.4.1", to), "taken off the list", (450,))
        s.set("grey.example", "greylist_skip_domains=sender.example")
        s.taken(look("127.8.5.1", to, sender="a@sender.example"), "a sender's domain that is skipped, proven by SPF")
        s.taken(look("127.8.5.1", to, sender="x@other.example"), "another domain is not", (450,))
        s.set("grey.example", "greylist_skip_domains=other.example")
        s.taken(look("127.8.5.2", to, sender="x@other.example"), "a skipped domain that SPF does not prove", (450,))
        s.set("grey.example", "greylist_skip_domains=none")
        address = "127.8.6.1"
        lab.names.clean(address)
        lab.names.list("welcome.lab.example", address)
        s.set("grey.example", "lists=welcome.lab.example=-5", "greylist_skip_score=-1")
        s.taken(look(address, to, helo=lab.names.clean(address)), "a client that a welcome list names")
        s.taken(look("127.8.7.1", to), "one that no list names", (450,))
        s.set("grey.example", "lists=none")
        with s.connect("127.8.8.1", port=s.users) as c:
            c.hello(), c.starttls(), c.hello()
            c.login("user@open.example", PASSWORD), c.mail("user@open.example")
            s.taken(c.rcpt(to), "a user who logged in")
        # The null sender: RFC 5321 §4.5.5 and callbacks want RCPT answered.
        with s.open("127.8.9.1", "") as c:
            s.taken(c.rcpt(to), "the null sender: RCPT is taken")
            reply = c.data(message("report"))
        s.refused(reply, "the null sender: deferred at the end of data", (450, 451), r"4\.7\.1 ", control="greylist")
        # Restarts.
        s.taken(look("127.8.10.1", to), "a triplet before a restart", (450,))
        time.sleep(1.5)
        s.stop(signal.SIGKILL)
        s.start()
        s.lists("greylist", "127.8.10.0/24")
        s.taken(look("127.8.0.1", to), "what was known is known after kill -9")
        s.taken(look("127.8.10.1", to), "what waited waits", (450,))
        s.operate("greylist", "forget", "--to-domain", "grey.example")
        s.lists("greylist", "127.8.0.0/24", there=False)
        s.taken(look("127.8.0.1", to), "what was forgotten is new", (450,))
        s.set("grey.example", "greylist=false")
        s.taken(look("127.8.0.1", to), "off again")
        figures = {k: v for k, v in s.metrics().items() if "greylist" in k and v}
        s.expect(any("martlet_greylist" in k for k in figures), "counters of its own", figures)
        print("         " + ", ".join(f"{k} {v:g}" for k, v in sorted(figures.items()) if "bucket" not in k))


@part
def unasked(lab):
    """Without checks of authentication, greylisting knows clients by their network and asks nothing."""
    dead = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dead.bind(("127.0.0.1", 0))
    dead.setblocking(False)
    settings = {"dns.forward": [f"127.0.0.1@{dead.getsockname()[1]}"], "dns.trust_anchor_file": "/dev/null"}
    with lab.server(domains=("grey.example",), settings=settings) as s:
        s.set("grey.example", "greylist=true", "greylist_delay=15m")
        to, seen = "user@grey.example", b""
        reply = s.probe("127.8.6.1", to, "a@asked.example")
        s.expect(reply.seconds < 1, "the first RCPT does not wait for a DNS that is silent", reply)
        s.refused(reply, "greylisted by network", (450,), r"4\.7\.1 Greylisted", r"127\.8\.6\.0/24",
                  "auth.enabled is false", control="greylist")
        s.lists("greylist", "127.8.6.0/24")
        s.operate("greylist", "release", "--client", "127.8.6.1")
        s.taken(s.deliver("127.8.6.2", to, "a@asked.example"), "its network is known by it")
        try:
            while True:
                seen += dead.recv(4096)
        except BlockingIOError:
            pass
        s.expect(b"asked" not in seen, "nothing is asked about the sender's domain", seen)
    dead.close()


# -- tarpitting --------------------------------------------------------------------------------------------------------

@part
def tarpit(lab):
    with lab.server(domains=("tar.example", "fast.example")) as s:
        def bad(source, count, domain="tar.example"):
            with s.open(source) as c:
                return [c.rcpt(f"nobody-{i}@{domain}") for i in range(count)], c.rcpt(f"user@{domain}")

        def seconds(replies):
            return [round(r.seconds, 2) for r in replies]
        replies, _ = bad("127.9.0.1", 4)
        s.expect(max(seconds(replies)) < 0.9, "off by default", seconds(replies))
        s.set("tar.example", "tarpit=true", "tarpit_max_delay=2")
        held = s.metric("martlet_tarpit_delay_seconds_count")
        replies, good = bad("127.9.1.1", 4)
        got = seconds(replies)
        s.expect(got[0] < 0.9 and 0.95 <= got[1] < 1.9 and 1.95 <= got[2] < 3.5 and 1.95 <= got[3] < 3.5,
                 "delays of 0, 1, 2 and, at most, 2 s", got)
        s.expect(all(r.code == 550 for r in replies), "the replies are those that they would have been", replies)
        s.taken(good, "a good recipient after them")
        s.expect(s.defended("tarpit", "slowed") == 3, "each recipient counts once as tarpit/slowed",
                 s.defended("tarpit", "slowed"))
        s.expect(s.metric("martlet_tarpit_delay_seconds_count") - held == 3, "each delay is counted")
        s.expect(len({r.id for r in replies}) == 1, "they end with one id", [r.id for r in replies])
        s.explain(replies[0].id, "tarpit", "slowed|waiting", r"directory refused <nobody-\d@tar\.example>", "ended at")
        s.lists("tarpit", "127.9.1.1")
        replies, _ = bad("127.9.1.1", 1, "fast.example")
        s.expect(seconds(replies)[0] < 0.9, "another domain does not slow the same client", seconds(replies))
        replies, _ = bad("127.9.2.1", 1)
        s.expect(seconds(replies)[0] < 0.9, "another address begins anew", seconds(replies))
        # Others are served meanwhile, and answers keep their order.
        with s.open("127.9.1.1") as slow:
            slow.socket.sendall(b"RCPT TO:<nobody@tar.example>\r\nRCPT TO:<user@tar.example>\r\nRSET\r\nNOOP\r\n")
            begun = time.monotonic()
            s.taken(s.deliver("127.9.3.1", "user@tar.example"), "another client's mail is taken meanwhile")
            s.expect(time.monotonic() - begun < 1.9, "without waiting", f"{time.monotonic() - begun:.2f} s")
            order = [slow.reply().code for _ in range(4)]
            s.expect(order == [550, 250, 250, 250], "answers of a slowed pipeline keep their order", order)
            s.expect(time.monotonic() - begun > 1.9, "and wait for the slowed one", f"{time.monotonic() - begun:.2f} s")
        with s.open("127.9.1.1") as slow:
            slow.socket.sendall(b"RCPT TO:<nobody@tar.example>\r\n")
            time.sleep(0.3)
            gauges = {k: v for k, v in s.metrics().items() if "held" in k and v}
            s.expect(gauges, "a gauge of held sessions", "none is above 0")
            reply = slow.reply()
            slow.socket.sendall(b"RCPT TO:<nobody@tar.example>\r\n")
            s.explain(reply.id, "still open", "tarpit slowed", "held back for|goes on")
            slow.reply()
        s.reload(smtp__max_held_sessions=1)
        skipped = s.metric("martlet_tarpit_skipped_total")
        with s.open("127.9.1.1") as one, s.open("127.9.1.1") as other:
            one.socket.sendall(b"RCPT TO:<nobody@tar.example>\r\n")
            time.sleep(0.2)
            reply = other.rcpt("nobody@tar.example")
            s.expect(reply.code == 550 and reply.seconds < 0.9, "no more are held than may be", reply)
            reply = one.reply()
            s.expect(reply.seconds > 0.9, "the one that is held stays so", reply)
        more = s.metric("martlet_tarpit_skipped_total") - skipped
        s.expect(more == 1, "and it is counted", more)
        s.reload(smtp__max_held_sessions=100)
        replies, _ = bad("127.9.1.1", 1)
        s.expect(min(seconds(replies)) >= 1.95, "with more places it is held again", seconds(replies))
        s.set("tar.example", "tarpit_max_delay=1")
        replies, _ = bad("127.9.1.1", 2)
        s.expect(all(0.95 <= r < 1.9 for r in seconds(replies)), "a lower cap holds from the next reply on",
                 seconds(replies))
        s.set("tar.example", "tarpit_allow=127.9.1.0/24")
        replies, _ = bad("127.9.1.1", 2)
        s.expect(max(seconds(replies)) < 0.9, "the domain's allow-list", seconds(replies))
        s.set("tar.example", "tarpit_allow=none")
        replies, _ = bad("127.9.1.1", 1)
        s.expect(min(seconds(replies)) >= 0.95, "without it again", seconds(replies))
        s.operate("tarpit", "allow", "127.9.1.1")
        replies, _ = bad("127.9.1.1", 1)
        s.expect(max(seconds(replies)) < 0.9, "the operators' allow-list", seconds(replies))
        s.operate("tarpit", "allow", "127.9.1.1", "--remove")
        s.operate("tarpit", "release", "127.9.1.1")
        replies, _ = bad("127.9.1.1", 2)
        got = seconds(replies)
        s.expect(got[0] < 0.9 and got[1] >= 0.95, "released: it begins anew", got)
        s.set("tar.example", "tarpit=false")
        replies, _ = bad("127.9.1.1", 2)
        s.expect(max(seconds(replies)) < 0.9, "off again", seconds(replies))


@part
def leaving(lab):
    """Who leaves in a hold gives its place back at once, however it leaves; who stays gets its answer in its time."""
    with lab.server(domains=("tar.example",), settings={"smtp.max_held_sessions": 3}) as s:
        s.set("tar.example", "tarpit=true", "tarpit_max_delay=8")

        def gauges():
            m = s.metrics()
            return (m["martlet_tarpit_held_sessions"], m['martlet_smtp_sessions{listener="mx"}'])

        def settles(wanted, what):
            begun = time.monotonic()
            while gauges() != wanted and time.monotonic() - begun < 3:
                time.sleep(0.02)
            s.expect(gauges() == wanted, what, f"held, sessions: {gauges()} after {time.monotonic() - begun:.2f} s")

        def hold(source, more=b"", tls=False):
            c = s.open(source)
            if tls:
                c.say("RSET"), c.say("STARTTLS")
                c.socket = tls_context().wrap_socket(c.socket)
                c.lines = c.socket.makefile("rb")
                c.hello(), c.mail("a@sender.example")
            c.socket.sendall(b"RCPT TO:<nobody@tar.example>\r\n" + more)
            return c

        def reset(c):
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            close(c)

        def close(c):
            c.lines.close()
            c.socket.close()
        sources = [f"127.9.4.{i}" for i in range(1, 4)]
        for source in sources:
            with s.open(source) as c:
                for i in range(5):
                    c.socket.sendall(b"RCPT TO:<nobody@tar.example>\r\n")
        settles((0, 0), "before")
        behind = {"nothing": b"", "commands": b"RCPT TO:<user@tar.example>\r\nNOOP\r\n" * 40, "100 KiB": b"NOOP\r\n" * 17000}
        for what, leave in (("close", close), ("reset", reset)):
            for name, more in behind.items():
                held = [hold(source, more) for source in sources]
                settles((3, 3), f"{what} with {name} behind it: three are held")
                for c in held:
                    leave(c)
                settles((0, 0), f"{what} with {name} behind it: place and connection are free at once")
        with hold(sources[0], tls=True) as c:
            settles((1, 1), "held inside TLS")
            close(c)
            settles((0, 0), "closed inside TLS: free at once")
        with hold(sources[0], b"RCPT TO:<user@tar.example>\r\nQUIT\r\n") as c:
            settles((1, 1), "held, with commands behind it")
            c.socket.shutdown(socket.SHUT_WR)
            reply = c.reply()
            s.expect(reply.code == 421 and reply.seconds < 1, "a half-close is answered 421 at once, not by the answer", reply)
            s.expect(c.is_closed(2), "and closed; what was behind it is not looked at")
        settles((0, 0), "free at once")
        for half in (False, True):
            with s.connect(sources[0], port=s.users) as c:
                c.hello(), c.starttls(), c.hello()
                c.socket.sendall(b"AUTH PLAIN " + base64.b64encode(b"\0user@tar.example\0wrong") + b"\r\n")
                time.sleep(0.5)
                s.expect(gauges()[0] == 1, "a failed login is held too", gauges())
                if half:
                    socket.socket.shutdown(c.socket, socket.SHUT_WR)
                    reply = c.reply()
                    s.expect(reply.code == 421 and reply.seconds < 1, "half-closed: 421 at once", reply)
                else:
                    close(c)
                settles((0, 0), "who leaves gives its place back")
        left = s.metric("martlet_tarpit_abandoned_total")
        # Those that were held when the others made them so slow count too.
        s.expect(left >= 20, "each is counted as abandoned", left)
        time.sleep(0.2)
        said = re.findall(rb"session_refused id=(\w+) peer=127\.9\.4\.1\b", s.log_since(0))
        if s.expect(said, "the log tells the session's id", s.log_since(0)[-400:]):
            s.explain(said[-1].decode(), "tarpit", "the client left after")
        s.operate("tarpit", "release", sources[0])
        with s.open(sources[0]) as c:
            got = [c.rcpt("nobody@tar.example") for _ in range(3)]
            s.expect([r.code for r in got] == [550] * 3 and 1.9 < got[2].seconds < 3.5,
                     "who stays is answered after the delay", got)
            c.socket.sendall(b"RCPT TO:<nobody@tar.example>\r\n" + b"NOOP\r\n" * 5)
            order = [c.reply() for _ in range(6)]
            s.expect([r.code for r in order] == [550] + [250] * 5 and order[0].seconds > 3,
                     "and what it pipelined is answered behind it", order)


# -- lists and evidence ------------------------------------------------------------------------------------------------

@part
def score(lab):
    n = lab.names
    listed, both, codes, broken, silent, clean = (f"127.10.{i}.1" for i in range(1, 7))
    helo = {a: n.clean(a) for a in (listed, both, codes, broken, silent, clean)}
    for a in (listed, both):
        n.list("bl.lab.example", a, "127.0.0.2", f"https://bl.lab.example/{a}")
    n.list("more.lab.example", both, "127.0.0.4")
    n.list("codes.lab.example", codes, "127.0.0.10")
    n.list("broken.lab.example", broken, "192.0.2.1")
    n.list("silent.lab.example", silent, "SERVFAIL")
    n.list("wl.lab.example", listed, "127.0.5.1")
    port, v6 = free_port(), "2001:db8::66"
    nibbles = ".".join(reversed(socket.inet_pton(socket.AF_INET6, v6).hex()))
    n.zone.put(f"{nibbles}.bl.lab.example", {"A": ["127.0.0.2"]})
    listener = {"address": f"127.0.0.1:{port}", "kind": "mx", "tls": "none", "proxy_protocol": True}
    with lab.server(names=True, domains=("in.example", "mild.example"), listeners=[listener],
                    settings={"smtp.proxy_networks": ["127.0.0.1/32"]}) as s:
        to, mild = "user@in.example", "user@mild.example"
        s.taken(s.deliver(listed, to, helo=helo[listed]), "no list is asked by default")
        s.set("in.example", "lists=bl.lab.example=8", "score_reject=8")
        before = s.defended("score", "refused")
        reply = s.swaks(listed, to, "a@sender.example", helo[listed])
        s.refused(reply, "a listed client", (550,), r"5\.7\.1 .*bl\.lab\.example", r"bl\.lab\.example", r"\b8\b",
                  control="score")
        s.expect(f"https://bl.lab.example/{listed}" in reply.text, "the reply has the list's own text", reply)
        s.expect(s.defended("score", "refused") > before, "counted as score/refused")
        s.taken(s.probe(clean, to, helo=helo[clean]), "a client that is not listed")
        s.taken(s.probe(listed, mild, helo=helo[listed]), "another domain asks no list")
        with s.connect("127.0.0.1", port=port, first=f"PROXY TCP6 {v6} 2001:db8::25 4000 25\r\n".encode()) as c:
            c.hello(), c.mail("a@sender.example")
            reply = c.rcpt(to)
        s.refused(reply, "a listed client of IPv6, behind a proxy", (550,), r"5\.7\.1 .*bl\.lab\.example", v6,
                  control="score")
        s.taken(s.probe(listed, "postmaster@in.example", helo=helo[listed]), "postmaster takes it all the same")
        s.taken(s.probe(listed, "postmaster", helo=helo[listed]), "so does <postmaster>")
        with s.open(listed, helo=helo[listed]) as c:
            s.taken(c.rcpt(mild), "two domains in one session: the one that takes it")
            s.taken(c.rcpt(to), "two domains in one session: the one that does not", (550,))
            s.taken(c.data(message("two domains")), "and the message goes to the first")
        s.set("in.example", "lists=bl.lab.example=5,more.lab.example=2", "score_quarantine=6")
        reply = s.deliver(listed, to, helo=helo[listed], subject="five")
        s.taken(reply, "weight 5 is not enough")
        reply = s.deliver(both, to, helo=helo[both], subject="seven")
        s.taken(reply, "5 and 2 are enough for Junk")
        found = re.search(r"\b([0-9A-HJKMNP-TV-Z]{13})\b", reply.text)
        if found:
            time.sleep(0.2)
            s.expect(s.folder_of(to, found[1]) == "Junk", "it lies in Junk", s.folder_of(to, found[1]))
            s.explain(found[1], r"bl\.lab\.example", r"more\.lab\.example", r"\b7\b",
                      ": accepted into Junk at .*, quarantined by score: score 7",
                      "<user@in.example>: accept, in Junk, quarantined by score",
                      r"martlet check lists --ip \S+ --domain in.example", "score_quarantine=0")
        s.set("in.example", "score_reject=7")
        s.taken(s.probe(both, to, helo=helo[both]), "a lower threshold refuses it", (550,))
        s.set("in.example", "lists=bl.lab.example=8,wl.lab.example=-3", "score_reject=8")
        s.taken(s.deliver(listed, to, helo=helo[listed]), "a welcome list makes up for a block list")
        s.set("in.example", "lists=codes.lab.example:2-9=8")
        s.taken(s.probe(codes, to, helo=helo[codes]), "an answer outside the range counts nothing")
        s.set("in.example", "lists=codes.lab.example:2-11=8")
        s.taken(s.probe(codes, to, helo=helo[codes]), "one inside it does", (550,))
        s.set("in.example", "lists=broken.lab.example=8,silent.lab.example=8")
        s.taken(s.deliver(broken, to, helo=helo[broken]), "a list that answers outside 127.0.0.0/8 counts nothing")
        reply = s.deliver(silent, to, helo=helo[silent])
        s.taken(reply, "a list that does not answer counts nothing")
        found = re.search(r"\b([0-9A-HJKMNP-TV-Z]{13})\b", reply.text)
        if found:
            s.explain(found[1], r"silent\.lab\.example")
        s.set("in.example", "lists=none")
        s.taken(s.probe(listed, to, helo=helo[listed]), "without lists all are taken")


@part
def evidence(lab):
    n = lab.names
    good, bare, early, own = (f"127.11.{i}.1" for i in range(1, 5))
    helo = {a: n.clean(a) for a in (good, early, own)}
    with lab.server(names=True, domains=("in.example",)) as s:
        to = "user@in.example"
        s.taken(s.deliver(bare, to, helo="192.0.2.1"), "neither reverse DNS nor HELO refuses alone")
        s.set("in.example", "score_reverse=8", "score_reject=8")
        s.refused(s.probe("127.11.5.1", to), "no reverse name, where the domain says so", (550,), r"5\.7\.1 ", "reverse",
                  control="score")
        s.taken(s.probe(good, to, helo=helo[good]), "a reverse name that leads back")
        s.set("in.example", "score_reverse=0", "score_helo=8")
        for bad in ("192.0.2.1", "nodot", HOST):
            s.refused(s.probe(good, to, helo=bad), f"HELO {bad}, where the domain says so", (550,), r"5\.7\.1 ", "helo",
                      control="score")
        s.taken(s.probe(good, to, helo=helo[good]), "a HELO name that is one")
        s.set("in.example", "score_helo=0", "score_early_talker=8")
        with s.connect("127.11.9.1", first=f"EHLO {helo[early]}\r\n".encode()) as c:
            c.reply(), c.mail("a@sender.example")
            s.taken(c.rcpt(to), "by default the banner does not wait")
        s.reload(smtp__greet_wait_ms=400)
        before = s.metric("martlet_early_talkers_total")
        with s.connect(early, first=f"EHLO {helo[early]}\r\n".encode()) as c:
            # Some servers answer at once with 554; ours lets policy decide.
            reply = c.reply() if c.banner.code == 220 else c.banner
            reply = c.mail("a@sender.example") if reply.code == 250 else reply
            reply = c.rcpt(to) if reply.code == 250 else reply
        s.refused(reply, "an early talker, where the domain says so", (550,), r"5\.7\.1 ", "early|banner", control="score")
        s.expect(s.metric("martlet_early_talkers_total") == before + 1, "early talkers are counted")
        with s.open("127.11.6.1", helo=helo[own]) as c:
            s.expect(0.35 < c.banner.seconds < 1, "the wait before the banner is what was set", c.banner)
            s.taken(c.rcpt(to), "a client that waits for the banner")
        s.set("in.example", "score_early_talker=0")
        with s.connect("127.11.7.1", first=f"EHLO {helo[early]}\r\n".encode()) as c:
            c.reply(), c.mail("a@sender.example")
            s.taken(c.rcpt(to), "early talk without weight")
        s.set("in.example", "score_reverse=2", "score_helo=3", "score_early_talker=3", "score_reject=8")
        with s.connect("127.11.8.1", first=b"EHLO 192.0.2.1\r\n") as c:
            c.reply(), c.mail("a@sender.example")
            reply = c.rcpt(to)
        s.refused(reply, "2 + 3 + 3: evidence adds up", (550,), r"5\.7\.1 ", "reverse", "helo", "early|banner",
                  control="score")


# -- what other rules would have done ----------------------------------------------------------------------------------

@part
def replay(lab):
    """Refused, junked, taken, put off and held clients; then other rules tried on what was recorded of them."""
    n = lab.names
    listed, both, clean, bad = (f"127.14.{i}.1" for i in range(1, 5))
    helo = {a: n.clean(a) for a in (listed, both, clean, bad)}
    n.list("bl.lab.example", listed), n.list("bl.lab.example", both)
    n.list("more.lab.example", both, "127.0.0.4")
    with lab.server(names=True, domains=("in.example", "grey.example")) as s:
        to, grey = "user@in.example", "user@grey.example"
        s.set("in.example", "lists=bl.lab.example=6,more.lab.example=2", "score_reject=8", "score_quarantine=5")
        ids = {}

        def keep(what, reply, code):
            s.taken(reply, what, (code,))
            found = re.search(r"\b([0-9A-HJKMNP-TV-Z]{13})\b", reply.text)
            ids[what] = found[1] if found else ""
        keep("refused", s.probe(both, to, helo=helo[both]), 550)
        keep("junked", s.deliver(listed, to, helo=helo[listed]), 250)
        keep("taken", s.deliver(clean, to, helo=helo[clean]), 250)
        s.set("in.example", "tarpit=true", "tarpit_max_delay=2")
        with s.open(bad, helo=helo[bad]) as c:
            for i in range(4):
                c.rcpt(f"nobody{i}@in.example")
        keep("grey taken", s.deliver(clean, grey, helo=helo[clean]), 250)
        keep("grey again", s.deliver(clean, grey, helo=helo[clean]), 250)
        s.set("grey.example", "greylist=true", "greylist_delay=5")
        keep("put off", s.probe(bad, grey, "spam@plain.example", helo[bad]), 450)
        time.sleep(0.5)

        def tried(*settings, domain="in.example"):
            words = [w for x in settings for w in ("--set", x)]
            r = s.run("policy", "replay", "--since", "1h", "--domain", domain, "--json", *words)
            s.expect(r.returncode == 0, f"policy replay {' '.join(settings)}", r.stderr.decode())
            text = s.run("policy", "replay", "--since", "1h", "--domain", domain, *words).stdout.decode()
            print(f"    policy replay --domain {domain} {' '.join(words)}\n" + re.sub("(?m)^", "        ", text.rstrip()))
            return json.loads(r.stdout)["defense"]

        def changes(part):
            return {(c["old"], c["new"]): [e["id"] for e in c["examples"]] for c in part["changes"]}
        got = changes(tried("score_reject=20")["score"])
        s.expect(got == {("refused", "junk"): [ids["refused"]]}, "a looser threshold: Junk instead of refused", got)
        got = changes(tried("score_reject=6")["score"])
        s.expect(got == {("junk", "refused"): [ids["junked"]]}, "a stricter one", got)
        got = changes(tried("lists=bl.lab.example=1,more.lab.example=1")["score"])
        s.expect(got == {("refused", "taken"): [ids["refused"]], ("junk", "taken"): [ids["junked"]]},
                 "other weights for recorded answers", got)
        part = tried("lists=never.lab.example=9")["score"]
        s.expect(part["unknown"] == 3 and part["not_asked"] == ["never.lab.example"] and not part["changes"],
                 "a list that was not asked is not known", part)
        part = tried("tarpit_max_delay=1")["tarpit"]
        # 0, 1, 2, 2 seconds then; and the refusal of before the tarpit was on.
        s.expect((part["failures"], part["old_seconds"], part["new_seconds"], part["shorter"]) == (5, 5, 3, 1),
                 "a lower cap of the tarpit", part)
        part = tried("greylist=true", "greylist_delay=5m", domain="grey.example")["greylist"]
        s.expect(part["messages_put_off"] == 2 and 590 <= part["least_delay_seconds"] <= 600
                 and changes(part) == {("taken", "put off"): [ids["grey taken"], ids["grey again"]]},
                 "greylisting of mail that was taken", part)
        s.expect(part["senders_that_never_came_back"] == 1, "and who never came back", part)
        part = tried("greylist=false", domain="grey.example")["greylist"]
        s.expect(changes(part) == {("put off", "taken"): [ids["put off"]]}, "without greylisting", part)
        r = s.run("policy", "replay", "--set", "score_reject=20", "--since", "2h", "--until", "1h", "--json")
        s.expect(json.loads(r.stdout)["defense"]["score"]["weighed"] == 0, "--until leaves out what is later", r.stdout)


@part
def screens(lab):
    with lab.server() as s:
        s.deliver("127.12.0.1", "user@in.example")
        text = s.run("top", "--once")
        s.expect(text.returncode == 0 and re.search(rb"session|queue", text.stdout, re.I), "martlet top --once",
                 (text.stdout + text.stderr)[:300])
        r = s.run("top", "--once", "--json")
        try:
            json.loads(r.stdout)
            good = True
        except ValueError:
            good = False
        s.expect(good, "martlet top --once --json is JSON", (r.stdout + r.stderr)[:300])
        for bad in ("greylist_delay=4", "greylist_delay=481", "tarpit_max_delay=0", "tarpit_max_delay=31", "lists=no list",
                    "greylist_early_retry_reply=250", "tarpit_allow=elsewhere"):
            r = s.run("domain", "set", "in.example", bad)
            s.expect(r.returncode != 0 and bad.split("=")[0].encode() in r.stderr, f"domain set {bad} is refused", r.stderr)
        shown = s.cli("domain", "show", "in.example")
        for field in ("greylist", "greylist_delay", "tarpit", "tarpit_max_delay", "lists", "score_reject", "milters"):
            s.expect(re.search(rf"\b{field}\b", shown), f"domain show names {field}", shown[:200])


class Lab:
    def __init__(self, options):
        self.options, self.findings, self.names = options, Findings(), Names()

    def server(self, names=False, **options):
        return Server(self.options.bin, self.findings, self.names if names else None, keep=self.options.keep,
                      show=self.options.show, **options)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--only", default="", help="parts, parted by a comma: " + ", ".join(f.__name__ for f in PARTS))
    p.add_argument("--show", action="store_true", help="print what explain and the operators' commands say")
    p.add_argument("--keep", action="store_true", help="keep the servers' folders")
    o = p.parse_args()
    if not shutil.which("swaks"):
        raise SystemExit("needs swaks")
    lab, begun = Lab(o), time.monotonic()
    wanted = [w for w in o.only.split(",") if w]
    for function in PARTS:
        if wanted and function.__name__ not in wanted:
            continue
        lab.findings.section = function.__name__
        try:
            function(lab)
        except Exception:
            lab.findings.expect(False, "the part runs to its end", traceback.format_exc(limit=-2))
    print()
    for line in lab.findings.wrong:
        print("NOT MET  " + line)
    print(f"{lab.findings.count} expectations, {len(lab.findings.wrong)} not met, {time.monotonic() - begun:.0f} s")
    return 1 if lab.findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

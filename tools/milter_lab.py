#!/usr/bin/env python3
"""Mail filters: Rspamd and OpenDKIM from Debian's packages, and a scripted one that does everything a filter can do.

    /usr/bin/python3 tools/milter_lab.py [--bin .build/release] [--only packages,changes] [--show] [--keep]

Sends mail through a server whose filters change it, compares what was stored octet for octet with what was sent and what
the filters wanted, kills filters in mid-message under both failure policies, and looks at the replies, the counters and
`explain`. One line for each expectation; exits with 1 when any is not met. Needs opendkim, rspamd and python3-dkim; all is
on the loopback interface.
"""
import argparse, json, os, pwd, re, shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import defense_lab, fakedns, smtp_sink
from defense_lab import Client, Findings, Server, free_port

TO = "user@in.example"
SENDER = "alice@sender.example"
PARTS = []


def part(function):
    PARTS.append(function)
    return function


def text(subject, body=b"Hello.\r\n", more=()):
    lines = [f"From: Alice <{SENDER}>", f"To: <{TO}>", f"Subject: {subject}", "Date: Mon, 23 Nov 2026 10:00:00 +0000",
             f"Message-ID: <{subject.replace(' ', '-')}.{time.monotonic_ns()}@sender.example>", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# ---------------------------------------------------------------- the scripted filter

class Filter:
    """A milter that says what `script` tells it: by the letter of the command a packet, a list of packets, a number of
    seconds to be silent, or "die"; whatever is not in it is let through. Keeps what it heard."""

    def __init__(self, script=None, steps=0):
        self.script, self.steps, self.heard, self.open = script or {}, steps, [], []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.macros, self.stages = {}, {}
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.open.append(peer)
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        lines = peer.makefile("rb")
        try:
            while head := lines.read(4):
                data = lines.read(struct.unpack("!I", head)[0])
                if not self.answer(peer, data[:1].decode(), data[1:]):
                    break
        except OSError:
            pass
        finally:
            peer.close()

    def answer(self, peer, letter, data):
        if letter == "D":
            words = data[1:].split(b"\0")
            self.macros.update(zip(words[0::2], words[1::2]))
            self.stages[data[:1].decode()] = {k.decode(): v.decode() for k, v in zip(words[0::2], words[1::2]) if k}
            return True
        self.heard.append((letter, data))
        if letter == "Q":
            return False
        if letter == "O":
            peer.sendall(packet("O", struct.pack("!III", 6, 0x1FF, self.steps)))
            return True
        if letter == "A":
            return True
        word = self.script.get(letter, packet("c"))
        if callable(word):
            word = word(data)
        if word == "die":
            self.die()
            return False
        if isinstance(word, (int, float)):
            time.sleep(word)
            word = packet("c")
        peer.sendall(b"".join(word) if isinstance(word, list) else word)
        return True

    def die(self):
        """As if it were killed: nothing answers any more."""
        # A thread that waits in accept keeps a closed socket alive.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for peer in self.open:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            peer.close()

    def count(self, letter):
        return sum(1 for l, _ in self.heard if l == letter)

    def last(self, letter):
        return next((d for l, d in reversed(self.heard) if l == letter), None)

    def bodies(self):
        return b"".join(d for l, d in self.heard if l == "B")


def packet(letter, data=b""):
    return struct.pack("!I", len(data) + 1) + letter.encode() + data


def words(letter, *texts):
    return packet(letter, b"".join(t.encode() + b"\0" for t in texts))


def indexed(letter, index, *texts):
    return packet(letter, struct.pack("!I", index) + b"".join(t.encode() + b"\0" for t in texts))


# ---------------------------------------------------------------- the server

class MilterServer(Server):
    def __init__(self, lab, filters, **options):
        super().__init__(lab.options.bin, lab.findings, settings={"smtp.milters": filters}, keep=lab.options.keep,
                         show=lab.options.show, **options)

    def send(self, data, to=(TO,), source="127.8.1.1", during=None, parameters="", rcpt="", port=None, login=False):
        """The replies to MAIL, RCPT… and the message; `during` is called when half of the message was sent."""
        with Client(port or self.port, source) as c:
            c.hello()
            if login:
                c.starttls()
                c.hello()
                c.login(TO, defense_lab.PASSWORD)
            replies = [c.say(f"MAIL FROM:<{TO if login else SENDER}>{parameters}")]
            if replies[0].code != 250:
                return replies
            replies += [c.say(f"RCPT TO:<{r}>{rcpt}") for r in to]
            if not any(r.code == 250 for r in replies[1:]):
                return replies
            replies.append(c.say("DATA"))
            if replies[-1].code != 354:
                return replies
            stuffed = re.sub(rb"(?m)^\.", b"..", data)
            if during:
                half = len(stuffed) // 2
                c.socket.sendall(stuffed[:half])
                time.sleep(0.5)
                during()
                time.sleep(0.2)
                stuffed = stuffed[half:]
            replies.append(c.say(stuffed + b"."))
            c.say("QUIT")
            return replies

    def stored(self, subject, address=TO, folder="Inbox", count=1):
        """The raw messages with that subject somewhere in a mailbox, newest first; waits for `count` of them."""
        deadline = time.monotonic() + 5
        while True:
            found = []
            for item in json.loads(self.cli("mailbox", "list", address, "--folder", folder, "--json") or "[]"):
                raw = self.run("mailbox", "read", address, item["id"], "--raw").stdout
                if subject.encode() in raw.partition(b"\r\n\r\n")[0]:
                    found.append(raw)
            if len(found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


OURS = (b"received:", b"return-path:", b"authentication-results:", b"delivered-to:", b"x-martlet-", b"arc-")


def fields(raw):
    header, _, body = raw.partition(b"\r\n\r\n")
    return re.split(rb"\r\n(?![ \t])", header), body


def behind_trace(raw):
    """The message without the fields a server puts on top of it."""
    lines, body = fields(raw)
    while lines and lines[0].lower().startswith(OURS):
        lines.pop(0)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Lab:
    def __init__(self, options):
        self.options, self.findings = options, Findings()

    def entry(self, port, name="scripted", **more):
        address = port if isinstance(port, str) else f"127.0.0.1:{port}"
        return {"name": name, "address": address, "listeners": ["mx"], "timeout": "5s", **more}

    def server(self, filter, **more):
        return MilterServer(self, [self.entry(filter.port, **more)])


# ---------------------------------------------------------------- Rspamd and OpenDKIM

class Daemon:
    """A filter's process in the folder of the part."""

    def __init__(self, folder, name, *command):
        self.log = os.path.join(folder, name + ".log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not start")
        time.sleep(0.05)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def opendkim(folder, key, socket_path):
    for name, content in (("keytable", f"one sender.example:one:{key}\n"), ("signingtable", "* one\n"), (
            "opendkim.conf",
            f"Socket local:{socket_path}\nBackground no\nSyslog no\nRequireSafeKeys no\nMode s\n"
            "Canonicalization relaxed/simple\nOversignHeaders From\n"
            f"InternalHosts file:{folder}/hosts\nExternalIgnoreList file:{folder}/hosts\n"
            f"KeyTable file:{folder}/keytable\nSigningTable refile:{folder}/signingtable\n"), (
            "hosts", "127.0.0.0/8\n")):
        with open(os.path.join(folder, name), "w") as f:
            f.write(content)
    daemon = Daemon(folder, "opendkim", "opendkim", "-f", "-x", os.path.join(folder, "opendkim.conf"))
    wait_for(lambda: os.path.exists(socket_path), "OpenDKIM")
    return daemon


def rspamd(folder, port, dns_port):
    share = "/usr/share/rspamd"
    with open(os.path.join(folder, "rspamd.conf"), "w") as f:
        f.write(f"""
options {{ pidfile = "{folder}/pid"; tempdir = "{folder}"; filters = "dkim"; local_addrs = []; history_file = "";
  url_tld = "{folder}/tld"; dns {{ nameserver = ["127.0.0.1:{dns_port}:1"]; timeout = 1s; retransmits = 1; }}
  control_socket = "{folder}/control mode=0600"; hs_cache_dir = "{folder}"; disable_hyperscan = true;
  enable_test_patterns = true; }}
logging {{ type = "console"; level = "notice"; }}
worker "rspamd_proxy" {{ bind_socket = "127.0.0.1:{port}"; count = 1; milter = yes; timeout = 20s;
  upstream "local" {{ default = yes; self_scan = yes; }} }}
actions {{ reject = 15; rewrite_subject = 8; add_header = 6; subject = "[rspamd] %s"; }}
modules {{ path = "{share}/plugins/milter_headers.lua"; }}
milter_headers {{ use = ["x-spamd-bar", "x-spam-level", "x-spam-status"]; skip_local = false; skip_authenticated = false;
  extended_spam_headers = false; }}
""")
    with open(os.path.join(folder, "tld"), "w") as f:
        f.write("com\nexample\n")
    user = []
    if os.geteuid() == 0:
        entry = pwd.getpwnam("_rspamd")
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        user = ["-u", "_rspamd", "-g", "_rspamd"]
    daemon = Daemon(folder, "rspamd", "rspamd", "-f", *user, "-c", os.path.join(folder, "rspamd.conf"))
    wait_for(lambda: answers(port), "Rspamd")
    return daemon


def make_key(lab, folder):
    out = json.loads(subprocess.run([os.path.join(lab.options.bin, "martlet"), "dkim", "generate", "--type", "rsa",
                                     "--selector", "one", "--json", "sender.example"], check=True,
                                    stdout=subprocess.PIPE).stdout)
    path = os.path.join(folder, "key.pem")
    with open(path, "w") as f:
        f.write(out["private_key"])
    os.chmod(path, 0o644)
    return path, out["record"]


@part
def packages(lab):
    """Rspamd, then OpenDKIM, both changing the same message."""
    import dkim
    folder = tempfile.mkdtemp(prefix="milter-lab-")
    os.chmod(folder, 0o755)
    daemons, names = [], fakedns.Server(fakedns.Zone({}))
    try:
        key, record = make_key(lab, folder)
        signer = os.path.join(folder, "opendkim.sock")
        daemons.append(opendkim(folder, key, signer))
        spam, port = os.path.join(folder, "rspamd"), free_port()
        os.makedirs(spam)
        daemons.append(rspamd(spam, port, names.port))
        filters = [lab.entry(port, "rspamd", timeout="20s"), lab.entry("unix:" + signer, "opendkim")]
        with MilterServer(lab, filters) as s:
            verdict = lambda raw: dkim.DKIM(raw, logger=None).verify(dnsfunc=lambda *_, **__: record.encode())
            sent = text("a plain one")
            s.taken(s.send(sent)[-1], "a plain message passes both")
            raw = s.stored("a plain one")
            if s.expect(raw, "it is stored"):
                lines, body = fields(raw[0])
                s.expect(any(l.lower().startswith(b"x-spamd-bar:") for l in lines), "with Rspamd's fields", lines)
                s.expect(any(l.lower().startswith(b"dkim-signature:") for l in lines), "with OpenDKIM's signature", lines)
                s.expect(verdict(raw[0]), "the signature is good")
                added = (b"x-spam", b"dkim-signature:", b"dkim-filter:")
                rest = behind_trace(b"\r\n".join(l for l in lines if not l.lower().startswith(added)) + b"\r\n\r\n" + body)
                s.expect(rest == sent, "and otherwise octet for octet what was sent", rest)
            z = b"ZJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
            sent = text("rewrite me", z + b"\r\n")
            s.taken(s.send(sent)[-1], "a message whose subject Rspamd rewrites")
            raw = s.stored("rewrite me")
            if s.expect(raw, "it is stored"):
                lines, body = fields(raw[0])
                subjects = [l for l in lines if l.lower().startswith(b"subject:")]
                s.expect(len(subjects) == 1 and b"rewrite me" in subjects[0] and subjects[0] != b"Subject: rewrite me",
                         "the subject is another", subjects)
                s.expect(verdict(raw[0]), "OpenDKIM signed it as Rspamd left it")
                s.expect(body == z + b"\r\n", "the body is the same", body)
            reply = s.send(text("reject me", z.replace(b"ZJS", b"XJS") + b"\r\n"))[-1]
            s.refused(reply, "Rspamd's reject", (550, 554), r".", control="milter", remedy=False)
            big = b"".join(b"%07d abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n" % i for i in range(50_000))
            s.taken(s.send(text("a large one", big))[-1], "3 MB pass both")
            raw = s.stored("a large one")
            if s.expect(raw, "it is stored"):
                s.expect(fields(raw[0])[1] == big, "with its body octet for octet", len(raw[0]))
                s.expect(verdict(raw[0]), "the signature is good")
            for policy in ("accept", "tempfail"):
                s.reload(smtp__milters=[lab.entry("unix:" + signer, "opendkim", on_failure=policy)])
                replies = s.send(text(f"killed {policy}", big), during=lambda: daemons[0].end(signal.SIGKILL))
                if policy == "accept":
                    s.taken(replies[-1], "OpenDKIM killed in mid-message, policy accept")
                    raw = s.stored(f"killed {policy}")
                    s.expect(raw and b"DKIM-Signature" not in raw[0], "stored without a signature")
                else:
                    s.refused(replies[-1], "OpenDKIM killed in mid-message, policy tempfail", (451,), r"4\.7\.1",
                              control="milter", remedy=False)
                os.path.exists(signer) and os.remove(signer)
                daemons[0] = opendkim(folder, key, signer)
                deadline = time.monotonic() + 15
                while s.send(text("after"))[-1].code != 250 and time.monotonic() < deadline:
                    time.sleep(0.5)
                s.taken(s.send(text(f"again {policy}"))[-1], "it is back, and mail passes")
                raw = s.stored(f"again {policy}")
                s.expect(raw and b"DKIM-Signature" in raw[0], "signed again")
    finally:
        for daemon in daemons:
            daemon.end()
        names.close()
        if not lab.options.keep:
            shutil.rmtree(folder, ignore_errors=True)


# ---------------------------------------------------------------- each word and wish

@part
def verdicts(lab):
    """Reject, tempfail, discard and replies at each stage."""
    f = Filter()
    with lab.server(f) as s:
        stages = (("C", "MAIL", 0), ("H", "MAIL", 0), ("M", "MAIL", 0), ("R", "RCPT", 1), ("L", "the message", -1),
                  ("B", "the message", -1), ("E", "the message", -1))
        for letter, where, place in stages:
            for word, codes, pattern in ((packet("r"), (550,), r"5\.7\.1"), (packet("t"), (451,), r"4\.7\.1"),
                                         (words("y", "571 5.7.1 In my own 100%% words"), (571,), r"5\.7\.1 In my own 100% words")):
                f.script = {letter: word}
                replies = s.send(text("refused"))
                reply = replies[place]
                s.refused(reply, f"{word[4:5].decode()} at {letter} refuses {where}", codes, pattern, control="milter",
                          remedy=False)
                if place == -1 and reply.id:
                    effect = "deferred" if codes == (451,) else "refused"
                    s.explain(reply.id, f": {effect} at .*, {effect} by milter: filter", f"<{TO}>: {effect} by milter")
        for letter in ("M", "R", "B", "E"):
            f.script = {letter: packet("d")}
            reply = s.send(text("thrown away"))[-1]
            s.taken(reply, f"discard at {letter}")
            identifier = re.search(r"([0-9A-HJKMNP-TV-Z]{13})", reply.text)[1]
            s.explain(identifier, r": accepted and discarded at .*, discarded by milter: filter",
                      f"<{TO}>: discarded by milter")
            decision = json.loads(s.run("explain", identifier, "--json").stdout)["decision"]
            s.expect(decision["outcome"] == decision["recipients"][0]["outcome"] == "discarded"
                     and decision["decided_by"] == "milter", "JSON says so too", decision["recipients"])
        f.script = {}
        s.taken(s.send(text("kept"))[-1], "no word at all")
        s.expect(s.stored("kept") and not s.stored("thrown away", count=0), "what is discarded is not stored")
        s.expect(not s.stored("refused", count=0), "nor what is refused")
        s.expect(s.metric("martlet_milter_results_total", result="discard") == 4, "discards are counted")
        seen = {k.decode(): v.decode() for k, v in f.macros.items() if k}
        s.expect(seen.get("j") == defense_lab.HOST and seen.get("{client_addr}") == "127.8.1.1"
                 and seen.get("{rcpt_addr}") == TO and seen.get("i"), "macros are told", seen)


@part
def changes(lab):
    """Every change a filter can make, and a message that stays what it was."""
    f = Filter()
    with lab.server(f) as s:
        s.cli("account", "add", "second@in.example", "--password-stdin", data=b"a password of the lab\n")
        sent = text("unchanged", b".dots\r\n..\r\nand  spaces  \r\n\r\n\r\n", more=("X-Odd:no space", "X-Folded: a\r\n\tb"))
        s.taken(s.send(sent)[-1], "a message nobody changes")
        raw = s.stored("unchanged")
        s.expect(raw and behind_trace(raw[0]) == sent, "is stored octet for octet", raw)
        s.expect(f.bodies() == fields(sent)[1], "the filter saw the same body", f.bodies())
        first, rest = sent.split(b"\r\n", 1)

        def wish(subject, packets, expected, **options):
            f.script = {"E": [*packets, packet("c")]}
            data = sent.replace(b"Subject: unchanged", b"Subject: " + subject.encode())
            s.taken(s.send(data)[-1], f"{subject}")
            raw = s.stored(subject, **options)
            want = expected(data)
            s.expect(raw and behind_trace(raw[0]) == want, f"{subject}: stored as wished", raw and raw[0])

        split = lambda data: data.partition(b"\r\n\r\n")
        wish("addheader", [words("h", "X-Added", "one\n two")],
             lambda d: split(d)[0] + b"\r\nX-Added: one\r\n two\r\n\r\n" + split(d)[2])
        wish("insheader", [indexed("i", 2, "X-Second", "2")],
             lambda d: d.replace(b"\r\nTo:", b"\r\nX-Second: 2\r\nTo:", 1))
        wish("chgheader", [indexed("m", 1, "x-odd", "even")], lambda d: d.replace(b"X-Odd:no space", b"X-Odd: even"))
        wish("delheader", [indexed("m", 1, "X-Folded", "")], lambda d: d.replace(b"\r\nX-Folded: a\r\n\tb", b""))
        wish("replbody", [packet("b", b"another\r\n"), packet("b", b"body\r\n")],
             lambda d: split(d)[0] + b"\r\n\r\nanother\r\nbody\r\n")
        wish("evil header", [words("h", "X-Evil", "a\r\nBcc: x\r\n\r\nbody")],
             lambda d: split(d)[0] + b"\r\nX-Evil: a\r\n\tBcc: x\r\n\tbody\r\n\r\n" + split(d)[2])
        wish("addrcpt", [words("+", "<second@in.example>")], lambda d: d, address="second@in.example")
        s.expect(s.stored("addrcpt"), "the first recipient has it too")
        wish("delrcpt", [words("+", "<second@in.example>"), words("-", f"<{TO}>")], lambda d: d, address="second@in.example")
        s.expect(not s.stored("delrcpt", count=0), "the recipient taken away has it not")
        wish("quarantine", [words("q", "for a look")], lambda d: d, folder="Junk")
        f.script = {"E": [words("e", "<other@sender.example>"), packet("c")]}
        s.taken(s.send(text("chgfrom"))[-1], "chgfrom")
        raw = s.stored("chgfrom")
        s.expect(raw and re.search(rb"(?mi)^Return-Path: <other@sender\.example>", raw[0]), "the sender is another",
                 raw and raw[0][:300])
        f.script = {"E": [packet("b", b"x" * 60_000 + b"\r\n")] * 20 + [packet("c")]}
        s.taken(s.send(text("large body"))[-1], "a body of more than a megabyte instead")
        raw = s.stored("large body")
        s.expect(raw and fields(raw[0])[1] == (b"x" * 60_000 + b"\r\n") * 20, "is stored", raw and len(raw[0]))
        s.expect(s.metric("martlet_milter_results_total", result="modify") >= 10, "changes are counted")


@part
def failures(lab):
    """A filter that dies at each stage, or is too slow, under both policies."""
    for policy in ("tempfail", "accept"):
        f = Filter()
        with lab.server(f, on_failure=policy, timeout="2s") as s:
            for letter in "OCHMRTLNBE":
                f.script = {letter: "die"}
                if letter == "O":
                    f.die()
                replies = s.send(text(f"dies at {letter}"))
                if policy == "accept":
                    s.taken(replies[-1], f"accept: it dies at {letter}")
                else:
                    bad = next((r for r in replies if r.code not in (250, 354)), replies[-1])
                    s.refused(bad, f"tempfail: it dies at {letter}", (451,), r"4\.7\.1", control="milter", remedy=False)
                f = Filter()
                s.reload(smtp__milters=[lab.entry(f.port, on_failure=policy, timeout="2s")])
                s.taken(s.send(text("and is back"))[-1], "it is back, and mail passes")
            f.script = {"E": 6}
            begun = time.monotonic()
            reply = s.send(text("slow"))[-1]
            took = time.monotonic() - begun
            s.expect(reply.code == (250 if policy == "accept" else 451), f"{policy}: it is too slow", reply)
            s.expect(1.9 <= took < 5, "the wait ends with the timeout", took)
            s.expect(s.metric("martlet_milter_results_total", result="timeout") == 1, "the timeout is counted")
            # Left alone after failures: a message does not wait.
            f.die()
            for _ in range(4):
                s.send(text("away"))
            s.expect(s.metric("martlet_milter_results_total", result="skipped") >= 1, "an absent filter is left alone")
            if policy == "accept":
                s.expect(all(s.stored(f"dies at {l}") for l in "OCHMRTLNBE"), "all that was taken is stored")


@part
def choices(lab):
    """Listeners, domains and SIGHUP choose the filters."""
    f = Filter({"R": packet("r")})
    with MilterServer(lab, [lab.entry(f.port)], domains=("in.example", "off.example", "named.example")) as s:
        s.refused(s.send(text("one"))[1], "a filter of the listener", (550,), r".", control="milter", remedy=False)
        s.set("off.example", "milters=none")
        s.set("named.example", "milters=another")
        s.taken(s.send(text("two"), to=("user@off.example",))[-1], "a domain without filters")
        s.taken(s.send(text("three"), to=("user@named.example",))[-1], "a domain that names another")
        f.script = {"E": packet("d")}
        reply = s.send(text("in part"), to=(TO, "user@off.example"))[-1]
        s.taken(reply, "a filter that discards, and a domain without it")
        s.explain(re.search(r"([0-9A-HJKMNP-TV-Z]{13})", reply.text)[1], ": accepted at",
                  f"<{TO}>: discarded by milter: filter scripted", r"<user@off\.example>: accept, in Inbox")
        f.script = {"R": packet("r")}
        s.set("named.example", "milters=scripted")
        s.refused(s.send(text("four"), to=("user@named.example",))[1], "a domain that names it", (550,), r".",
                  control="milter", remedy=False)
        s.reload(smtp__milters=[lab.entry(f.port, listeners=["submission"])])
        s.taken(s.send(text("five"))[-1], "a filter of another listener")
        s.reload(smtp__milters=[lab.entry(f.port, enabled=False)])
        s.taken(s.send(text("six"))[-1], "a filter that is off")
        s.reload(smtp__milters=[lab.entry(f.port)])
        s.refused(s.send(text("seven"))[1], "a filter that is on again", (550,), r".", control="milter", remedy=False)


@part
def names(lab):
    """The client's name is in CONNECT from the first message on, verified or not, and a slow DNS costs nobody else."""
    dns = defense_lab.Names()
    f = Filter()
    try:
        with MilterServer(lab, [lab.entry(f.port)], names=dns) as s:
            def connected(source, name, resolved, pointer):
                f.heard, f.stages = [], {}
                s.taken(s.send(text("named"), source=source)[-1], f"mail of {source}")
                c = f.last("C") or b""
                s.expect(c.split(b"\0")[0] == name.encode() and source.encode() in c, f"CONNECT names {name}", c)
                m = f.stages.get("C", {})
                s.expect(m.get("{client_resolve}") == resolved and m.get("{client_ptr}") == pointer
                         and m.get("{client_name}") == (name if resolved == "OK" else "unknown")
                         and m.get("{client_addr}") == source, f"and {{client_resolve}} is {resolved}", m)
                s.expect(m.get("_") == (f"{name} [{source}]" if resolved == "OK" else f"[{source}]"), "_ too", m)
            connected("127.8.7.1", dns.clean("127.8.7.1"), "OK", "host-127-8-7-1.clients.example")
            dns.zone.put("2.7.8.127.in-addr.arpa", {"PTR": ["liar.example"]})
            dns.zone.put("liar.example", {"A": ["192.0.2.99"]})
            connected("127.8.7.2", "[127.8.7.2]", "FORGED", "liar.example")
            connected("127.8.7.3", "[127.8.7.3]", "FAIL", "unknown")
            dns.zone.put("4.7.8.127.in-addr.arpa", "SERVFAIL")
            connected("127.8.7.4", "[127.8.7.4]", "TEMP", "unknown")
            # A reverse zone that never answers: the session waits for its own lookup, others do not.
            dns.zone.put("5.7.8.127.in-addr.arpa", "TIMEOUT")
            f.heard = []
            with Client(s.port, "127.8.7.5") as c:
                c.hello()
                c.socket.sendall(f"MAIL FROM:<{SENDER}>\r\n".encode())
                time.sleep(0.3)
                s.expect(f.count("O") == 1 and f.count("C") == 0, "nothing is said before the lookup has ended",
                         f.heard)
                begun = time.monotonic()
                s.taken(s.send(text("meanwhile"), source="127.8.7.1")[-1], "meanwhile another client's mail is taken")
                s.expect(time.monotonic() - begun < 2, "at once", time.monotonic() - begun)
                s.taken(c.reply(), "then MAIL is answered")
                sent = [d for l, d in f.heard if l == "C" and b"127.8.7.5" in d]
                s.expect(sent and sent[0].startswith(b"[127.8.7.5]\0"), "and CONNECT has the address", f.heard)
            s.expect(s.metric("martlet_milter_results_total", result="timeout") == 0, "no filter is blamed for it")
            # Under TLS and logged in, on the submission listener.
            s.reload(smtp__milters=[lab.entry(f.port, listeners=["submission"])])
            f.stages = {}
            s.taken(s.send(text("submitted"), source="127.8.7.1", port=s.users, login=True,
                           parameters=" AUTH=boss@in.example BODY=8BITMIME SIZE=400", rcpt=" NOTIFY=NEVER")[-1], "mail of a user")
            h, m, r = (f.stages.get(k, {}) for k in "HMR")
            s.expect(h.get("{tls_version}", "").startswith("TLSv1") and h.get("{cipher}") and h.get("{cipher_bits}"),
                     "TLS is told at HELO", h)
            s.expect(m.get("{auth_type}", "").upper() == "PLAIN" and m.get("{auth_authen}") == TO
                     and m.get("{auth_author}") == "boss@in.example" and m.get("{mail_addr}") == TO
                     and m.get("{mail_host}") == "in.example" and m.get("{mail_mailer}") == "local" and m.get("i"),
                     "who it is, at MAIL", m)
            s.expect(r.get("{rcpt_addr}") == TO and r.get("{rcpt_host}") == "in.example"
                     and r.get("{rcpt_mailer}") == "local", "where it goes, at RCPT", r)
            c = f.stages.get("C", {})
            s.expect(c.get("{daemon_name}") == "submission" and c.get("{daemon_addr}") == "127.0.0.1"
                     and c.get("{daemon_port}") == str(s.users) and c.get("{if_addr}") == "127.0.0.1"
                     and c.get("{if_name}") and c.get("j") and c.get("v"), "and what the listener is, at CONNECT", c)
            s.expect(b"BODY=8BITMIME" in (f.last("M") or b""), "MAIL has its parameters", f.last("M"))
            s.expect(b"NOTIFY=NEVER" in (f.last("R") or b""), "RCPT too", f.last("R"))
    finally:
        dns.server.close()


@part
def packets(lab):
    """Large packets, both ways."""
    body = b"".join(b"%07d abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n" % i for i in range(30_000))
    for steps, most in ((0, 65_535), (0x10000000, 262_143), (0x20000000, 1_048_575)):
        f = Filter(steps=steps)
        with lab.server(f) as s:
            s.taken(s.send(text("large packets", body))[-1], f"{len(body)} octets in packets of {most}")
            sizes = [len(d) for l, d in f.heard if l == "B"]
            s.expect(f.bodies() == body, "the filter saw the same body", len(f.bodies()))
            s.expect(max(sizes) <= most and (most < 100_000 or max(sizes) > 100_000), "in pieces of that size", sizes)
            other = body[:most]
            f.script = {"E": [packet("b", other), packet("c")]}
            s.taken(s.send(text("a large answer"))[-1], f"a new body in one packet of {most}")
            raw = s.stored("a large answer")
            s.expect(raw and fields(raw[0])[1] == other, "is stored", raw and len(raw[0]))
            f.script = {"E": [packet("b", b"x" * (most + 70_000)), packet("c")]}
            s.refused(s.send(text("too large"))[-1], "a packet beyond it", (451,), r"4\.7\.1", control="milter",
                      remedy=False)


@part
def commands(lab):
    """Commands that are none, told to who wants them."""
    f = Filter({"U": words("y", "503 5.5.1 Not in this house")})
    with lab.server(f) as s:
        with Client(s.port, "127.8.1.1") as c:
            c.hello()
            refusal = c.say("FROBNICATE now")
            s.expect(f.last("U") == b"FROBNICATE now\0", "the filter was told the command", f.last("U"))
            f.script = {}
            s.expect(c.say("FROBNICATE now").code == 500, "without a word of it: 500")
            s.taken(c.mail(SENDER), "mail goes on")
            s.expect(c.say("EXPN list").code == 502 and f.last("U") == b"EXPN list\0", "in a transaction too", f.last("U"))
            s.taken(c.rcpt(TO), "which goes on")
            s.taken(c.data(text("after it")), "to its end")
        # The session's record is written at its end.
        s.refused(refusal, "a filter's words", (503,), r"Not in this house", control="milter", remedy=False)
        heard, f.steps = f.count("U"), 0x100
        with Client(s.port, "127.8.1.2") as c:
            c.hello()
            s.expect(c.say("FROBNICATE").code == 500 and f.count("U") == heard, "a filter that does not want them")


@part
def quarantine(lab):
    """What a filter quarantines does not leave: the queue holds it until an operator lets it go."""
    sink = smtp_sink.SMTPSink()
    f = Filter()
    settings = {"smtp.milters": [lab.entry(f.port)], "smtp.relay_networks": ["127.8.1.1/32"],
                "delivery.routes": [{"domain": "*", "to": "127.0.0.1", "port": sink.port, "protocol": "smtp", "tls": "none"}]}
    try:
        s = MilterServer(lab, settings["smtp.milters"])
        s.write(settings)
        with s:
            f.script = {"E": [words("q", "looks odd"), packet("c")]}
            reply = s.send(text("kept back"), to=("one@far.example", TO, "two@far.example"))[-1]
            s.taken(reply, "mail for here and elsewhere that a filter quarantines")
            message = re.search(r"queued as (\w+)", reply.text) or re.search(r"([0-9A-Z]{13})", reply.text)
            s.expect(s.stored("kept back", folder="Junk"), "the mailbox here has it in Junk")
            rows = json.loads(s.cli("queue", "list", "--json"))
            s.expect(len(rows) == 2 and all(r["state"] == "held" and r["status"] == "quarantined by scripted: looks odd"
                                            for r in rows), "what is for elsewhere is held, and says why", rows)
            s.expect("quarantined by scripted: looks odd" in s.cli("queue", "list"), "queue list shows it")
            identifier = rows[0]["id"] if rows else None
            s.expect(message and message[1] == identifier, "under the id of the reply", reply)
            s.explain(identifier, r"<one@far\.example>: accept, in Queue \(held\)", r"<user@in\.example>: accept, in Junk",
                      r"scripted asked for quarantine: looks odd", r"martlet queue release --id")
            time.sleep(1)
            s.expect(not sink.messages, "nothing was sent", sink.messages)
            s.stop()
            s.start()
            time.sleep(1)
            s.expect(not sink.messages, "nor after a restart", sink.messages)
            s.cli("queue", "release", "--id", identifier)
            wait_for(lambda: sink.messages, "the delivery", 15)
            s.expect(len(sink.messages[0].recipients) == 2 and b"Subject: kept back" in sink.messages[0].octets,
                     "released, it arrives", sink.messages)
            wait_for(lambda: not json.loads(s.cli("queue", "list", "--json") or "[]"), "the end of the queue", 15)
            f.script = {}
            s.taken(s.send(text("not kept back"), to=("one@far.example",))[-1], "other mail")
            wait_for(lambda: len(sink.messages) == 2, "the delivery", 15)
            s.expect(b"not kept back" in sink.messages[1].octets, "leaves at once")
            # Parameters of what a filter adds and changes reach the next server.
            f.script = {"E": [words("2", "<three@far.example>", "NOTIFY=NEVER ORCPT=rfc822;first@far.example BY=1;R"),
                              words("e", "<bounce@sender.example>", "ENVID=ABC RET=HDRS SIZE=9 AUTH=x"), packet("c")]}
            reply = s.send(text("with parameters"), to=("one@far.example",))[-1]
            s.taken(reply, "mail with a recipient and a sender of a filter")
            wait_for(lambda: sum(len(m.recipients) for m in sink.messages) >= 5, "the delivery", 15)
            said = b"\n".join(b"\n".join([m.mail, *m.recipients]) for m in sink.messages[2:])
            s.expect(b"MAIL FROM:<bounce@sender.example>" in said and b"ENVID=ABC" in said and b"RET=HDRS" in said,
                     "the sender's parameters are kept", said)
            s.expect(b"<three@far.example> NOTIFY=NEVER" in said and b"ORCPT=rfc822;first@far.example" in said,
                     "the recipient's too", said)
            identifier = re.search(r"([0-9A-HJKMNP-TV-Z]{13})", reply.text)[1]
            s.explain(identifier, r"added recipient <three@far\.example> NOTIFY=NEVER", r"not honoured: BY=1;R",
                      r"changed the sender from <alice@sender\.example> to <bounce@sender\.example> RET=HDRS ENVID=ABC",
                      r"not honoured: AUTH=x")
    finally:
        sink.close()


@part
def explained(lab):
    """Each change, as text and as JSON."""
    f = Filter({"E": [words("h", "X-Added", "one\n two"), indexed("i", 1, "X-First", "1"),
                      indexed("m", 1, "Subject", "[spam] told"), indexed("m", 1, "X-Odd", ""),
                      words("+", f"<user@in.example>"), words("-", "<nobody@in.example>"),
                      words("e", "<other@sender.example>"), packet("b", b"new\r\n"), words("+", "rubbish"), packet("c")]})
    with lab.server(f) as s:
        reply = s.send(text("told", more=("X-Odd: odd",)))[-1]
        s.taken(reply, "a message with every change")
        identifier = re.search(r"([0-9A-HJKMNP-TV-Z]{13})", reply.text)[1]
        s.explain(identifier, r"scripted added X-Added: one /  two", r"inserted as field 1 X-First: 1",
                  r"changed Subject from: told to: \[spam\] told", r"removed X-Odd: odd", r"replaced the body, 5 octets",
                  r"added recipient <user@in\.example>", r"removed recipient <nobody@in\.example>",
                  r"changed the sender from <alice@sender\.example> to <other@sender\.example>", r"cannot be done")
        told = json.dumps(json.loads(s.run("explain", identifier, "--json").stdout))
        for word in ("field_added", "field_inserted", "field_changed", "field_removed", "body_replaced",
                     "recipient_added", "recipient_removed", "sender_changed", "not_done"):
            s.expect(f'"{word}"' in told, f"JSON says {word}", told[:600])
        s.expect('"filter_change_count": 9' in told, "and how many", told[:600])


@part
def bodies(lab):
    """A new body, with line ends of all kinds and many megabytes, under our own signature; meanwhile others are served."""
    import dkim
    f = Filter()
    with MilterServer(lab, [lab.entry(f.port, listeners=["submission"])]) as s:
        s.cli("dkim", "generate", "in.example", "--algorithm", "rsa", "--selector", "one")
        s.cli("dkim", "activate", "in.example", "one")
        records = s.run("domain", "dns", "in.example").stdout.decode()
        key = re.search(r"p=([A-Za-z0-9+/=\"\s]+)", records)
        record = b"v=DKIM1; k=rsa; p=" + re.sub(rb"[^A-Za-z0-9+/=]", b"", key[1].encode()) if key else b""
        line = b"%09d abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\n"
        lines = b"".join(line % i for i in range(300_000))
        for name, made in (("short", b"one\ntwo\r\nthree\rfour\n"), ("long", lines)):
            pieces = [made[i:i + 65_535] for i in range(0, len(made), 65_535)]
            f.script = {"E": [packet("b", p) for p in pieces] + [packet("c")]}
            slow = []
            def others():
                for _ in range(20):
                    begun = time.monotonic()
                    reply = s.send(text("of another"))[-1]
                    slow.append((reply.code, time.monotonic() - begun))
            thread = threading.Thread(target=others)
            thread.start()
            s.taken(s.send(text(f"signed {name}", more=("X-Mine: 1",)).replace(SENDER.encode(), TO.encode()),
                           port=s.users, login=True)[-1], f"{len(made)} octets instead, {name}")
            thread.join()
            s.expect(all(code == 250 for code, _ in slow), "others' mail is taken meanwhile", slow)
            raw = s.stored(f"signed {name}")
            want = re.sub(rb"\r\n|\r|\n", b"\r\n", made)
            if s.expect(raw and fields(raw[0])[1] == want, "is stored with whole line ends", raw and len(raw[0])):
                s.expect(b"\r\nDKIM-Signature:" in raw[0] or raw[0].startswith(b"DKIM-Signature:"), "it is signed", raw[0][:600])
                s.expect(dkim.DKIM(raw[0], logger=None).verify(dnsfunc=lambda *_, **__: record), "and the signature is good",
                         raw[0][:800])
        s.expect(s.metric("martlet_mailbox_full_total") in (0, None), "no mailbox was full")


@part
def redirects(lab):
    """A message that a filter sends elsewhere is taken only when it can be had there."""
    f = Filter()
    listeners = [{"address": f"127.0.0.1:{free_port()}", "kind": "lmtp", "tls": "none"}]
    lmtp = int(listeners[0]["address"].rpartition(":")[2])
    entry = lab.entry(f.port, listeners=["mx", "lmtp"])
    with MilterServer(lab, [entry], listeners=listeners) as s:
        for name, more in (("spam", ()), ("off", ()), ("small", ("--quota", "4096"))):
            s.cli("account", "add", f"{name}@in.example", *more, "--password-stdin", data=b"a password of the lab\n")
        s.cli("account", "disable", "off@in.example")
        s.cli("alias", "add", "round@in.example", "dnuor@in.example")
        s.cli("alias", "add", "dnuor@in.example", "round@in.example")
        s.taken(s.send(text("fills it", b"x" * 70 + b"\r\n" * 4_000), to=("small@in.example",))[-1], "a mailbox is filled")
        targets = (("nobody", 550, r"5\.1\.1", "no such mailbox"), ("off", 550, r"5\.2\.1", "disabled"),
                   ("small", 452, r"4\.2\.2", "full"), ("round", 451, r"4\.4\.6", "aliases lead to each other"))
        for name, code, status, why in targets:
            for move in (True, False):
                f.script = {"E": [*([words("-", f"<{TO}>")] if move else []), words("+", f"<{name}@in.example>"),
                                  packet("b", b"new\r\n"), packet("c")]}
                what = f"{'redirected' if move else 'copied'} to {name}"
                s.refused(s.send(text(what))[-1], what, (code,), status, why, f"{name}@in.example", control="milter")
                s.expect(not s.stored(what, count=0), f"{what}: nothing is stored")
        f.script = {"E": [words("-", f"<{TO}>"), words("+", "<spam@in.example>"), packet("c")]}
        s.taken(s.send(text("moved"))[-1], "redirected to a mailbox")
        s.expect(s.stored("moved", "spam@in.example") and not s.stored("moved", count=0), "is stored there, and only there")
        f.script = {"E": [words("-", "<USER@in.example>"), packet("c")]}
        reply = s.send(text("nobody left"))[-1]
        s.taken(reply, "a filter that takes everybody away")
        s.expect("discarded" in reply.text, "is told so", reply)
        f.script = {"E": [words("+", "<far@far.example>"), packet("c")]}
        with socket.create_connection(("127.0.0.1", lmtp), timeout=10) as c:
            lines = c.makefile("rb")
            def say(line, end=b" "):
                c.sendall(line + b"\r\n" if line else b"")
                while (got := lines.readline())[3:4] != end and got:
                    pass
                return got
            say(b"")
            say(b"LHLO front.example")
            say(f"MAIL FROM:<{SENDER}>".encode())
            say(f"RCPT TO:<{TO}>".encode())
            say(b"DATA")
            got = say(text("front end") + b".")
        s.expect(got.startswith(b"550 5.7.1"), "LMTP sends nothing on", got)
        s.expect(not s.stored("front end", count=0), "and stores nothing then")
        s.expect(not json.loads(s.cli("queue", "list", "--json") or "[]"), "LMTP makes no queue")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=".build/release")
    parser.add_argument("--only", default="", help="parts: " + ", ".join(p.__name__ for p in PARTS))
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    lab, begun = Lab(options), time.monotonic()
    chosen = options.only.split(",") if options.only else [p.__name__ for p in PARTS]
    for p in PARTS:
        if p.__name__ not in chosen:
            continue
        lab.findings.section = p.__name__
        try:
            p(lab)
        except Exception:
            traceback.print_exc()
            lab.findings.expect(False, "runs to its end", "an exception")
    wrong = lab.findings.wrong
    print(f"{lab.findings.count} expectations, {len(wrong)} not met, {time.monotonic() - begun:.0f} s")
    for line in wrong:
        print("  " + line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

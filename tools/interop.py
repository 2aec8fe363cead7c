#!/usr/bin/env python3
"""Mail to and from other mail servers, compared octet by octet: Postfix, OpenSMTPD and Exim (unpacked under --peers as
PEER/root, their users in PEER/etc), and Dovecot's LMTP (PEERS/dovecot/root). Needs root: each peer runs in mount and pid
namespaces of its own. Loopback only; ends only what it started.

    tools/interop.py --bin .build/release --peers DIR [--only postfix,exim] [--keep] [--lmtp]

--lmtp: Postfix delivers here by LMTP over a Unix socket, into mailboxes, and not by SMTP.

Every message goes out through the submission port (a user, AUTH over STARTTLS) and the MX port (a relay network) to each
peer, which relays it to a sink that keeps every octet (Dovecot: into maildirs); and from the sink's side into each peer,
which sends it to a mailbox here. A message passes when all that differs are the trace fields that servers put on top.
"""
import argparse, os, pwd, re, shutil, signal, smtplib, socket, ssl, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakedns
from relay_lab import Server, free_port
from smtp_sink import SMTPSink

HERE = "here.test"
USER = f"u0@{HERE}"
PASSWORD = "interop-proof-0"
TRACE = re.compile(
    rb"(Received|Return-Path|Authentication-Results|Delivered-To|X-Original-To|Envelope-to|Delivery-date):", re.I)
RELAY_SOURCE = "127.0.0.9"

NAMESPACE = r"""
set -eu
P=$1 PEER=$2; shift 2
mount --make-rprivate /
mount -t proc proc /proc
mount -t overlay overlay -o "lowerdir=$P/root/usr:/usr" /usr
mount -t overlay overlay -o "lowerdir=$P/etc:/etc" /etc
mount -t overlay overlay -o "lowerdir=$P/var:$P/root/var:/var" /var
mount --bind "$P/run" /run
case $PEER in
postfix) mount --bind "$P/spool" /var/spool/postfix; mount --bind "$P/data" /var/lib/postfix ;;
opensmtpd) mount --bind "$P/spool" /var/spool/smtpd ;;
exim) mount --bind "$P/spool" /var/spool/exim4; mount --bind "$P/log" /var/log/exim4 ;;
esac
exec "$@"
"""

POSTFIX_MAIN = """compatibility_level = 3.6
queue_directory = /var/spool/postfix
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
data_directory = /var/lib/postfix
shlib_directory = /usr/lib/postfix
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.postfix.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
local_transport = error:none
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtputf8_enable = yes
message_size_limit = 104857600
mailbox_size_limit = 0
transport_maps = inline:{{ {here}={transport} }}
default_transport = smtp:[127.0.0.1]:{sink}
smtp_tls_security_level = may
smtpd_tls_security_level = may
smtpd_tls_cert_file = /run/tls.crt
smtpd_tls_key_file = /run/tls.key
maillog_file = /run/maillog
maillog_file_prefixes = /run
"""
POSTFIX_MASTER = """127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
OPENSMTPD = """smtp max-message-size "100M"
listen on 127.0.0.1 port {port} hostname mx.opensmtpd.test
action "here" relay host smtp://127.0.0.1:{mx} helo mx.opensmtpd.test
action "sink" relay host smtp://127.0.0.1:{sink} helo mx.opensmtpd.test
match from any for domain "{here}" action "here"
match from any for any action "sink"
"""
EXIM = """primary_hostname = mx.exim.test
log_file_path = /var/log/exim4/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
acl_smtp_rcpt = acl_ok
host_lookup =
rfc1413_query_timeout = 0s
message_size_limit = 100M
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
chunking_advertise_hosts = *
tls_advertise_hosts = *
tls_certificate = /run/tls.crt
tls_privatekey = /run/tls.key
keep_environment =
begin acl
acl_ok:
  accept
begin routers
here:
  driver = manualroute
  domains = {here}
  transport = here
  route_list = * 127.0.0.1
  self = send
out:
  driver = manualroute
  transport = sink
  route_list = * 127.0.0.1
  self = send
begin transports
here:
  driver = smtp
  port = {mx}
  allow_localhost
sink:
  driver = smtp
  port = {sink}
  allow_localhost
begin retry
* * F,2h,15m
"""
DOVECOT = """base_dir = /run/dovecot
state_dir = /run/dovecot-state
log_path = /run/log
protocols = lmtp
ssl = no
first_valid_uid = 1
mail_location = maildir:/run/mail/%u
default_internal_user = mail
default_login_user = nobody
default_internal_group = mail
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home=/run/mail/%u allow_all_users=yes
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@dovecot.test
}}
"""


class Peer:
    """One server in its own namespaces. `self.folder` holds all it writes."""

    def __init__(self, name, work, peers, mx, sink, lmtp=False):
        self.name, self.port = name, free_port()
        self.folder = os.path.join(work, name)
        source = os.path.join(peers, name)
        for part in ("etc", "spool", "data", "run", "log", "var/spool/postfix", "var/lib/postfix", "var/spool/smtpd",
                     "var/lib/opensmtpd/empty", "var/spool/exim4", "var/log/exim4"):
            os.makedirs(os.path.join(self.folder, part))
        os.symlink(os.path.join(source, "root"), os.path.join(self.folder, "root"))
        for name_ in ("passwd", "group", "hosts", "mailname", "resolv.conf"):
            found = os.path.join(source, "etc", name_)
            if os.path.exists(found):
                shutil.copy(found, os.path.join(self.folder, "etc"))
        self.values = dict(port=self.port, mx=mx, sink=sink, here=HERE,
                           transport="lmtp:unix:/run/lmtp" if lmtp else f"smtp:[127.0.0.1]:{mx}")
        self.certificate()
        command = getattr(self, name)()
        self.log = open(os.path.join(self.folder, "console"), "wb")
        self.process = subprocess.Popen(
            ["unshare", "-m", "-p", "-f", "--kill-child=SIGKILL", "bash", "-c", NAMESPACE, "peer", self.folder, name,
             *command], stdout=self.log, stderr=self.log)
        self.wait()

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text.format(**self.values))

    def certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             self.path("run/tls.key"), "-out", self.path("run/tls.crt"), "-days", "2", "-subj", "/CN=mx.test"],
            check=True, stderr=subprocess.DEVNULL)

    def uid(self, user):
        with open(self.path("etc/passwd")) as f:
            return next(int(line.split(":")[2]) for line in f if line.startswith(user + ":"))

    def gid(self, group):
        with open(self.path("etc/group")) as f:
            return next(int(line.split(":")[2]) for line in f if line.startswith(group + ":"))

    def postfix(self):
        self.write("etc/postfix/main.cf", POSTFIX_MAIN)
        self.write("etc/postfix/master.cf", POSTFIX_MASTER)
        self.write("etc/postfix/dynamicmaps.cf", "")
        uid, drop = self.uid("postfix"), self.gid("postdrop")
        for part in ("active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved "
                     "trace").split():
            os.mkdir(self.path("spool", part), 0o700)
            os.chown(self.path("spool", part), uid, -1)
        os.chmod(self.path("spool"), 0o755)
        os.chown(self.path("spool/pid"), 0, -1)
        os.chmod(self.path("spool/pid"), 0o755)
        for part, mode in (("public", 0o710), ("maildrop", 0o730)):
            os.chown(self.path("spool", part), uid, drop)
            os.chmod(self.path("spool", part), mode)
        os.chown(self.path("data"), uid, -1)
        return ["/usr/lib/postfix/sbin/master", "-c", "/etc/postfix", "-d"]

    def opensmtpd(self):
        self.write("etc/smtpd.conf", OPENSMTPD)
        self.write("etc/aliases", "")
        os.chmod(self.path("spool"), 0o711)
        return ["/usr/sbin/smtpd", "-F", "-f", "/etc/smtpd.conf"]

    def exim(self):
        self.write("etc/exim4/exim4.conf", EXIM)
        uid = self.uid("Debian-exim")
        for part in ("spool", "log", "run", "run/tls.key", "run/tls.crt"):
            os.chown(self.path(part), uid, uid)
        return ["/usr/sbin/exim4", "-bdf", "-q1m"]

    def dovecot(self):
        self.write("etc/dovecot/dovecot.conf", DOVECOT)
        mail = pwd.getpwnam("mail")
        os.mkdir(self.path("run/mail"))
        os.chown(self.path("run/mail"), mail.pw_uid, mail.pw_gid)
        return ["env", "LD_LIBRARY_PATH=/usr/lib/dovecot", "/usr/sbin/dovecot", "-F", "-c",
                "/etc/dovecot/dovecot.conf"]

    def wait(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise SystemExit(f"{self.name} did not come up: {open(self.path('console')).read()[-1500:]}")

    def version(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            return s.recv(500).decode(errors="replace").strip()

    def stop(self):
        # The child of unshare is pid 1 of the namespace: all its processes end with it.
        for child in children(self.process.pid):
            os.kill(child, signal.SIGKILL)
        self.process.wait(20)
        self.log.close()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(word) for word in f.read().split()]


class Case:
    def __init__(self, name, body, sender=USER, recipients=("box",), utf8=False, chunked=False, header=b""):
        self.name, self.sender, self.names, self.utf8, self.chunked = name, sender, recipients, utf8, chunked
        # A message that does not end with CRLF can only come by BDAT; a next hop without CHUNKING gets CRLF at its end.
        self.octets = (b"X-Proof: %s-@@\r\nFrom: <%s>\r\nTo: <box@there.test>\r\nSubject: proof\r\n"
                       b"Date: Mon, 23 Nov 2026 05:00:00 +0000\r\nMessage-ID: <%s-@@@proof.test>\r\n%s\r\n%s"
                       % (name.encode(), sender.encode(), name.encode(), header, body))

    def text(self, tag):
        return self.octets.replace(b"@@", tag.encode(), 2)

    def mark(self, tag):
        return b"X-Proof: %s-%s\r\n" % (self.name.encode(), tag.encode())


MIME8 = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"


def cases():
    big = bytearray()
    line = bytes(range(33, 127)) * 10 + b"=" * 40
    while len(big) < 25 << 20:
        big += b"%09d %s\r\n" % (len(big), line[:800])
    everything = "Grüße, 世界, 🐦\r\n".encode()
    return [
        Case("dots", b".\r\n..\r\n...\r\n.x\r\n. \r\nx.\r\n\r\n.\r\nFrom here on\r\nFrom \r\n.\r\n"),
        Case("eight-bit", everything * 50 + bytes(range(0xA0, 0x100)) + b"\r\n", header=MIME8),
        Case("utf8-address", everything, recipients=("jürgen",), utf8=True,
             header="Reply-To: Jürgen <jürgen@there.test>\r\n".encode() + MIME8),
        Case("utf8-header", everything, utf8=True, header="X-Bird: 雨燕 🐦\r\n".encode() + MIME8),
        Case("empty-body", b""),
        Case("blank-lines", b"\r\n\r\n\r\n"),
        Case("long-lines", b"".join(bytes([c]) * n + b"\r\n" for c, n in ((97, 998), (98, 997), (46, 998), (99, 1)))),
        Case("folded-header", b"x\r\n", header=b"X-Folded: a\r\n\tb\r\n   c\r\nx-CASE:no space\r\nX-Empty: \r\n"),
        Case("white-space", b"  lead\r\ntail   \r\n\t\r\n \r\n"),
        Case("no-final-newline", b"first\r\nlast line without its end", chunked=True),
        Case("ends-in-dot", b"first\r\n.", chunked=True),
        Case("100-recipients", b"to many\r\n", recipients=tuple(f"u{i}" for i in range(100))),
        Case("25-MiB", bytes(big)),
    ]


def send(port, case, tag, domain, login=None, source=None):
    """As a client; returns what was refused."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    c = smtplib.SMTP("127.0.0.1", port, "client.proof.test", 300, (source, 0) if source else None)
    try:
        c.ehlo()
        if login:
            c.starttls(context=context)
            c.ehlo()
            c.login(*login)
        options = [o for o, is_on in (("SMTPUTF8", case.utf8), ("BODY=8BITMIME", not case.octets.isascii())) if is_on]
        if case.utf8 and not c.has_extn("smtputf8"):
            return "no SMTPUTF8"
        if case.chunked and not c.has_extn("chunking"):
            return "no CHUNKING"
        c.command_encoding = "utf-8" if case.utf8 else "ascii"
        code, text = c.mail(case.sender, options)
        if code != 250:
            return f"MAIL {code} {text!r}"
        for name in case.names:
            code, text = c.rcpt(f"{name}@{domain}")
            if code not in (250, 251):
                return f"RCPT {code} {text!r}"
        message = case.text(tag)
        if case.chunked:
            c.send(b"BDAT %d LAST\r\n" % len(message) + message)
            code, text = c.getreply()
        else:
            code, text = c.data(message)
        return None if code == 250 else f"end {code} {text!r}"
    finally:
        c.close()


def judge(octets, case, tag, lf=False, relaxed_end=True):
    """None, or what is wrong. Trace fields on top go, nothing else."""
    if lf:
        octets = re.sub(rb"(?<!\r)\n", b"\r\n", octets)
    at = octets.find(case.mark(tag))
    if at < 0:
        return "the message's first field is not there"
    for field in re.split(rb"\r\n(?![ \t])", octets[:at])[:-1]:
        if not TRACE.match(field):
            return f"a field was put on top: {field[:60]!r}"
    got, wanted = octets[at:], case.text(tag)
    if got == wanted or (relaxed_end and case.chunked and got == wanted + b"\r\n"):
        return None
    i = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    return f"octet {i} of {len(wanted)} ({len(got)} came): {got[max(0, i - 30):i + 30]!r}"


class Proof:
    def __init__(self, options, work):
        self.work, self.peers, self.bad = work, {}, 0
        self.zone = fakedns.Server(fakedns.Zone({}), 0)
        self.sink = SMTPSink(("8BITMIME", "SMTPUTF8", "SIZE 104857600", "PIPELINING", "ENHANCEDSTATUSCODES"))
        mx, self.submission = free_port(), free_port()
        names = options.only.split(",") if options.only else ["postfix", "opensmtpd", "exim", "dovecot"]
        try:
            for name in names:
                self.peers[name] = Peer(name, work, options.peers, mx, self.sink.port, options.lmtp)
            routes = [{"domain": f"{n}.test", "to": "127.0.0.1", "port": p.port,
                       "protocol": "lmtp" if n == "dovecot" else "smtp"} for n, p in self.peers.items()]
            # Postfix sees its run folder as /run.
            lmtp = [{"address": f"unix:{self.peers['postfix'].path('run/lmtp')}", "kind": "lmtp",
                     "mode": "0666"}] if options.lmtp else []
            self.server = Server(work, options.bin, routes, {
                "server.hostname": f"mx.{HERE}",
                "smtp.listeners": [{"address": f"127.0.0.1:{mx}", "kind": "mx", "tls": "starttls"},
                                   {"address": f"127.0.0.1:{self.submission}", "kind": "submission",
                                    "tls": "starttls"}, *lmtp],
                "smtp.relay_networks": [RELAY_SOURCE + "/32"], "smtp.max_message_size": "60MiB",
                "dns.forward": [f"127.0.0.1@{self.zone.port}"], "dns.trust_anchor_file": "/dev/null",
            })
            self.server.cli("init", "--no-demo", check=False)
            self.server.start()
            self.mx = self.server.port = mx
            self.server.cli("domain", "add", HERE)
            for name in ["box", "jürgen", *(f"u{i}" for i in range(100))]:
                self.server.cli("account", "add", f"{name}@{HERE}", "--password-stdin", input=f"{PASSWORD}\n".encode())
        except BaseException:
            self.stop()
            raise

    def stop(self):
        if getattr(self, "server", None) and self.server.process:
            self.server.stop()
        for peer in self.peers.values():
            peer.stop()

    def line(self, way, peer, case, result):
        good = result is None or result.startswith("ok")
        self.bad += not good
        print(f"{way:<4} {peer:<10} {case.name:<17} {'ok' if result is None else result}", flush=True)

    # Out: user or relay client -> here -> peer -> sink

    def outbound(self, peer, case):
        tag = f"out{peer}"
        login = (USER, PASSWORD) if case.name != "eight-bit" else None
        port, source = (self.submission, None) if login else (self.mx, RELAY_SOURCE)
        refused = send(port, case, tag, f"{peer}.test", login, source)
        if refused:
            return "refused here: " + refused
        if case.utf8 and not self.speaks_utf8(peer):
            return self.returned(case, tag)
        if peer == "dovecot":
            return self.in_maildirs(case, tag)
        wanted = {f"{name}@{peer}.test".encode() for name in case.names}
        mark = case.mark(tag)
        mine = lambda all: [m for m in all if mark in m.octets[:20_000]]
        reached = lambda all: {re.search(rb"<(.*?)>", r).group(1) for m in mine(all) for r in m.recipients}
        messages = self.sink.wait(lambda all: reached(all) >= wanted, 60)
        if reached(messages) != wanted:
            return f"{len(reached(messages))} of {len(wanted)} recipients reached"
        copies = sum(len(m.recipients) for m in mine(messages))
        if copies != len(wanted):
            return f"{copies} copies for {len(wanted)} recipients"
        wrong = [w for w in (judge(m.octets, case, tag) for m in mine(messages)) if w]
        ends = {m.octets.endswith(case.text(tag)[-40:]) for m in mine(messages)}
        note = "ok, CRLF put at its end" if case.chunked and ends == {False} else None
        return wrong[0] if wrong else note

    def speaks_utf8(self, peer):
        with smtplib.SMTP() as c:
            c.connect("127.0.0.1", self.peers[peer].port)
            code, text = c.docmd("LHLO" if peer == "dovecot" else "EHLO", "proof.test")
            return b"SMTPUTF8" in text

    def returned(self, case, tag):
        """RFC 6531 §3.2: no host of the destination takes it, so the sender has it back with 5.6.7."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for raw in self.mailbox(USER, b"multipart/report"):
                if b"5.6.7" in raw and case.mark(tag).strip() in raw:
                    return "ok, returned with 5.6.7: the peer has no SMTPUTF8"
            time.sleep(0.3)
        return "neither delivered nor returned"

    def in_maildirs(self, case, tag):
        end = time.monotonic() + 60
        root = self.peers["dovecot"].path("run/mail")
        while True:
            found = {}
            for name in case.names:
                folder = os.path.join(root, f"{name}@dovecot.test", "new")
                for file in os.listdir(folder) if os.path.isdir(folder) else ():
                    with open(os.path.join(folder, file), "rb") as f:
                        octets = f.read()
                    if case.mark(tag).strip() in octets[:20_000]:
                        found.setdefault(name, []).append(octets)
            if len(found) == len(case.names) or time.monotonic() > end:
                break
            time.sleep(0.2)
        if len(found) != len(case.names) or any(len(v) != 1 for v in found.values()):
            return f"{sum(map(len, found.values()))} copies for {len(case.names)} recipients"
        wrong = [w for v in found.values() for w in [judge(v[0], case, tag, lf=True)] if w]
        return wrong[0] if wrong else None

    # In: peer -> here

    def inbound(self, peer, case):
        tag = f"in{peer}"
        stranger = Case.__new__(Case)
        stranger.__dict__.update(case.__dict__, sender="someone@far.test")
        refused = send(self.peers[peer].port, stranger, tag, HERE)
        if refused in ("no SMTPUTF8", "no CHUNKING"):
            return f"ok, the peer takes none: {refused}"
        if refused:
            return "refused by the peer: " + refused
        end = time.monotonic() + 90
        copies = {}
        while len(copies) < len(case.names) and time.monotonic() < end:
            for name in case.names:
                if name not in copies:
                    mine = [raw for raw in self.mailbox(f"{name}@{HERE}", case.mark(tag).strip(), newest=3)]
                    if mine:
                        copies[name] = mine
            time.sleep(0.2)
        if len(copies) != len(case.names) or any(len(v) != 1 for v in copies.values()):
            return f"{sum(map(len, copies.values()))} copies for {len(case.names)} recipients"
        wrong = [w for v in copies.values() for w in [judge(v[0], case, tag)] if w]
        return wrong[0] if wrong else None

    def mailbox(self, address, mark, newest=20):
        out = []
        for item in self.server.json("mailbox", "list", address, "--limit", str(newest)) or []:
            raw = self.server.cli("mailbox", "read", address, item["id"], "--raw").stdout
            if mark in raw[:40_000]:
                out.append(raw)
        return out

    def run(self):
        for name, peer in self.peers.items():
            print(f"peer {name}: {peer.version()}", flush=True)
        for name in self.peers:
            for case in cases():
                self.line("out", name, case, self.outbound(name, case))
        for name in self.peers:
            if name == "dovecot":
                continue
            for case in cases():
                self.line("in", name, case, self.inbound(name, case))
        print("all octets as sent" if not self.bad else f"{self.bad} wrong", flush=True)
        return 1 if self.bad else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True)
    p.add_argument("--peers", required=True)
    p.add_argument("--only", help="peers, separated by commas")
    p.add_argument("--lmtp", action="store_true", help="Postfix delivers here by LMTP over a Unix socket")
    p.add_argument("--keep", action="store_true", help="leave the folder with logs and mail")
    options = p.parse_args()
    if options.lmtp:
        options.only = "postfix"
    options.peers = os.path.abspath(options.peers)
    work = tempfile.mkdtemp(prefix="interop-")
    os.chmod(work, 0o755)
    try:
        proof = Proof(options, work)
        try:
            return proof.run()
        finally:
            proof.stop()
    finally:
        if options.keep:
            print("kept:", work)
        else:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

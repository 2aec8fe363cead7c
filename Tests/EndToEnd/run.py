#!/usr/bin/env python3
"""End-to-end tests: the real binary, real sockets, real clients, on loopback.

    Tests/EndToEnd/run.py [--bin .build/debug] [NAME …]

Closes with `N passed, N failed, N skipped`. A client that is not installed skips its tests, loudly.
"""
import argparse, base64, email, json, os, re, select, shutil, signal, smtplib, socket, ssl, subprocess, sys, tempfile, threading, time
import traceback, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PASSWORD = "correct horse battery staple"


class Skip(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A daemon on a folder of its own. `with Server() as s:` starts it and ends it."""

    def __init__(self, binary, folder=None, environment=None, **settings):
        self.binary = binary
        self.folder = folder or tempfile.mkdtemp(prefix="martlet-e2e-")
        self.owns_folder = folder is None
        self.environment = dict(os.environ, **(environment or {}))
        self.mx, self.submission, self.submissions, self.metrics = (free_port() for _ in range(4))
        self.data = os.path.join(self.folder, "data")
        self.config = os.path.join(self.folder, "config.json")
        configuration = {
            "server": {"hostname": "mx.e2e.test"},
            # No DNS here: what is checked of senders is tested with a DNS of its own.
            "auth": {"enabled": False},
            "smtp": {"listeners": [
                {"address": f"127.0.0.1:{self.mx}", "kind": "mx", "tls": "starttls"},
                {"address": f"127.0.0.1:{self.submission}", "kind": "submission", "tls": "starttls"},
                {"address": f"127.0.0.1:{self.submissions}", "kind": "submissions", "tls": "required"}]},
            "store": {"path": self.data, "min_free_bytes": 1 << 20},
            "metrics": {"listen": f"127.0.0.1:{self.metrics}"},
        }
        for key, value in settings.items():
            section, name = key.split("__")
            configuration.setdefault(section, {})[name] = value
        with open(self.config, "w") as f:
            json.dump(configuration, f)
        self.log = os.path.join(self.folder, "log")
        self.process = None

    def cli(self, *arguments, input=None, check=True):
        r = subprocess.run([f"{self.binary}/martlet", *arguments, "--config", self.config], input=input,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and r.returncode != 0:
            raise AssertionError(f"martlet {' '.join(arguments)}: {r.returncode}: {r.stderr.decode()}")
        return r

    def populate(self):
        self.cli("domain", "add", "e2e.test")
        for name in ("alice", "bob"):
            self.cli("account", "add", f"{name}@e2e.test", "--password-stdin", input=PASSWORD.encode() + b"\n")
        return self

    def start(self):
        log = open(self.log, "ab")
        size = log.tell()
        self.process = subprocess.Popen([f"{self.binary}/martlet", "serve", "--config", self.config],
                                        stdout=log, stderr=log, env=self.environment)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with open(self.log, "rb") as f:
                f.seek(size)
                if b" ready " in f.read():
                    return self
            if self.process.poll() is not None:
                raise AssertionError("server ended: " + open(self.log).read()[-2000:])
            time.sleep(0.02)
        raise AssertionError("not ready within 60 s")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            code = self.process.wait(40)
            assert code == 0, f"exit status {code}"

    def __enter__(self):
        return self.populate().start()

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            if self.process and self.process.poll() is None:
                self.kill()
            if self.owns_folder:
                shutil.rmtree(self.folder, ignore_errors=True)

    def mailbox(self, address="alice@e2e.test"):
        return json.loads(self.cli("mailbox", "list", address, "--limit", "10000", "--json").stdout or b"[]")

    def raw(self, identifier, address="alice@e2e.test"):
        return self.cli("mailbox", "read", address, identifier, "--raw").stdout

    def metric(self, pattern):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10).read().decode()
        return sum(float(l.rsplit(" ", 1)[1]) for l in text.splitlines() if re.match(pattern, l))

    def received(self, marker, address="alice@e2e.test"):
        """The stored message that contains `marker`."""
        for m in self.mailbox(address):
            raw = self.raw(m["id"], address)
            if marker.encode() in raw:
                return raw
        raise AssertionError(f"{marker} is not in the mailbox of {address}")


def message(marker, body="Hello\r\n.leading dot\r\n..two\r\nend\r\n"):
    return (f"From: <sender@remote.example>\r\nTo: <alice@e2e.test>\r\nSubject: {marker}\r\n"
            f"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{marker}@remote.example>\r\n\r\n{body}").encode()


def assert_stored(raw, sent):
    assert raw.endswith(sent), f"stored message differs: {raw[-300:]!r}"
    trace = raw[:len(raw) - len(sent)].decode()
    assert trace.startswith("Return-Path: <"), trace
    assert "\r\nReceived: from " in "\r\n" + trace, trace


def context():
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c


def need(program):
    if not shutil.which(program):
        raise Skip(f"{program} is not installed")


# -- the tests ---------------------------------------------------------------------------------------------------------

def test_smtplib_plain(s):
    sent = message("plain-1")
    with smtplib.SMTP("127.0.0.1", s.mx) as c:
        c.sendmail("sender@remote.example", ["alice@e2e.test"], sent)
    assert_stored(s.received("plain-1"), sent)


def test_smtplib_starttls(s):
    sent = message("starttls-1")
    with smtplib.SMTP("127.0.0.1", s.mx) as c:
        c.starttls(context=context())
        c.sendmail("sender@remote.example", ["alice@e2e.test"], sent)
    raw = s.received("starttls-1")
    assert_stored(raw, sent)
    assert b"with ESMTPS" in raw and b"version=TLSv1.3" in raw, raw[:400]


def test_smtplib_implicit_tls_with_auth(s):
    sent = message("implicit-1").replace(b"sender@remote.example>\r\nTo", b"bob@e2e.test>\r\nTo")
    with smtplib.SMTP_SSL("127.0.0.1", s.submissions, context=context()) as c:
        c.login("bob@e2e.test", PASSWORD)
        c.sendmail("bob@e2e.test", ["alice@e2e.test"], sent)
    raw = s.received("implicit-1")
    assert_stored(raw, sent)
    assert b"with ESMTPSA" in raw, raw[:400]


def test_auth_is_not_offered_without_tls_and_wrong_passwords_fail(s):
    with smtplib.SMTP("127.0.0.1", s.submission) as c:
        c.ehlo()
        assert not c.has_extn("auth")
        c.starttls(context=context())
        c.ehlo()
        assert "SCRAM-SHA-256" in c.esmtp_features["auth"]
        try:
            c.login("bob@e2e.test", "wrong")
            raise AssertionError("a wrong password was accepted")
        except smtplib.SMTPAuthenticationError as e:
            assert e.smtp_code == 535
        c.login("bob@e2e.test", PASSWORD)
        code, _ = c.mail("alice@e2e.test")
        assert code == 553, "a user must not send as somebody else"


def test_scram_sha_256(s):
    import hashlib, hmac
    c = smtplib.SMTP("127.0.0.1", s.submission)
    c.starttls(context=context())
    c.ehlo()
    bare = "n=bob@e2e.test,r=clientnonce"
    code, text = c.docmd("AUTH", "SCRAM-SHA-256 " + base64.b64encode(b"n,," + bare.encode()).decode())
    assert code == 334, (code, text)
    first = base64.b64decode(text).decode()
    fields = dict(p.split("=", 1) for p in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    final = f"c=biws,r={fields['r']}"
    signed = ",".join((bare, first, final)).encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
    code, text = c.docmd(base64.b64encode(f"{final},p={proof}".encode()).decode())
    assert code == 334, (code, text)
    server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
    assert base64.b64decode(text).decode() == "v=" + base64.b64encode(server).decode()
    code, text = c.docmd("")
    assert code == 235, (code, text)
    c.quit()


def test_swaks(s):
    need("swaks")
    for extra in ([], ["--tls"]):
        subprocess.run(["swaks", "--server", f"127.0.0.1:{s.mx}", "--from", "a@remote.example", "--to", "alice@e2e.test",
                        "--header", f"Subject: swaks{len(extra)}", *extra], check=True, stdout=subprocess.DEVNULL)
        s.received(f"Subject: swaks{len(extra)}")


def test_curl(s):
    need("curl")
    sent = message("curl-1")
    path = os.path.join(s.folder, "curl.eml")
    with open(path, "wb") as f:
        f.write(sent)
    subprocess.run(["curl", "-sS", "--url", f"smtp://127.0.0.1:{s.mx}", "--ssl-reqd", "-k", "--mail-from",
                    "sender@remote.example", "--mail-rcpt", "alice@e2e.test", "--upload-file", path], check=True)
    assert_stored(s.received("curl-1"), sent)


def test_pipelined_burst_with_a_half_closing_client(s):
    sent = message("half-closed")
    stuffed = sent.replace(b"\r\n.", b"\r\n..")
    c = socket.create_connection(("127.0.0.1", s.mx))
    f = c.makefile("rb")
    assert f.readline().startswith(b"220")
    c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<alice@e2e.test>\r\nRCPT TO:<nobody@e2e.test>\r\n"
              b"DATA\r\n")
    replies = read_replies(f, 5)
    assert [r[:3] for r in replies] == ["250", "250", "250", "550", "354"], replies
    c.sendall(stuffed + b".\r\nQUIT\r\n")
    c.shutdown(socket.SHUT_WR)
    assert [r[:3] for r in read_replies(f, 2)] == ["250", "221"]
    assert f.readline() == b""
    assert_stored(s.received("half-closed"), sent)


def read_replies(f, count):
    out = []
    while len(out) < count:
        line = f.readline().decode()
        assert line, f"closed after {out}"
        if line[3:4] != "-":
            out.append(line.strip())
    return out


def test_a_burst_with_more_replies_than_fit_is_answered_to_its_end(s):
    count = 6000
    for tls in (False, True):
        c = socket.create_connection(("127.0.0.1", s.submissions if tls else s.mx), timeout=60)
        if tls:
            c = context().wrap_socket(c)
        f = c.makefile("rb")
        f.readline()
        c.sendall(b"NOOP\r\n" * count)
        if not tls:
            c.shutdown(socket.SHUT_WR)
        answered = [f.readline() for _ in range(count)]
        assert all(a.startswith(b"250 ") for a in answered), answered[-1]
        c.close()


def test_pipelined_scrapes_are_all_answered(s):
    c = socket.create_connection(("127.0.0.1", s.metrics), timeout=60)
    c.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 300 + b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    text = b""
    while True:
        part = c.recv(65536)
        if not part:
            break
        text += part
    assert text.count(b"HTTP/1.1 200 OK") == 301 and b"martlet_build_info" in text


def test_bdat_large_body_is_byte_exact(s):
    sent = message("large-1", "0123456789abcdef" * 64 + "\r\n" + ("x" * 76 + "\r\n") * 40_000)
    c = socket.create_connection(("127.0.0.1", s.mx))
    f = c.makefile("rb")
    f.readline()
    c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<alice@e2e.test>\r\n")
    read_replies(f, 3)
    for start in range(0, len(sent), 100_001):
        part = sent[start:start + 100_001]
        c.sendall(b"BDAT %d%s\r\n" % (len(part), b" LAST" if start + 100_001 >= len(sent) else b"") + part)
        assert read_replies(f, 1)[0].startswith("250")
    assert_stored(s.received("large-1"), sent)


def test_many_recipients_store_the_message_once_each(s):
    sent = message("both-1")
    with smtplib.SMTP("127.0.0.1", s.mx) as c:
        c.sendmail("sender@remote.example", ["alice@e2e.test", "bob@e2e.test", "alice+tag@e2e.test"], sent)
    for address in ("alice@e2e.test", "bob@e2e.test"):
        found = [m for m in s.mailbox(address) if b"both-1" in s.raw(m["id"], address)]
        assert len(found) == 1, found
    assert b"\r\n\tfor <" not in s.received("both-1"), "a second recipient must not be told"


def test_aliases_catch_all_quota_and_domain_rules(s):
    s.cli("alias", "add", "sales@e2e.test", "alice@e2e.test", "bob@e2e.test")
    s.cli("domain", "add", "other.test")
    s.cli("alias", "add", "@other.test", "bob@e2e.test")
    with smtplib.SMTP("127.0.0.1", s.mx) as c:
        c.sendmail("a@remote.example", ["sales@e2e.test"], message("alias-1"))
        c.sendmail("a@remote.example", ["anything@other.test"], message("catch-1"))
        c.docmd("RSET")
        s.cli("domain", "set", "other.test", "max_message_size=2048")
        c.mail("a@remote.example", ["SIZE=4000"])
        assert c.rcpt("x@other.test")[0] == 552
        c.docmd("RSET")
    s.received("alias-1", "alice@e2e.test")
    s.received("alias-1", "bob@e2e.test")
    s.received("catch-1", "bob@e2e.test")
    s.cli("account", "add", "small@e2e.test", "--password-stdin", "--quota", "4096", input=b"pw-pw-pw-pw\n")
    with smtplib.SMTP("127.0.0.1", s.mx) as c:
        c.sendmail("a@remote.example", ["small@e2e.test"], message("quota-1", "y\r\n" * 1200))
        c.mail("a@remote.example", ["SIZE=500"])
        assert c.rcpt("small@e2e.test")[0] == 452, "the mailbox is full"


def test_acknowledged_mail_survives_kill(s):
    sent = [message(f"kill-{i}") for i in range(20)]
    with smtplib.SMTP("127.0.0.1", s.mx) as c:
        for m in sent:
            c.sendmail("sender@remote.example", ["alice@e2e.test"], m)
        s.kill()
    s.start()
    for i, m in enumerate(sent):
        assert_stored(s.received(f"kill-{i}@"), m)


def test_drain_finishes_the_transaction_under_way(s):
    idle = socket.create_connection(("127.0.0.1", s.mx)).makefile("rb")
    idle.readline()
    with smtplib.SMTP("127.0.0.1", s.mx) as c:
        c.ehlo()
        c.mail("a@remote.example")
        c.rcpt("alice@e2e.test")
        assert c.docmd("DATA")[0] == 354
        s.process.send_signal(signal.SIGTERM)
        assert idle.readline().startswith(b"421 ")
        c.send(message("drain-1").replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert c.getreply()[0] == 250
        assert c.getreply()[0] == 421
    assert s.process.wait(40) == 0
    s.start()
    s.received("drain-1")


def test_reload_takes_new_certificates_and_keeps_the_old_configuration_when_the_new_is_bad(s):
    def fingerprint():
        with socket.create_connection(("127.0.0.1", s.submissions)) as raw:
            with context().wrap_socket(raw) as c:
                return c.getpeercert(binary_form=True)
    before = fingerprint()
    shutil.rmtree(os.path.join(s.data, "tls"))
    s.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while fingerprint() == before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert fingerprint() != before
    good = open(s.config).read()
    with open(s.config, "w") as f:
        f.write(good.replace('"hostname"', '"hostnme"'))
    r = s.cli("reload", check=False)
    assert r.returncode != 0 and b"hostname" in r.stderr, r.stderr
    with open(s.config, "w") as f:
        f.write(good)
    test_smtplib_plain(s)


def test_certificates_by_name_and_kind_of_key(_, binary):
    need("openssl")
    folder = tempfile.mkdtemp(prefix="martlet-tls-")
    files = []
    for name, key in (("mx.e2e.test", "ec"), ("mx.e2e.test", "rsa"), ("other.e2e.test", "ec")):
        base = os.path.join(folder, f"{name}-{key}")
        kind = ["-newkey", "rsa:2048"] if key == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        subprocess.run(["openssl", "req", "-x509", *kind, "-nodes", "-keyout", base + ".key", "-out", base + ".crt", "-days",
                        "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"], check=True,
                       stderr=subprocess.DEVNULL)
        files.append({"certificate": base + ".crt", "key": base + ".key"})

    def seen(s, name, ciphers):
        c = context()
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        c.set_ciphers(ciphers)
        with socket.create_connection(("127.0.0.1", s.submissions)) as raw:
            with c.wrap_socket(raw, server_hostname=name) as t:
                der = t.getpeercert(binary_form=True)
        text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-text"], input=der,
                              stdout=subprocess.PIPE, check=True).stdout.decode()
        return re.search(r"CN ?= ?(\S+)", text).group(1), "rsaEncryption" in text

    try:
        with Server(binary, tls__mode="files", tls__certificates=files) as s:
            assert seen(s, "mx.e2e.test", "ECDHE-RSA-AES128-GCM-SHA256") == ("mx.e2e.test", True)
            assert seen(s, "mx.e2e.test", "ECDHE-ECDSA-AES128-GCM-SHA256") == ("mx.e2e.test", False)
            assert seen(s, "other.e2e.test", "ECDHE-ECDSA-AES128-GCM-SHA256") == ("other.e2e.test", False)
            assert seen(s, "unknown.example", "ECDHE-ECDSA-AES128-GCM-SHA256")[0] == "mx.e2e.test"
    finally:
        shutil.rmtree(folder)


def test_metrics_and_health(s):
    before = s.metric(r'martlet_messages_received_total\{.*result="accepted"')
    test_smtplib_plain(s)
    assert s.metric(r'martlet_messages_received_total\{.*result="accepted"') == before + 1
    assert s.metric(r"martlet_commit_duration_seconds_count") > 0
    for path in ("healthz", "readyz"):
        assert urllib.request.urlopen(f"http://127.0.0.1:{s.metrics}/{path}", timeout=10).status == 200


def test_control_socket_survives_garbage_and_is_private(s):
    path = os.path.join(s.data, "control.sock")
    assert os.stat(path).st_mode & 0o777 == 0o600
    for junk in (b"\xff" * 64, b"\0\0\0\0", b"GET / HTTP/1.0\r\n\r\n", os.urandom(4096)):
        c = socket.socket(socket.AF_UNIX)
        c.connect(path)
        try:
            c.sendall(junk)
        except OSError:
            pass
        c.close()
    assert b"ready" in s.cli("status").stdout


def test_socket_activation_and_readiness(_, binary):
    """A service manager's listening sockets are used, and it is told when the server is ready and when it stops."""
    s = Server(binary, smtp__reactors=2)
    try:
        s.populate()
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.join(s.folder, "notify")
        notify.bind(path)
        notify.settimeout(30)
        held = socket.socket()
        held.bind(("127.0.0.1", 0))
        held.listen(16)
        script = 'exec 3<&%d; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"' % held.fileno()
        s.process = subprocess.Popen(
            ["bash", "-c", script, "x", f"{binary}/martlet", "serve", "--config", s.config], pass_fds=[held.fileno()],
            env=dict(os.environ, NOTIFY_SOCKET=path), stderr=subprocess.DEVNULL)
        assert notify.recv(100) == b"READY=1"
        for i in range(8):
            with smtplib.SMTP("127.0.0.1", held.getsockname()[1]) as c:
                c.sendmail("a@remote.example", ["alice@e2e.test"], message(f"inherited-{i}"))
        s.received("inherited-7")
        s.process.terminate()
        assert notify.recv(100) == b"STOPPING=1"
        assert s.process.wait(40) == 0
    finally:
        s.__exit__()


class Peer:
    """Another mail server: keeps what it takes, answers RCPT by the local part (`refused`, `busy`)."""

    def __init__(self):
        self.messages, self.busy, self.clients = [], set(), []
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        f, recipients, sender = c.makefile("rb"), [], ""
        c.sendall(b"220 peer.test ESMTP\r\n")
        for line in f:
            verb = line[:4].upper()
            if verb == b"EHLO":
                c.sendall(b"250-peer.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")
            elif verb == b"MAIL":
                self.clients.append(c.getpeername()[0])
                sender, recipients = line[line.index(b"<") + 1:line.index(b">")].decode(), []
                c.sendall(b"250 2.1.0 ok\r\n")
            elif verb == b"RCPT":
                to = line[line.index(b"<") + 1:line.index(b">")].decode()
                if to.startswith("refused"):
                    c.sendall(b"550 5.1.1 nobody of that name\r\n")
                elif to.startswith("busy") and to in self.busy:
                    c.sendall(b"451 4.7.1 come back later\r\n")
                else:
                    recipients.append(to)
                    c.sendall(b"250 2.1.5 ok\r\n")
            elif verb == b"DATA":
                if not recipients:
                    c.sendall(b"554 5.5.1 no recipients\r\n")
                    continue
                c.sendall(b"354 go on\r\n")
                body = b""
                for line in f:
                    if line == b".\r\n":
                        break
                    body += line[1:] if line.startswith(b".") else line
                self.messages.append((sender, recipients, body))
                c.sendall(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT":
                c.sendall(b"221 2.0.0 bye\r\n")
                break
            else:
                c.sendall(b"250 2.0.0 ok\r\n")
        c.close()

    def close(self):
        self.socket.close()


def wait_for(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.05)


def relay_server(binary, peer):
    return Server(binary, smtp__relay_networks=["127.0.0.0/8"], delivery__retry_intervals=["1h"],
                  delivery__routes=[{"domain": "*", "to": "127.0.0.1", "port": peer.port, "tls": "none"}])


def write_settings(s, settings):
    """New values into the server's file: `section__name`."""
    with open(s.config) as f:
        configuration = json.load(f)
    for key, value in settings.items():
        section, name = key.split("__")
        configuration.setdefault(section, {})[name] = value
    with open(s.config, "w") as f:
        json.dump(configuration, f)


def reload(s, **settings):
    """New values, `martlet reload`, and what it says of them."""
    write_settings(s, settings)
    return json.loads(s.cli("reload", "--json").stdout)


def test_delivery_follows_a_reload(_, binary):
    """Times of the queue, source addresses and limits change while mail waits, and the answer says which did."""
    peer = Peer()
    peer.busy |= {"busy1@peer.test", "busy2@peer.test"}
    with relay_server(binary, peer) as s:
        def send(to, sender="alice@e2e.test"):
            with smtplib.SMTP("127.0.0.1", s.mx) as c:
                c.sendmail(sender, [to], message("reload"))

        def queue():
            return {r["recipient"] if "recipient" in r else r["address"]: r
                    for r in json.loads(s.cli("queue", "list", "--json").stdout or b"[]")}

        send("busy1@peer.test")
        wait_for("refusal in the queue", lambda: b"come back later" in s.cli("queue", "list", "--json").stdout)
        said = reload(s, delivery__retry_intervals=["1s"], delivery__delay_warning=1,
                      delivery__local_addresses=["127.7.7.7"], smtp__reactors=2)
        assert said == {"applied": ["delivery.retry_intervals", "delivery.delay_warning", "delivery.local_addresses"],
                        "need_restart": ["smtp.reactors"]}, said
        # What waits already keeps its hour; new mail is tried every second, from the other address.
        send("busy2@peer.test")
        wait_for("second attempt", lambda: peer.clients.count("127.7.7.7") >= 3)
        assert queue()["busy1@peer.test"]["attempts"] == 1, queue()
        wait_for("warning for the sender", s.mailbox)
        report = email.message_from_bytes(s.raw(s.mailbox()[0]["id"]))
        assert report.get_payload()[1].get_payload()[1]["Action"] == "delayed"
        # Its time is over at the next attempt, for both: the one that waits is told to go now.
        text = s.cli("reload").stdout.decode()
        assert text == "reloaded\nneeds restart: smtp.reactors\n", text
        said = reload(s, delivery__max_age=60, delivery__delay_warning=0, smtp__reactors=0)
        assert said == {"applied": ["delivery.max_age", "delivery.delay_warning"], "need_restart": []}, said
        assert b"no setting has changed" in s.cli("reload").stdout
        log = open(s.log).read()
        assert "setting_changed" in log and "key=delivery.max_age" in log, log[-2000:]
        assert "setting_needs_restart" in log and "key=smtp.reactors" in log, log[-2000:]
        peer.busy.discard("busy2@peer.test")
        wait_for("delivery", lambda: peer.messages)
        # Routes: the next message does not go by a plan of before.
        other = Peer()
        said = reload(s, delivery__routes=[{"domain": "*", "to": "127.0.0.1", "port": other.port, "tls": "none"}])
        assert said["applied"] == ["delivery.routes"], said
        send("new@peer.test")
        wait_for("message at the new host", lambda: other.messages)
        other.close()
    peer.close()


def test_sessions_follow_a_reload(_, binary):
    """Keys that sessions read: who may relay, sizes and counts, disk space, the log's form."""
    with Server(binary) as s:
        def rcpt(to):
            with smtplib.SMTP("127.0.0.1", s.mx) as c:
                c.ehlo()
                c.mail("a@remote.example")
                return c.rcpt(to)[0]

        with smtplib.SMTP("127.0.0.1", s.mx) as old:
            old.ehlo()
            assert rcpt("x@elsewhere.test") == 550
            said = reload(s, smtp__relay_networks=["127.0.0.0/8"], smtp__max_message_size=2048, smtp__max_errors=2)
            assert sorted(said["applied"]) == ["smtp.max_errors", "smtp.max_message_size", "smtp.relay_networks"], said
            assert rcpt("x@elsewhere.test") == 250
            # The session of before: its next message too is of a client that may relay.
            old.mail("a@remote.example")
            assert old.rcpt("x@elsewhere.test")[0] == 250
        with smtplib.SMTP("127.0.0.1", s.mx) as c:
            c.ehlo()
            assert c.esmtp_features["size"] == "2048", c.esmtp_features
            assert [c.docmd("XXXX")[0] for _ in range(2)] == [500, 500]
            assert c.docmd("XXXX")[0] == 421 or c.getreply()[0] == 421
        reload(s, store__min_free_bytes=1 << 40, pressure__enabled=False)
        wait_for("shortage of disk", lambda: rcpt("alice@e2e.test") == 452 or refused_at_end(s))
        reload(s, store__min_free_bytes=1 << 20)
        wait_for("space again", lambda: not refused_at_end(s))
        said = reload(s, logging__format="json", auth__enabled=True, dmarc__mode="rfc7489", ledger__max_age="1d")
        assert sorted(said["applied"]) == ["auth.enabled", "dmarc.mode", "ledger.max_age", "logging.format"], said
        wait_for("line in JSON", lambda: '"event":"reloaded"' in open(s.log).read())


def refused_at_end(s):
    with smtplib.SMTP("127.0.0.1", s.mx) as c:
        try:
            c.sendmail("a@remote.example", ["alice@e2e.test"], message("space"))
            return False
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
            return True


def test_own_mail_reaches_another_server(_, binary):
    """From a user to another server: signed, without blind copies, byte-exact; a refusal comes back as a report."""
    peer = Peer()
    with relay_server(binary, peer) as s:
        s.cli("dkim", "generate", "e2e.test", "--algorithm", "ed25519", "--selector", "sel")
        s.cli("dkim", "activate", "e2e.test", "sel")
        text = (b"From: alice@e2e.test\r\nBcc: x@y.example\r\nSubject: to-elsewhere\r\n\r\n"
                b"..two dots\r\n.\r\nend\r\n")
        with smtplib.SMTP("127.0.0.1", s.submission) as c:
            c.starttls(context=context())
            c.login("alice@e2e.test", PASSWORD)
            c.sendmail("alice@e2e.test", ["far@peer.test", "refused@peer.test", "far2@peer.test"], text)
        wait_for("message at the peer", lambda: peer.messages)
        sender, recipients, body = peer.messages[0]
        assert (sender, recipients) == ("alice@e2e.test", ["far@peer.test", "far2@peer.test"]), peer.messages[0][:2]
        assert b"\r\n..two dots\r\n.\r\nend\r\n" in body, body
        assert b"Bcc:" not in body and b"DKIM-Signature: v=1; a=ed25519-sha256" in body, body
        assert b"\r\nMessage-ID: <" in body and b"\r\nDate: " in body and not body.startswith(b"Return-Path"), body
        wait_for("report", s.mailbox)
        report = email.message_from_bytes(s.raw(s.mailbox()[0]["id"]))
        assert report.get_content_type() == "multipart/report", report.get_content_type()
        fields = report.get_payload()[1].get_payload()[1]
        assert "refused@peer.test" in fields["Final-Recipient"], fields.as_string()
        assert fields["Action"] == "failed" and fields["Status"] == "5.1.1", fields.as_string()
        assert json.loads(s.cli("queue", "list", "--json").stdout or b"[]") == []
    peer.close()


def test_mail_waits_and_survives_a_kill(_, binary):
    """What another server puts off stays in the queue, also over a kill -9, and goes when it is told to."""
    peer = Peer()
    peer.busy.add("busy@peer.test")
    s = relay_server(binary, peer)
    with s:
        with smtplib.SMTP("127.0.0.1", s.mx) as c:
            c.sendmail("alice@e2e.test", ["busy@peer.test"], message("waits"))
        wait_for("refusal in the queue", lambda: b"come back later" in s.cli("queue", "list", "--json").stdout)
        waiting = json.loads(s.cli("queue", "list", "--json").stdout)[0]["id"]
        # Records are written beside the mail: they may come a moment later.
        wait_for("record of the refusal", lambda: b"come back later" in s.cli("explain", waiting.split("/")[0]).stdout)
        s.kill()
        s.start()
        assert b"busy@peer.test" in s.cli("queue", "list").stdout
        peer.busy.clear()
        assert not peer.messages
        s.cli("queue", "retry", "--to-domain", "peer.test", "--yes")
        wait_for("message at the peer", lambda: peer.messages)
        wait_for("empty queue", lambda: b"busy@peer.test" not in s.cli("queue", "list").stdout)
        assert len(peer.messages) == 1 and b"Subject: waits" in peer.messages[0][2]
        identifier = re.search(rb"id ([0-9A-Z]{13})", peer.messages[0][2]).group(1).decode()
        explained = s.cli("explain", identifier).stdout
        assert b"come back later" in explained and b"delivered: 250" in explained, explained
    peer.close()


def test_forwarding_rewrites_the_sender(_, binary):
    """A forwarding alias sends on under an address of ours that leads reports back."""
    peer = Peer()
    with relay_server(binary, peer) as s:
        s.cli("alias", "add", "away@e2e.test", "far@peer.test")
        s.cli("alias", "add", "away@e2e.test", "bob@e2e.test")
        config = json.load(open(s.config))
        config["smtp"]["relay_networks"] = []
        json.dump(config, open(s.config, "w"))
        s.stop()
        s.start()
        with smtplib.SMTP("127.0.0.1", s.mx) as c:
            c.sendmail("stranger@remote.example", ["away@e2e.test"], message("forwarded"))
        wait_for("message at the peer", lambda: peer.messages)
        sender = peer.messages[0][0]
        assert sender.startswith("SRS0=") and sender.endswith("=remote.example=stranger@e2e.test"), sender
        assert len(s.mailbox("bob@e2e.test")) == 1
        with smtplib.SMTP("127.0.0.1", s.mx) as c:
            c.sendmail("", [sender], message("bounce"))
        wait_for("report for the first sender", lambda: len(peer.messages) == 2)
        assert peer.messages[1][:2] == ("", ["stranger@remote.example"]), peer.messages[1][:2]
        with smtplib.SMTP("127.0.0.1", s.mx) as c:
            try:
                c.sendmail("spam@remote.example", [sender], message("no bounce"))
                raise AssertionError("mail that is no report went through an address made for reports")
            except smtplib.SMTPRecipientsRefused:
                pass
    peer.close()


def test_users_do_not_speak_for_others(_, binary):
    """No signature of a domain that is not the user's, no results in our name, no header that hides fields."""
    peer = Peer()
    with relay_server(binary, peer) as s:
        s.cli("domain", "add", "other.test")
        for domain in ("e2e.test", "other.test"):
            s.cli("dkim", "generate", domain, "--algorithm", "ed25519", "--selector", "sel")
            s.cli("dkim", "activate", domain, "sel")
        with smtplib.SMTP("127.0.0.1", s.submission) as c:
            c.starttls(context=context())
            c.login("alice@e2e.test", PASSWORD)
            c.sendmail("alice@e2e.test", ["far@peer.test"],
                       b"From: boss@other.test\r\nAuthentication-Results: mx.e2e.test; dmarc=pass\r\n"
                       b"Subject: not mine\r\n\r\nx\r\n")
        wait_for("message at the peer", lambda: peer.messages)
        body = peer.messages[0][2]
        assert b"d=e2e.test" in body and b"d=other.test" not in body, body
        assert b"dmarc=pass" not in body, body
        with smtplib.SMTP("127.0.0.1", s.mx) as c:
            try:
                c.sendmail("a@remote.example", ["alice@e2e.test"], b"a:\r\n" * 10_001 + b"\r\nx\r\n")
                raise AssertionError("a header with fields beyond what is looked at was taken")
            except smtplib.SMTPDataError as e:
                assert e.smtp_code == 554, e
    peer.close()


def test_senders_are_judged(_, binary):
    """Every kind of sender against every kind of domain: see tools/authlab.py."""
    need("swaks")
    tool = os.path.join(HERE, "..", "..", "tools", "authlab.py")
    r = subprocess.run([sys.executable, tool, "--bin", binary], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert r.returncode == 0, r.stdout[-3000:]


def fault_server(binary):
    need("gcc")
    folder = tempfile.mkdtemp(prefix="martlet-fault-")
    library, control = os.path.join(folder, "faultio.so"), os.path.join(folder, "control")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, os.path.join(HERE, "faultio.c"), "-ldl"], check=True)
    with open(control, "wb") as f:
        f.write(bytes(16))
    s = Server(binary, folder=folder, environment={"LD_PRELOAD": library, "FAULTIO": control})
    s.owns_folder = True

    def set_faults(**faults):
        values = bytearray(16)
        values[0], values[1], values[2] = faults.get("sync", 0), faults.get("full", 0), faults.get("write", 0)
        with open(control, "r+b") as f:
            f.write(values)
    s.faults = set_faults
    return s


def test_failing_disk_is_never_answered_with_250(_, binary):
    bodies = {"small": "", "large": ("x" * 76 + "\r\n") * 3000}
    with fault_server(binary) as s:
        acknowledged, refused = [], 0
        for fault in ("sync", "full", "write"):
            for size, body in bodies.items():
                s.faults(**{fault: 1})
                for i in range(3):
                    marker = f"{fault}-{size}-{i}"
                    with smtplib.SMTP("127.0.0.1", s.mx) as c:
                        try:
                            c.sendmail("a@remote.example", ["alice@e2e.test"], message(marker, body))
                            acknowledged.append(marker)
                        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused) as e:
                            code = getattr(e, "smtp_code", 452)
                            assert code in (451, 452), (marker, code)
                            refused += 1
                s.faults()
                # Service comes back by itself.
                deadline = time.monotonic() + 30
                while True:
                    marker = f"after-{fault}-{size}-{time.monotonic_ns()}"
                    with smtplib.SMTP("127.0.0.1", s.mx) as c:
                        try:
                            c.sendmail("a@remote.example", ["alice@e2e.test"], message(marker, body))
                            acknowledged.append(marker)
                            break
                        except smtplib.SMTPResponseException as e:
                            assert e.smtp_code in (451, 452), e
                    assert time.monotonic() < deadline, f"no service after {fault}"
                    time.sleep(0.1)
        assert refused >= 12, f"only {refused} refusals: the faults did not bite"
        s.kill()
        s.start()
        stored = b"".join(s.raw(m["id"]) for m in s.mailbox())
        for marker in acknowledged:
            assert f"Subject: {marker}\r\n".encode() in stored, f"{marker} was acknowledged and is not there"
        s.cli("store", "verify")


# -- defences: quick ones; tools/defense_lab.py drives each of them at length --------------------------------------------

def told(client):
    """(code, the id that ends the reply or None) of the next reply of a socket's file, the time it took, its text."""
    begun = time.monotonic()
    reply = read_replies(client, 1)[0]
    found = re.search(r"\(([0-9A-Z]{13})\)$", reply)
    return int(reply[:3]), found and found[1], time.monotonic() - begun, reply


def reached(s, source="127.0.0.1", first=b"", port=None):
    """A connection from `source` and its file; `first` goes before the banner is read."""
    c = socket.create_connection(("127.0.0.1", port or s.mx), timeout=20, source_address=(source, 0))
    if first:
        c.sendall(first)
    return c, c.makefile("rb")


def envelope(s, source, to, sender="a@remote.example"):
    """What RCPT is told, from `source`."""
    c, f = reached(s, source)
    with c:
        assert told(f)[0] == 220
        c.sendall(f"EHLO h.example\r\nMAIL FROM:<{sender}>\r\nRCPT TO:<{to}>\r\n".encode())
        assert [r[:3] for r in read_replies(f, 2)] == ["250", "250"]
        return told(f)


def explained(s, identifier, *words):
    deadline = time.monotonic() + 3
    while (r := s.cli("explain", identifier, check=False)).returncode and time.monotonic() < deadline:
        time.sleep(0.05)
    for word in words:
        assert re.search(word, r.stdout.decode(), re.I), f"{word} is not in: {r.stdout.decode()} {r.stderr.decode()}"


def reconfigure(s, **settings):
    """New values, SIGHUP, and a wait until they are taken."""
    write_settings(s, settings)
    before = s.metric(r"martlet_config_reloads_total")
    s.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while s.metric(r"martlet_config_reloads_total") == before:
        assert time.monotonic() < deadline, "SIGHUP had no effect"
        time.sleep(0.02)
    assert s.metric(r'martlet_config_reloads_total.*"refused"') == 0


def test_connections_of_an_address_are_limited_as_configured_now(_, binary):
    with Server(binary, smtp__max_connections_per_ip=2) as s:
        held = [reached(s, "127.1.0.1") for _ in range(2)]
        assert all(told(f)[0] == 220 for _, f in held)
        code, identifier, _, reply = told(reached(s, "127.1.0.1")[1])
        assert code == 421 and identifier, reply
        explained(s, identifier, "limit", r"127\.1\.0\.1")
        assert told(reached(s, "127.1.0.2")[1])[0] == 220
        reconfigure(s, smtp__max_connections_per_ip=3)
        held.append(reached(s, "127.1.0.1"))
        assert told(held[-1][1])[0] == 220
        assert told(reached(s, "127.1.0.1")[1])[0] == 421
        reconfigure(s, smtp__trusted_networks=["127.1.0.0/24"])
        assert told(reached(s, "127.1.0.1")[1])[0] == 220


def test_rate_of_messages_is_limited_as_configured_now(_, binary):
    with Server(binary, smtp__rate_limit={"messages_per_minute": 2}) as s:
        for _ in range(2):
            assert envelope(s, "127.1.0.1", "alice@e2e.test")[0] == 250
        c, f = reached(s, "127.1.0.1")
        told(f)
        c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\n")
        read_replies(f, 1)
        code, identifier, _, reply = told(f)
        assert code == 451 and identifier, reply
        explained(s, identifier, "still open", "limit")
        f.close(), c.close()
        reconfigure(s, smtp__rate_limit={"messages_per_minute": 0})
        assert envelope(s, "127.1.0.1", "alice@e2e.test")[0] == 250


def test_greylisting_is_switched_and_released_at_run_time(_, binary):
    sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
    import fakedns
    names = fakedns.Server(fakedns.Zone({"remote.example": {"A": ["127.1.0.1"]}}))
    to = "alice@e2e.test"
    # SPF is asked who the client is: without an answer from a DNS here that takes its time.
    with Server(binary, dns__forward=[f"127.0.0.1@{names.port}"], dns__trust_anchor_file="/dev/null") as s:
        assert envelope(s, "127.1.0.1", to)[0] == 250
        s.cli("domain", "set", "e2e.test", "greylist=true", "greylist_delay=5")
        code, identifier, _, reply = envelope(s, "127.1.0.1", to)
        assert code == 450 and " 4.7.1 " in reply and identifier, reply
        explained(s, identifier, "greylist")
        assert envelope(s, "127.1.0.1", to)[0] == 450
        assert b"127.1.0.0/24" in s.cli("greylist", "list").stdout
        s.cli("greylist", "release", "--id", identifier)
        assert envelope(s, "127.1.0.1", to)[0] == 250
        assert envelope(s, "127.1.1.1", to)[0] == 450
        s.cli("domain", "set", "e2e.test", "greylist=false")
        assert envelope(s, "127.1.1.1", to)[0] == 250
    names.close()


def test_tarpitting_slows_the_one_that_fails(s):
    slowed = r'martlet_defense_events_total.*"tarpit".*"slowed"'
    s.cli("domain", "set", "e2e.test", "tarpit=true", "tarpit_max_delay=1")
    c, f = reached(s, "127.1.0.1")
    told(f)
    c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\n")
    read_replies(f, 2)
    c.sendall(b"RCPT TO:<nobody@e2e.test>\r\n")
    assert told(f)[0] == 550
    assert s.metric(slowed) == 0, "the first failure is free"
    begun = time.monotonic()
    c.sendall(b"RCPT TO:<nobody@e2e.test>\r\nRCPT TO:<alice@e2e.test>\r\nNOOP\r\n")
    assert [r[:3] for r in read_replies(f, 3)] == ["550", "250", "250"]
    assert time.monotonic() - begun > 0.9, "nothing was slowed"
    assert envelope(s, "127.1.1.1", "alice@e2e.test")[0] == 250
    assert s.metric(slowed) == 1, "only the one that failed again is slowed"
    assert b"127.1.0.1" in s.cli("tarpit", "list").stdout
    s.cli("domain", "set", "e2e.test", "tarpit=false")
    # Rules hold from the next message on.
    c.sendall(b"RSET\r\nMAIL FROM:<a@remote.example>\r\n")
    read_replies(f, 2)
    c.sendall(b"RCPT TO:<nobody@e2e.test>\r\n")
    assert told(f)[0] == 550
    assert s.metric(slowed) == 1


def test_tarpitting_slows_bad_commands(s):
    slowed = r'martlet_defense_events_total.*"tarpit".*"slowed"'
    c, f = reached(s, "127.1.0.1")
    told(f)
    c.sendall(b"FOO\r\n" * 2)
    assert [told(f)[0] for _ in range(2)] == [500, 500]
    assert b"127.1.0.1" in s.cli("tarpit", "list").stdout, "failures count without a tarpit"
    assert s.metric(slowed) == 0, "no domain has it on"
    s.cli("domain", "set", "e2e.test", "tarpit=true", "tarpit_max_delay=1")
    c.sendall(b"FOO\r\nNOOP\r\n")
    assert [r[:3] for r in read_replies(f, 2)] == ["500", "250"]
    assert s.metric(slowed) == 1
    c.sendall(b"FOO\r\n")
    identifier = told(f)[1]
    explained(s, identifier, "after a bad command kept waiting", "domain set e2e.test tarpit=false")
    # In another session, in other ways, without a recipient.
    c, f = reached(s, "127.1.0.1")
    told(f)
    for i, command in enumerate([b"EXPN list", b"AUTH PLAIN x", b"MAIL FROM:no"]):
        c.sendall(command + b"\r\n")
        assert told(f)[0] in (501, 502, 503, 538)
    assert s.metric(slowed) > 1
    # Who pipelines behind a refusal is not to blame.
    c, f = reached(s, "127.1.1.1")
    told(f)
    c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<nobody@e2e.test>\r\nDATA\r\n")
    assert [r[:3] for r in read_replies(f, 4)] == ["250", "250", "550", "554"]
    row = json.loads(s.cli("tarpit", "list", "127.1.1.1", "--json").stdout)[0]
    assert row["failures"] == 1, row
    # Who hangs up in the hold, or goes over to TLS behind a bad command, leaves nothing behind.
    c, f = reached(s, "127.1.0.1")
    told(f)
    c.sendall(b"FOO\r\nSTARTTLS\r\n")
    assert [r[:3] for r in read_replies(f, 2)] == ["500", "220"]
    c, f = reached(s, "127.1.0.1")
    told(f)
    s.cli("domain", "set", "e2e.test", "tarpit_max_delay=30")
    c.sendall(b"FOO\r\n")
    wait_for("a held session", lambda: s.metric("martlet_tarpit_held_sessions") == 1)
    c.shutdown(socket.SHUT_WR)
    assert [r[:3] for r in read_replies(f, 1)] == ["421"] and f.read() == b""
    assert s.metric("martlet_tarpit_held_sessions") == 0
    # A message of the same burst is answered at once, and what was said of it is never taken back.
    c, f = reached(s, "127.1.0.1")
    told(f)
    c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<alice@e2e.test>\r\n")
    assert [r[:3] for r in read_replies(f, 3)] == ["250", "250", "250"]
    sent = message("burst")
    c.sendall(b"BDAT %d\r\n" % len(sent) + sent + b"FOO\r\nBDAT 0 LAST\r\n")
    c.shutdown(socket.SHUT_WR)
    assert [r[:3] for r in read_replies(f, 3)] == ["250", "500", "250"] and f.read() == b""
    assert_stored(s.received("burst"), sent)
    s.cli("domain", "set", "e2e.test", "tarpit=false")


def test_starttls_drops_what_comes_with_it(s):
    """RFC 3207 §4.2: what stands behind STARTTLS in the clear is thrown away; the session goes on under TLS without it."""
    c, f = reached(s, "127.1.2.1")
    told(f)
    c.sendall(b"EHLO h.example\r\nSTARTTLS\r\nMAIL FROM:<a@remote.example>\r\n")
    assert [r[:3] for r in read_replies(f, 2)] == ["250", "220"]
    t = context().wrap_socket(c, server_hostname="mx.e2e.test")
    t.settimeout(20)
    t.sendall(b"EHLO h.example\r\nRCPT TO:<alice@e2e.test>\r\n")
    assert [r[:3] for r in read_replies(t.makefile("rb"), 2)] == ["250", "503"], "nothing of it is left"
    wait_for("a line in the log", lambda: b"starttls_injection" in open(s.log, "rb").read())


def test_commands_that_change_something_are_logged(s):
    s.cli("domain", "set", "e2e.test", "tarpit=true", "tarpit_max_delay=3")
    s.cli("tarpit", "allow", "192.0.2.0/24", "198.51.100.1")
    s.cli("account", "passwd", "bob@e2e.test", "--password-stdin", input=b"a new secret of bob\n")
    s.cli("tarpit", "list")
    # What changes nothing leaves no line: the second of these at the latest.
    s.cli("tarpit", "release", "--all")
    s.cli("tarpit", "release", "--all")
    s.cli("domain", "set", "e2e.test", "tarpit=false")

    def lines():
        with open(s.log) as f:
            return [l for l in f if " operator_change " in l]
    wait_for("the last line", lambda: any("tarpit=false" in l for l in lines()))
    assert sum("tarpit release" in l for l in lines()) <= 1, lines()
    said = [l for l in lines() if "tarpit release" not in l]
    assert len(said) == 4, said
    assert all(f"uid={os.geteuid()}" in l for l in said), said
    assert "tarpit_max_delay=3" in said[0] and "count=2" in said[0], said[0]
    assert "tarpit allow" in said[1] and "192.0.2.0/24" in said[1] and "count=2" in said[1], said[1]
    assert "account passwd" in said[2] and "bob@e2e.test" in said[2], said[2]
    assert "secret of bob" not in open(s.log).read()


def test_exit_statuses_tell_values_from_usage(s):
    def status(*arguments, **options):
        return s.cli(*arguments, check=False, **options).returncode
    for bad in (["tarpit", "list", "foo"], ["greylist", "release", "--id", "nope"], ["greylist", "list", "--state", "x"],
                ["greylist", "list", "--client", "nonsense"], ["limits", "allow", "foo"],
                ["domain", "set", "e2e.test", "greylist_delay=3"]):
        assert status(*bad) == 65, bad
    replay = subprocess.run([f"{s.binary}/martlet", "policy", "replay", "--set", "greylist_delay=3", "--config", s.config],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert replay.returncode == 65, replay.stderr
    both = s.cli("tarpit", "release", "192.0.2.1", "--all", check=False)
    assert both.returncode == 64 and b"not several" in both.stderr, both.stderr
    nothing = s.cli("tarpit", "release", "--all")
    assert nothing.stdout == b"nothing to release\n", nothing.stdout
    with open("/dev/full", "wb") as full:
        r = subprocess.run([f"{s.binary}/martlet", "domain", "list", "--config", s.config], stdout=full,
                           stderr=subprocess.PIPE)
    assert r.returncode == 74 and b"standard output" in r.stderr, (r.returncode, r.stderr)
    explained = s.cli("config", "explain", "greylist_delay")
    assert b"setting of each domain" in explained.stdout, explained.stdout


def test_a_mailbox_list_that_is_cut_says_so(s):
    with smtplib.SMTP("127.0.0.1", s.mx) as c:
        for i in range(3):
            c.sendmail("sender@remote.example", ["alice@e2e.test"], message(f"listed-{i}"))
    s.received("listed-2")
    for limit, cut in ((2, True), (3, False)):
        r = s.cli("mailbox", "list", "alice@e2e.test", "--limit", str(limit))
        assert len(r.stdout.splitlines()) == 1 + limit and (b"more" in r.stderr) == cut, r
    assert s.cli("mailbox", "list", "alice@e2e.test", "--limit", "2", "--json").stderr == b""


def test_only_mx_listeners_keep_their_greeting_back(_, binary):
    """Who speaks first while the greeting waits is counted."""
    with Server(binary, smtp__greet_wait_ms=1000) as s:
        for port, counted in ((s.submission, 0), (s.mx, 1)):
            c, f = reached(s, "127.1.0.1", port=port)
            c.sendall(b"EHLO h.example\r\n")
            assert told(f)[0] == 220
            assert s.metric("martlet_early_talkers_total") == counted, port


def test_skipped_greylisting_is_counted(s):
    off = r'martlet_greylist_skipped_total.*"off"'
    trusted = r'martlet_greylist_skipped_total.*"trusted"'
    assert envelope(s, "127.1.0.1", "alice@e2e.test")[0] == 250
    assert s.metric(off) == 1
    s.cli("domain", "set", "e2e.test", "greylist=true")
    with smtplib.SMTP("127.0.0.1", s.submission) as c:
        c.starttls(context=context())
        c.login("bob@e2e.test", PASSWORD)
        c.sendmail("bob@e2e.test", ["alice@e2e.test"], message("skipped-1"))
    assert s.metric(trusted) == 1 and s.metric(off) == 1


def test_good_clients_are_known_after_a_restart(_, binary):
    """With ten connections at most, the tenth is for who is known to be good."""
    with Server(binary, smtp__max_connections=10, smtp__trusted_networks=[]) as s:
        c, f = reached(s, "127.1.0.1")
        told(f)
        c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<alice@e2e.test>\r\nDATA\r\n")
        read_replies(f, 4)
        c.sendall(message("good-1").replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert told(f)[0] == 250
        c.close()
        f.close()
        for end in (s.kill, s.stop):
            wait_for("the journal", lambda: s.metric("martlet_defense_journal_changes_total") + (end == s.stop) >= 1)
            end()
            s.start()
            others = [reached(s, f"127.2.0.{i}") for i in range(1, 10)]
            assert [told(f)[0] for _, f in others] == [220] * 9
            _, f = reached(s, "127.2.0.20")
            assert told(f)[0] == 421, "the last is not for strangers"
            c, f = reached(s, "127.1.0.1")
            assert told(f)[0] == 220, "its good name is forgotten"
            for held in others + [(c, f)]:
                held[1].close()
                held[0].close()


def test_a_burst_keeps_its_order_while_recipients_are_held(s):
    s.cli("domain", "set", "e2e.test", "tarpit=true", "tarpit_max_delay=1")
    c, f = reached(s, "127.1.0.1")
    told(f)
    names = ["no1", "alice", "no2", "bob", "no3"]
    burst = "EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\n"
    burst += "".join(f"RCPT TO:<{n}@e2e.test>\r\n" for n in names) + "DATA\r\n"
    c.sendall(burst.encode())
    assert [r[:3] for r in read_replies(f, 8)] == ["250", "250", "550", "250", "550", "250", "550", "354"]
    c.sendall(message("held-burst-1") + b".\r\n")
    assert told(f)[0] == 250
    for name in ("alice", "bob"):
        s.received("held-burst-1", f"{name}@e2e.test")
    s.cli("domain", "set", "e2e.test", "tarpit=false")


def test_a_trusted_proxy_names_the_client(_, binary):
    port = free_port()
    with Server(binary, smtp__proxy_networks=["127.1.0.0/24"]) as s:
        with open(s.config) as f:
            configuration = json.load(f)
        configuration["smtp"]["listeners"].append(
            {"address": f"127.0.0.1:{port}", "kind": "mx", "tls": "none", "proxy_protocol": True})
        with open(s.config, "w") as f:
            json.dump(configuration, f)
        s.stop()
        s.start()
        header = b"PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\n"
        c, f = reached(s, "127.1.0.1", header, port)
        assert told(f)[0] == 220
        c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<alice@e2e.test>\r\nDATA\r\n")
        read_replies(f, 4)
        c.sendall(message("proxied-1").replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert told(f)[0] == 250
        assert b"[192.0.2.7]" in s.received("proxied-1")
        _, f = reached(s, "127.1.1.1", header, port)
        code, identifier, _, reply = told(f)
        assert code == 421 and identifier, reply
        try:
            assert f.readline() == b""
        except ConnectionResetError:
            pass  # What it sent was never read.
        explained(s, identifier, "closed by proxy: untrusted", r"127\.1\.1\.1", "smtp.proxy_networks has to name it")
        for bad in (b"EHLO h.example\r\n", b"PROXY TCP4 1.2.3.4\r\n"):
            _, f = reached(s, "127.1.0.1", bad, port)
            code, identifier, _, reply = told(f)
            assert code == 421 and identifier, reply
            explained(s, identifier, "closed by proxy: malformed", r"127\.1\.0\.1")
        # One that says nothing is told when its time is over.
        _, f = reached(s, "127.1.0.2", port=port)
        code, identifier, _, reply = told(f)
        assert code == 421 and identifier, reply
        explained(s, identifier, "closed by proxy: timeout", r"127\.1\.0\.2", r"5\.0 s proxy closed", "health check")


def session_of(s, identifier):
    """What `explain --json` has of a session."""
    return json.loads(s.cli("explain", identifier, "--json").stdout)["session"]


def test_a_refusal_is_explained_while_its_session_goes_on(s):
    records = r"martlet_ledger_records_total"
    s.cli("account", "disable", "bob@e2e.test")
    c, f = reached(s, "127.2.0.1")
    told(f)
    c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\n")
    read_replies(f, 2)
    before = s.metric(records)
    ids = []
    for to, code, *words in (
            ("nobody@e2e.test", 550, "directory refused <nobody@e2e.test>", "no mailbox, alias or catch-all",
             "martlet account add nobody@e2e.test"),
            ("x@other.example", 550, "directory refused <x@other.example>", "smtp.relay_networks"),
            ("bob@e2e.test", 550, "directory refused <bob@e2e.test>: the account is disabled", "martlet account enable"),
            ("no address", 501, "protocol refused: the answer to RCPT", "501 5.1.3")):
        c.sendall(f"RCPT TO:<{to}>\r\n".encode())
        seen, identifier, _, reply = told(f)
        assert seen == code and identifier, reply
        explained(s, identifier, "still open", *words)
        ids.append(identifier)
    assert len(set(ids)) == 1, "one id for a session"
    session = session_of(s, ids[0])
    assert session["open"] and len(session["events"]) == 4 and session["rejected_commands"] == 4, session
    assert session["refused_recipients"] == 3 and session["client"]["ip"] == "127.2.0.1", session
    # What comes in between has no part in it, and a message that is taken has its own id.
    c.sendall(b"RCPT TO:<alice@e2e.test>\r\nDATA\r\n")
    assert [r[:3] for r in read_replies(f, 2)] == ["250", "354"]
    c.sendall(message("explained-1") + b".\r\n")
    assert told(f)[0] == 250
    assert s.metric(records) - before <= 1, "an open session is in no file"
    c.sendall(b"BLAH\r\n")
    assert told(f)[1] == ids[0]
    c.sendall(b"QUIT\r\n")
    assert told(f)[0] == 221 and f.readline() == b""
    explained(s, ids[0], "ended at", "nobody@e2e.test", "Command not recognised")
    session = session_of(s, ids[0])
    assert not session["open"] and session["rejected_commands"] == 5, session


def test_refusals_of_a_session_come_to_one_record(_, binary):
    count = 3_000
    with Server(binary, smtp__max_errors=10_000) as s:
        c, f = reached(s)
        told(f)
        c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\n")
        read_replies(f, 2)
        ids = set()
        for _ in range(count // 100):
            c.sendall(b"".join(b"RCPT TO:<no-%d@e2e.test>\r\n" % i for i in range(100)))
            ids.update(told(f)[1] for _ in range(100))
        assert len(ids) == 1
        identifier = ids.pop()
        assert session_of(s, identifier)["refused_recipients"] == count
        # What a defence does later still finds room.
        reconfigure(s, smtp__rate_limit={"recipients_per_minute": 1})
        c.sendall(b"RCPT TO:<alice@e2e.test>\r\n" * 3)
        codes = [told(f)[0] for _ in range(3)]
        assert codes[-1] == 451, codes
        explained(s, identifier, "still open", "deferred by limit", "recipients_per_minute")
        c.close(), f.close()
        explained(s, identifier, "ended at")
        session = session_of(s, identifier)
        assert session["refused_recipients"] >= count and len(session["events"]) <= 32, session
        assert s.metric("martlet_ledger_records_total") == 1


def test_logins_and_senders_that_are_refused_are_explained(s):
    c = smtplib.SMTP("127.0.0.1", s.submission)
    with c:
        c.starttls()
        c.ehlo()
        code, text = c.docmd("MAIL FROM:<alice@e2e.test>")
        assert code == 530, text
        identifier = re.search(r"\(([0-9A-Z]{13})\)$", text.decode())[1]
        explained(s, identifier, "protocol refused: the answer to MAIL", "log in where users submit")
        code, text = c.docmd("AUTH PLAIN " + base64.b64encode(b"\0alice@e2e.test\0wrong").decode())
        assert code == 535 and identifier in text.decode(), text
        explained(s, identifier, "login refused <alice@e2e.test>", "martlet account passwd alice@e2e.test")
        c.login("alice@e2e.test", PASSWORD)
        code, text = c.docmd("MAIL FROM:<bob@e2e.test>")
        assert code == 553 and identifier in text.decode(), text
        explained(s, identifier, "directory refused <bob@e2e.test>", "martlet alias add bob@e2e.test alice@e2e.test")


def id_of(text):
    return re.search(r"\(([0-9A-Z]{13})\)$", text.decode())[1]


def test_a_session_that_ended_keeps_its_tls(s):
    for implicit in (False, True):
        c = smtplib.SMTP_SSL("127.0.0.1", s.submissions, context=context()) if implicit else \
            smtplib.SMTP("127.0.0.1", s.mx)
        with c:
            if not implicit:
                c.starttls(context=context())
            c.ehlo()
            code, text = c.docmd("MAIL FROM:no address")
            assert code in (501, 530), text
            explained(s, id_of(text), "still open", r"tls: TLSv1\.3 TLS_")
        explained(s, id_of(text), "ended at", r"tls: TLSv1\.3 TLS_")
        assert session_of(s, id_of(text))["client"]["tls_version"] == "TLSv1.3"


def test_what_ended_a_session_is_explained(_, binary):
    with Server(binary, smtp__data_timeout=1) as s:
        # A harvest: 100 unknown recipients, and the reply that ends it is kept behind 16 of them.
        c, f = reached(s, "127.2.1.1")
        told(f)
        c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\n")
        read_replies(f, 2)
        c.sendall(b"".join(b"RCPT TO:<no-%d@e2e.test>\r\n" % i for i in range(100)))
        replies = [told(f) for _ in range(101)]
        assert [r[0] for r in replies[-2:]] == [550, 421] and f.readline() == b"", replies[-2:]
        identifier = replies[-1][1]
        explained(s, identifier, "ended at .*closed by protocol: smtp.max_errors is 20", r"  reply: 421 4\.7\.0 Too many",
                  r"16 of 101 shown", r"likewise <no-1@e2e.test>, <no-2@e2e.test> and 12 more",
                  "martlet config explain smtp.max_errors")
        session = session_of(s, identifier)
        assert session["events"][-1]["effect"] == "closed" and session["event_count"] == 101, session["events"][-1]
        # The same when it comes in one burst of commands that the session refuses by itself.
        c, f = reached(s, "127.2.1.4")
        told(f)
        c.sendall(b"EHLO h.example\r\n" + b"BLAH\r\n" * 20)
        read_replies(f, 1)
        replies = [told(f) for _ in range(21)]
        assert replies[-1][0] == 421, replies[-1]
        explained(s, replies[-1][1], "closed by protocol: smtp.max_errors is 20")
        # Three failed logins.
        c = smtplib.SMTP("127.0.0.1", s.submission)
        c.starttls()
        c.ehlo()
        wrong = "AUTH PLAIN " + base64.b64encode(b"\0alice@e2e.test\0wrong").decode()
        assert [c.docmd(wrong)[0] for _ in range(3)] == [535] * 3
        code, text = c.getreply()
        assert code == 421, text
        explained(s, id_of(text), "closed by protocol: 3 failed logins in one session", "no setting changes that")
        # Silence in the midst of a message.
        c, f = reached(s, "127.2.1.2")
        told(f)
        c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<alice@e2e.test>\r\nDATA\r\n")
        assert read_replies(f, 4)[-1].startswith("354")
        code, identifier, _, reply = told(f)
        assert code == 421 and "message" in reply, reply
        explained(s, identifier, "closed by protocol: no more of the message within smtp.data_timeout",
                  "martlet config explain smtp.data_timeout")
        # A recipient that a rate puts off is one that was refused, and what follows from it is not the client's fault.
        reconfigure(s, smtp__rate_limit={"recipients_per_minute": 1})
        c, f = reached(s, "127.2.1.3")
        told(f)
        c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<alice@e2e.test>\r\nRSET\r\n"
                  b"MAIL FROM:<a@remote.example>\r\nRCPT TO:<alice@e2e.test>\r\nDATA\r\n")
        replies = [told(f) for _ in range(7)]
        assert [r[0] for r in replies] == [250, 250, 250, 250, 250, 451, 554], replies
        explained(s, replies[-1][1], "deferred by limit", r"  reply: 451 4\.7\.1", "1 recipients refused")
        remedies = json.loads(s.cli("explain", replies[-1][1], "--json").stdout)["remedies"]
        assert len(remedies) == 1 and "limits release" in remedies[0], remedies
        c.close(), f.close()


def test_lists_of_a_domain_are_checked(s):
    asked = ("check", "lists", "--ip", "192.0.2.7")
    r = s.cli(*asked, check=False)
    assert r.returncode == 64 and b"--domain" in r.stderr, r
    r = s.cli(*asked, "--domain", "e2e.test", check=False)
    assert r.returncode == 1 and b"e2e.test has no lists" in r.stderr, r
    s.cli("domain", "set", "e2e.test", "lists=zen.e2e=5,white.e2e=-3", "score_reject=4")
    # The port of nobody: no list answers, and the ones asked are those of the domain.
    r = s.cli(*asked, "--domain", "e2e.test", "--dns", f"127.0.0.1@{free_port()}", "--dns-timeout", "1")
    assert b"zen.e2e=5" in r.stdout and b"white.e2e=-3" in r.stdout, r
    s.cli("domain", "set", "e2e.test", "lists=none")


def test_what_a_replay_cannot_judge_is_said(s):
    with smtplib.SMTP("127.0.0.1", s.mx) as c:
        c.sendmail("sender@remote.example", ["alice@e2e.test"], message("replayed"))
    s.received("replayed")
    r = s.cli("policy", "replay", "--set", "enabled=false", check=False)
    assert r.returncode == 65 and b"cannot be told from records" in r.stderr, r
    r = s.cli("policy", "replay", "--set", "spf_fail=reject", "--domain", "nosuch.example", check=False)
    assert r.returncode == 1 and b"nothing of nosuch.example is recorded" in r.stderr, r
    wait_for("the record", lambda: s.cli("policy", "replay", "--set", "spf_fail=reject", "--domain", "e2e.test",
                                         check=False).returncode == 0)


def test_recipients_that_wait_for_dns_are_told_of(_, binary):
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    forward = [f"127.0.0.1@{silent.getsockname()[1]}"]
    with Server(binary, dns__forward=forward, dns__trust_anchor_file="/dev/null", dns__timeout=1) as s:
        def mailed():
            with smtplib.SMTP("127.0.0.1", s.mx) as c:
                c.ehlo("h.example"), c.mail("a@remote.example"), c.rcpt("alice@e2e.test")
                code, text = c.data(message("waited"))
                assert code == 250, text
                identifier = re.search(r"([0-9A-Z]{13})", text.decode())[1]
            explained(s, identifier, ": accepted")
            return json.loads(s.cli("explain", identifier, "--json").stdout), identifier
        told_of, identifier = mailed()
        assert told_of["decision"]["timing"]["recipients_us"] == 0, told_of["decision"]["timing"]
        assert b"recipients waited" not in s.cli("explain", identifier).stdout
        s.cli("domain", "set", "e2e.test", "lists=silent.e2e=5")
        told_of, identifier = mailed()
        assert told_of["decision"]["timing"]["recipients_us"] > 500_000, told_of["decision"]["timing"]
        explained(s, identifier, r"s before it, recipients waited for DNS")
    silent.close()


def test_the_tarpits_seconds_are_those_that_clients_stayed(_, binary):
    with Server(binary) as s:
        s.cli("domain", "set", "e2e.test", "tarpit=true", "tarpit_max_delay=30")
        for stays in (True, False):
            c, f = reached(s, "127.2.2.1")
            told(f)
            c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\n")
            read_replies(f, 2)
            # The first is free, the second is held for a second, the next for two and four.
            c.sendall(b"RCPT TO:<no@e2e.test>\r\n")
            assert told(f)[0] == 550
            c.sendall(b"RCPT TO:<no@e2e.test>\r\n")
            if stays:
                assert told(f)[0] == 550
            else:
                wait_for("the hold", lambda: s.metric("martlet_tarpit_held_sessions") == 1)
            f.close(), c.close()
        wait_for("the end", lambda: s.metric("martlet_tarpit_abandoned_total") == 1)
        replay = ("policy", "replay", "--set", "tarpit_max_delay=1", "--json")
        wait_for("the records", lambda: json.loads(s.cli(*replay).stdout)["defense"]["tarpit"]["failures"] == 4)
        tarpit = json.loads(s.cli(*replay).stdout)["defense"]["tarpit"]
        # One for the second; of the third and fourth, 2 s that it waited and nothing of the 4 s that it did not.
        assert tarpit["old_seconds"] == 3 and tarpit["new_seconds"] == 3, tarpit


def test_a_held_session_is_explained_and_released_by_its_id(s):
    s.cli("domain", "set", "e2e.test", "tarpit=true", "tarpit_max_delay=30")
    c, f = reached(s, "127.2.1.1")
    told(f)
    c.sendall(b"EHLO h.example\r\nMAIL FROM:<a@remote.example>\r\n")
    read_replies(f, 2)
    for i in range(3):
        c.sendall(b"RCPT TO:<nobody@e2e.test>\r\n")
        code, identifier, _, reply = told(f)
        assert code == 550 and identifier, reply
    c.sendall(b"RCPT TO:<nobody-else@e2e.test>\r\n")
    deadline = time.monotonic() + 10
    while s.metric("martlet_tarpit_held_sessions") == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    explained(s, identifier, "still open", "held back for", "tarpit slowed <nobody@e2e.test>", "nobody-else@e2e.test")
    assert b"127.2.1.1" in s.cli("tarpit", "list").stdout
    s.cli("tarpit", "release", "--id", identifier)
    assert b"127.2.1.1" not in s.cli("tarpit", "list").stdout
    c.close(), f.close()


def test_a_flood_of_refusals_is_explained(_, binary):
    with Server(binary, smtp__max_connections_per_ip=1) as s:
        held = reached(s, "127.2.0.1")
        assert told(held[1])[0] == 220
        summarised, ids = 0, []
        for _ in range(30):
            if summarised > 0:
                break
            before = len(ids)
            waiting = [reached(s, "127.2.0.1") for _ in range(300)]
            for c, f in waiting:
                code, identifier, _, reply = told(f)
                assert code == 421 and identifier, reply
                ids.append(identifier)
                f.close(), c.close()
            summarised = s.metric("martlet_refusals_summarised_total")
        assert summarised > 0, "no flood: fewer than 50 a second"
        shared = max(set(ids), key=ids.count)
        assert ids.count(shared) > 1
        # At once, and when its record is written.
        explained(s, shared, "connections of 127.2.0.0/24 refused", "limit", "this record stands for all of them")
        deadline = time.monotonic() + 10
        while session_of(s, shared)["open"] and time.monotonic() < deadline:
            time.sleep(0.1)
        session = session_of(s, shared)
        assert not session["open"] and session["connections"] == ids.count(shared), session
        assert session["network"] == "127.2.0.0/24", session
        assert s.metric("martlet_ledger_records_total") == len(set(ids)), "one record for each id"
        s.cli("limits", "release", "--id", shared)


def test_top_shows_the_server(s):
    assert s.cli("top", "--once").stdout
    json.loads(s.cli("top", "--once", "--json").stdout)


def test_accounts_have_so_much_an_hour(_, binary):
    with Server(binary, smtp__rate_limit={"account_messages_per_hour": 3, "account_recipients_per_hour": 4}) as s:
        def login(name, source):
            c = smtplib.SMTP("127.0.0.1", s.submission, source_address=(source, 0))
            c.starttls(context=context())
            c.login(f"{name}@e2e.test", PASSWORD)
            return c

        def refused(answer):
            code, text = answer
            found = re.search(rb"\(([0-9A-Z]{13})\)$", text)
            assert code == 450 and text.startswith(b"4.7.1 ") and found, answer
            return found[1].decode()

        # From several places: it is the account that is counted.
        for i in range(3):
            with login("alice", f"127.3.0.{i + 1}") as c:
                c.sendmail("alice@e2e.test", ["bob@e2e.test"], message(f"mine-{i}"))
        with login("ALICE", "127.3.0.9") as c:
            identifier = refused(c.mail("alice@e2e.test"))
        with login("bob", "127.3.0.9") as c:
            assert c.mail("bob@e2e.test")[0] == 250
            assert [c.rcpt("alice@e2e.test")[0] for _ in range(4)] == [250] * 4
            refused(c.rcpt("bob@e2e.test"))
        # Mail from elsewhere to the same account is nobody's limit.
        with smtplib.SMTP("127.0.0.1", s.mx) as c:
            c.sendmail("a@remote.example", ["alice@e2e.test"], message("stranger"))
        explained(s, identifier, "rate", "account_messages_per_hour is 3", "account passwd alice@e2e.test")
        rows = {r["client"]: r for r in json.loads(s.cli("limits", "list", "--json").stdout)}
        assert rows["alice@e2e.test"]["messages_per_hour"] == 3 and rows["alice@e2e.test"]["refused"] == 1, rows
        assert rows["bob@e2e.test"]["recipients_per_hour"] == 4, rows
        assert s.metric(r'martlet_limit_refusals_total\{limit="account_message_rate"\}') == 1
        assert s.metric(r'martlet_limit_refusals_total\{limit="account_recipient_rate"\}') == 1
        assert s.metric(r'martlet_defense_events_total\{control="rate",effect="deferred"\}') == 2
        s.cli("limits", "release", "--id", identifier)
        with login("alice", "127.3.0.9") as c:
            c.sendmail("alice@e2e.test", ["bob@e2e.test"], message("released"))
        s.cli("limits", "release", "bob@e2e.test")
        reconfigure(s, smtp__rate_limit={"account_messages_per_hour": 1, "account_exempt": ["Bob@e2e.test"]})
        with login("bob", "127.3.0.9") as c:
            for i in range(3):
                c.sendmail("bob@e2e.test", ["alice@e2e.test"], message(f"exempt-{i}"))
        with login("alice", "127.3.0.9") as c:
            refused(c.mail("alice@e2e.test"))


def lmtp_server(binary, **settings):
    """A server that also takes LMTP over TCP (`s.lmtp`) and over a Unix socket (`s.socket`)."""
    folder = tempfile.mkdtemp(prefix="martlet-e2e-")
    s = Server(binary, folder=folder, **settings)
    s.owns_folder = True
    s.lmtp, s.socket = free_port(), os.path.join(folder, "lmtp.sock")
    with open(s.config) as f:
        configuration = json.load(f)
    configuration["smtp"]["listeners"] += [
        {"address": f"127.0.0.1:{s.lmtp}", "kind": "lmtp", "tls": "starttls"},
        {"address": f"unix:{s.socket}", "kind": "lmtp", "mode": "0600"}]
    with open(s.config, "w") as f:
        json.dump(configuration, f)
    return s


def deliver(c, recipients, text, sender="a@remote.example"):
    """One LMTP transaction: what RCPT was told, and what each accepted recipient was told at the end."""
    assert c.mail(sender)[0] == 250
    named = [c.rcpt(r)[0] for r in recipients]
    assert c.docmd("DATA")[0] == 354
    c.send(smtplib._quote_periods(text) + b".\r\n")
    return named, [c.getreply() for code in named if code == 250]


def test_lmtp_tells_each_recipient(_, binary):
    with lmtp_server(binary) as s:
        s.cli("account", "add", "small@e2e.test", "--password-stdin", "--quota", "4096", input=b"pw-pw-pw-pw\n")
        s.cli("alias", "add", "both@e2e.test", "alice@e2e.test", "far@remote.example")
        s.cli("alias", "add", "sales@e2e.test", "bob@e2e.test")
        # A front end's own word is kept, also in our name.
        claims = b"Authentication-Results: mx.e2e.test; spf=pass smtp.mailfrom=remote.example\r\n"
        with smtplib.LMTP("127.0.0.1", s.lmtp) as c:
            code, text = c.docmd("EHLO", "x.example")
            assert code == 500, text
            assert c.ehlo("front.example")[0] == 250, "smtplib says LHLO here"
            for name in ("pipelining", "enhancedstatuscodes", "8bitmime", "smtputf8", "size", "chunking", "starttls"):
                assert c.has_extn(name), name
            assert not c.has_extn("auth")
            big = claims + message("lmtp-1", "z" * 70 + "\r\n" + "y\r\n" * 2000)
            named, told_each = deliver(
                c, ["alice@e2e.test", "nobody@e2e.test", "small@e2e.test", "x@remote.example", "both@e2e.test",
                    "sales@e2e.test"], big)
            assert named == [250, 550, 250, 550, 550, 250], named
            assert [code for code, _ in told_each] == [250, 452, 250], told_each
            assert b"4.2.2" in told_each[1][1], told_each
            identifier = told_each[0][1].split()[-1].decode()
            assert told_each[2][1].split()[-1].decode() == identifier
            # In the same session, of nobody's: the message before has no part in it.
            assert deliver(c, ["bob@e2e.test"], message("lmtp-2"), "")[1][0][0] == 250
            assert c.mail("a@remote.example")[0] == 250
            assert c.rcpt("nobody@e2e.test")[0] == 550
            assert c.docmd("DATA")[0] == 503, "RFC 2033: 503 without a recipient"
        for address in ("alice@e2e.test", "bob@e2e.test"):
            raw = s.received("lmtp-1", address)
            assert_stored(raw, big)
            assert b" with LMTP\r\n" in raw and b"from front.example ([127.0.0.1])" in raw, raw[:400]
            assert raw.startswith(b"Return-Path: <a@remote.example>\r\n")
        assert not s.mailbox("small@e2e.test")
        assert not json.loads(s.cli("queue", "list", "--json").stdout or b"[]"), "LMTP makes no queue"
        explained(s, identifier, "lmtp")
        assert s.metric(r'martlet_messages_received_total\{listener="lmtp",result="accepted"\}') == 2
        assert s.metric(r'martlet_smtp_commands_total\{verb="lhlo",class="2xx"\}') == 1


def test_lmtp_over_a_socket_tls_and_chunks(_, binary):
    with lmtp_server(binary, smtp__reactors=2) as s:
        assert os.stat(s.socket).st_mode & 0o777 == 0o600
        for i in range(6):
            with smtplib.LMTP(s.socket) as c:
                c.ehlo("front.example")
                replies = deliver(c, ["alice@e2e.test", "bob@e2e.test"], message(f"socket-{i}"))[1]
                assert [code for code, _ in replies] == [250, 250], replies
        raw = s.received("socket-5", "bob@e2e.test")
        assert b"Received: from " in raw and b"[]" not in raw and b" with LMTP\r\n" in raw, raw[:300]
        with smtplib.LMTP("127.0.0.1", s.lmtp) as c:
            c.starttls(context=context())
            c.ehlo("front.example")
            assert c.mail("a@remote.example", ["BODY=8BITMIME", "SIZE=100"])[0] == 250
            assert c.rcpt("alice@e2e.test")[0] == c.rcpt("bob@e2e.test")[0] == 250
            text = message("chunked")
            c.send(b"BDAT 20\r\n" + text[:20])
            assert c.getreply()[0] == 250
            c.send(b"BDAT %d LAST\r\n" % (len(text) - 20) + text[20:])
            assert [c.getreply()[0] for _ in range(2)] == [250, 250]
            assert c.noop()[0] == 250, "nothing more was said"
        assert b" with LMTPS\r\n" in s.received("chunked", "alice@e2e.test")
        reconfigure(s, smtp__max_errors=19)
        with smtplib.LMTP(s.socket) as c:
            c.sendmail("a@remote.example", ["alice@e2e.test"], message("reloaded"))
        s.received("reloaded")


def test_lmtp_is_not_slowed_or_judged(_, binary):
    """What a front end took is taken: no limits, no greylist, no tarpit, no checks of its address."""
    with lmtp_server(binary, smtp__rate_limit={"messages_per_minute": 1}, auth__enabled=True, auth__timeout=3) as s:
        s.cli("domain", "set", "e2e.test", "greylist=true", "tarpit=true")
        with smtplib.LMTP("127.0.0.1", s.lmtp) as c:
            c.ehlo("front.example")
            for i in range(4):
                named, told_each = deliver(c, ["nobody@e2e.test", "alice@e2e.test"], message(f"plain-{i}"))
                assert named == [550, 250] and told_each[0][0] == 250, (named, told_each)
            assert deliver(c, ["alice@e2e.test"], message("report"), "")[1][0][0] == 250
        assert b"Authentication-Results" not in s.received("plain-3")
        assert s.metric(r"martlet_tarpit_delay_seconds_count") == 0


def test_supervised_lmtp_outlives_the_server(_, binary):
    s = lmtp_server(binary)
    s.populate()
    log = open(s.log, "ab")
    s.process = subprocess.Popen([f"{binary}/martlet", "supervise", "--config", s.config], stdout=log, stderr=log)
    try:
        wait_for("ready", lambda: b" ready " in open(s.log, "rb").read())
        child = int(open(f"/proc/{s.process.pid}/task/{s.process.pid}/children").read().split()[0])
        os.kill(child, signal.SIGKILL)
        # Connects at once: the socket is still there, and the next server answers.
        with smtplib.LMTP(s.socket) as c:
            c.sendmail("a@remote.example", ["alice@e2e.test"], message("outlived"))
        s.received("outlived")
    finally:
        s.__exit__()


def test_public_conversations(s):
    runner = os.path.join(HERE, "..", "..", "..", "shared", "conformance", "tools", "smtp_vectors.py")
    if not os.path.exists(runner):
        raise Skip("the public SMTP conversations are not beside this checkout")
    r = subprocess.run([sys.executable, runner, "127.0.0.1", str(s.mx), "--rcpt", "alice@e2e.test", "--badrcpt",
                        "nobody-here@e2e.test"], stdout=subprocess.PIPE, text=True)
    assert re.search(r"^\d\d+ ok, 0 not", r.stdout, re.M), r.stdout[-2000:]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default=".build/debug")
    p.add_argument("names", nargs="*")
    o = p.parse_args()
    passed, failed, skipped = 0, [], []
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_") and (not o.names or n in o.names)]
    for name, test in tests:
        begun = time.monotonic()
        try:
            if test.__code__.co_argcount == 2:
                test(None, o.bin)
            else:
                with Server(o.bin) as s:
                    test(s)
            passed += 1
            print(f"ok      {name} ({time.monotonic() - begun:.1f} s)", flush=True)
        except Skip as e:
            skipped.append(name)
            print(f"SKIPPED {name}: {e}", flush=True)
        except BaseException as e:
            if isinstance(e, KeyboardInterrupt):
                raise
            failed.append(name)
            print(f"FAILED  {name}", flush=True)
            traceback.print_exc()
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else 0


sys.exit(main())

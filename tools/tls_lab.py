#!/usr/bin/env python3
"""DANE, MTA-STS and opportunistic TLS end to end: the server sends one message per case over real connections to peers
with right and wrong certificates, found through signed zones, and each case must end as the RFCs say.

    tools/tls_lab.py --conformance DIR --bin DIR

DIR: the conformance folder (dnslab/), and the folder with the programs. Everything runs in a private network namespace
made by the folder's netlab.sh (root; nsd, ldnsutils, unbound, xxd, openssl, python3). Ends with 1 when a case goes
otherwise than it must.
"""
import argparse, hashlib, http.server, json, os, pickle, re, shutil, signal, smtplib, socket, ssl, subprocess, sys
import tempfile, threading, time

from relay_lab import Server

DNS_PORT = 5399
GOOD, INSECURE = "good.example", "insecure.example"


# --- Certificates -----------------------------------------------------------------------------------------------------

class Authority:
    """Issues from the folder's root; keeps everything in `folder`."""

    def __init__(self, certificates, folder):
        self.root, self.key, self.folder = f"{certificates}/ca.pem", f"{certificates}/ca.key", folder

    @staticmethod
    def run(*command, data=None):
        return subprocess.run(["openssl", *command], input=data, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE).stdout

    def issue(self, name, names, days=30, self_signed=False, chain=False):
        path = f"{self.folder}/{name}"
        alternatives = ",".join(f"DNS:{n}" for n in names)
        request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{path}.key",
                   "-subj", f"/CN={names[0]}"]
        if self_signed:
            self.run(*request, "-x509", "-out", f"{path}.pem", "-days", str(days), "-addext",
                     f"subjectAltName={alternatives}")
            return path
        self.run(*request, "-out", f"{path}.csr")
        with open(f"{path}.ext", "w") as f:
            f.write(f"subjectAltName={alternatives}\n")
        self.run("x509", "-req", "-in", f"{path}.csr", "-CA", self.root, "-CAkey", self.key, "-set_serial",
                 str(int.from_bytes(os.urandom(8), "big")), "-days", str(days), "-extfile", f"{path}.ext", "-out",
                 f"{path}.pem")
        if chain:
            with open(f"{path}.pem", "a") as out, open(self.root) as root:
                out.write(root.read())
        return path

    def tlsa(self, pem, usage=3, selector=1, matching=1):
        der = self.run("x509", "-in", pem, "-outform", "DER")
        if selector == 1:
            der = self.run("pkey", "-pubin", "-outform", "DER",
                           data=self.run("x509", "-in", pem, "-noout", "-pubkey"))
        digest = hashlib.sha256(der) if matching == 1 else hashlib.sha512(der)
        return f"{usage} {selector} {matching} {digest.hexdigest()}"


# --- SMTP peers -------------------------------------------------------------------------------------------------------

class Peer:
    """One mail host at its own address. `kind`: tls, requiretls (offers that, too), plain (no STARTTLS offered),
    refusing (454 to STARTTLS), broken (the handshake fails). Keeps what it was given and how."""

    def __init__(self, address, name, certificate, kind="tls"):
        self.address, self.name, self.kind = address, name, kind
        self.taken, self.mail_commands, self.connections = [], 0, 0
        self.context = None
        self.present(certificate)
        self.listener = socket.create_server((address, 25), backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def present(self, certificate):
        if certificate is None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{certificate}.pem", f"{certificate}.key")
        context.sni_callback = lambda s, name, _: setattr(s, "asked", name)
        self.context = context

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            connection.settimeout(60)
            self.converse(connection)
        except (OSError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def converse(self, connection):
        wire, recipients, command = connection.makefile("rb"), [], b""

        def say(line):
            connection.sendall(line.encode() + b"\r\n")

        say(f"220 {self.name} ESMTP")
        while line := wire.readline(4096):
            verb = line.strip().upper()
            secure = isinstance(connection, ssl.SSLSocket)
            if verb.startswith(b"EHLO"):
                offer = not secure and self.kind != "plain"
                words = ["STARTTLS"] if offer else ["REQUIRETLS"] if secure and self.kind == "requiretls" else []
                say("\r\n".join(f"250-{word}" for word in [self.name, *words]) + "\r\n250 PIPELINING")
            elif verb == b"STARTTLS":
                if self.kind == "refusing":
                    say("454 4.7.0 TLS not available")
                    continue
                say("220 2.0.0 go ahead")
                if self.kind == "broken":
                    connection.recv(4096)
                    return connection.sendall(b"this is not TLS\r\n")
                connection = self.context.wrap_socket(connection, server_side=True)
                wire, recipients = connection.makefile("rb"), []
            elif verb.startswith(b"MAIL"):
                self.mail_commands += 1
                command = verb
                say("250 2.1.0 ok")
            elif verb.startswith(b"RCPT"):
                recipients.append(line.split(b"<")[1].split(b">")[0].decode().lower())
                say("250 2.1.5 ok")
            elif verb == b"DATA":
                say("354 go on")
                while (line := wire.readline(4096)) not in (b".\r\n", b""):
                    pass
                self.taken.append((recipients, connection.version() if secure else None,
                                   getattr(connection, "asked", None), command))
                recipients = []
                say("250 2.0.0 taken")
            elif verb == b"QUIT":
                return say("221 2.0.0 bye")
            else:
                say("250 2.0.0 ok")


# --- Policy hosts -----------------------------------------------------------------------------------------------------

class PolicyHost:
    """Serves MTA-STS policies of several domains at one address; `down` closes the port."""

    def __init__(self, address, certificate, policies):
        host, self.asked = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                domain = self.headers["Host"].split(":")[0].removeprefix("mta-sts.")
                host.asked.append(domain)
                if domain not in policies or self.path != "/.well-known/mta-sts.txt":
                    return self.send_error(404)
                body = policies[domain].encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{certificate}.pem", f"{certificate}.key")
        self.server = http.server.ThreadingHTTPServer((address, 443), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()

    def down(self):
        self.server.shutdown()
        self.server.server_close()


# --- The way to the name server ---------------------------------------------------------------------------------------

class Forwarder:
    """Passes DNS questions to nsd; some it loses, some it answers with SERVFAIL; remembers all."""

    def __init__(self, port, upstream, lost, failing):
        self.upstream, self.lost, self.failing, self.seen = upstream, lost, failing, []
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", port))
        stream = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.serve_datagrams, args=(datagrams,), daemon=True).start()
        threading.Thread(target=self.serve_stream, args=(stream,), daemon=True).start()

    @staticmethod
    def question(packet):
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1").lower())
            at += 1 + packet[at]
        return ".".join(labels), int.from_bytes(packet[at + 1:at + 3], "big")

    def judge(self, packet):
        """None: lose it; bytes: the answer; True: pass it on."""
        name, kind = self.question(packet)
        self.seen.append((name, kind))
        if name in self.lost:
            return None
        if name in self.failing:
            end = 12 + len(name) + 2 + 4
            return packet[:2] + b"\x81\x82" + b"\x00\x01" + bytes(6) + packet[12:end]
        return True

    def ask(self, packet, kind):
        with socket.socket(socket.AF_INET, kind) as s:
            s.settimeout(3)
            s.connect(("127.0.0.1", self.upstream))
            s.sendall(packet)
            if kind == socket.SOCK_DGRAM:
                return s.recv(65535)
            wire = s.makefile("rb")
            head = wire.read(2)
            return head + wire.read(int.from_bytes(head, "big"))

    def serve_datagrams(self, datagrams):
        while True:
            packet, client = datagrams.recvfrom(65535)
            verdict = self.judge(packet)
            if verdict is True:
                threading.Thread(target=self.pass_on, args=(datagrams, packet, client), daemon=True).start()
            elif verdict:
                datagrams.sendto(verdict, client)

    def pass_on(self, datagrams, packet, client):
        try:
            datagrams.sendto(self.ask(packet, socket.SOCK_DGRAM), client)
        except OSError:
            pass

    def serve_stream(self, stream):
        while True:
            connection, _ = stream.accept()
            threading.Thread(target=self.serve_connection, args=(connection,), daemon=True).start()

    def serve_connection(self, connection):
        try:
            wire = connection.makefile("rb")
            while len(head := wire.read(2)) == 2:
                packet = wire.read(int.from_bytes(head, "big"))
                verdict = self.judge(packet)
                if verdict is None:
                    return
                connection.sendall(self.ask(head + packet, socket.SOCK_STREAM) if verdict is True
                                   else len(verdict).to_bytes(2, "big") + verdict)
        except OSError:
            pass
        finally:
            connection.close()


# --- Cases ------------------------------------------------------------------------------------------------------------

class Case:
    """One message to one domain, and how it must end. `outcome`: delivered, deferred, refused (and reported to the
    sender). `tls`: verified, unverified, clear, or none (nothing was sent). `results`: those of the attempts in their
    order, without repetition; - is an attempt that says nothing of TLS. `unasked`: a name whose TLSA nobody may ask."""

    def __init__(self, group, label, domain, outcome, tls, results, status="", sni=None, unasked=None, user="probe"):
        self.group, self.label, self.domain, self.user = group, label, domain, user
        self.outcome, self.tls, self.results, self.status = outcome, tls, results, status
        self.sni, self.unasked = sni, unasked
        self.sender = f"{domain.split('.')[0]}-{user}@{INSECURE}"
        self.id, self.problems, self.got, self.attempts = None, [], None, []


class Lab:
    """The zones' records, the peers and the cases; written first, started later inside the namespace."""

    def __init__(self, folder, certificates):
        self.folder, self.ca = folder, Authority(certificates, folder)
        self.records = {GOOD: [], INSECURE: []}
        self.plans, self.peers, self.policies, self.lost, self.failing = [], {}, {}, set(), set()
        self.cases, self.late, self.cached = [], [], []
        self.number = 0
        self.other = self.ca.issue("other", ["other.example"])
        self.dane_cases()
        self.sts_cases()
        self.opportunistic_cases()
        self.require_cases()
        self.policy_certificate = self.ca.issue("policies", [f"mta-sts.{d}" for d in self.policies])

    def record(self, zone, text):
        self.records[zone].append(text)

    def host(self, name, zone, certificate="right", kind="tls", names=None, tlsa=(), domain=None):
        """A mail host with an address of its own; `tlsa`: what its records say: the words of `tlsa_text`."""
        self.number += 1
        address, full = f"127.0.1.{self.number}", f"{name}.{zone}"
        path = f"peer{self.number}"
        right = names or [full]
        wrong = ["wrong.example"]
        made = None
        if certificate == "right":
            made = self.ca.issue(path, right, chain=True)
        elif certificate == "wrong-name":
            made = self.ca.issue(path, wrong, chain=True)
        elif certificate == "expired":
            made = self.ca.issue(path, right, days=-1, chain=True)
        elif certificate == "self-signed":
            made = self.ca.issue(path, right, self_signed=True)
        self.plans.append((full, address, made, kind))
        self.record(zone, f"{name} 300 IN A {address}")
        for word in tlsa:
            self.record(zone, f"_25._tcp.{name} 300 IN TLSA {self.tlsa_text(word, made)}")
        return full

    def tlsa_text(self, word, made):
        return {
            "3 1 1": lambda: self.ca.tlsa(f"{made}.pem"),
            "3 1 2": lambda: self.ca.tlsa(f"{made}.pem", matching=2),
            "3 0 1": lambda: self.ca.tlsa(f"{made}.pem", selector=0),
            "2 0 1": lambda: self.ca.tlsa(self.ca.root, usage=2, selector=0),
            "2 1 1": lambda: self.ca.tlsa(self.ca.root, usage=2),
            "other": lambda: self.ca.tlsa(f"{self.other}.pem"),
            "1 1 1": lambda: self.ca.tlsa(f"{made}.pem", usage=1),
        }[word]()

    def add(self, *arguments, to=None, **options):
        case = Case(*arguments, **options)
        (self.cases if to is None else to).append(case)
        return case

    def simple(self, group, label, name, outcome, tls, results, zone=GOOD, certificate="right", kind="tls", names=None,
               tlsa=(), **options):
        """A domain with one MX of its own."""
        host = self.host(f"mx.{name}", zone, certificate, kind, names, tlsa)
        self.record(zone, f"{name} 300 IN MX 10 {host}.")
        return self.add(group, label, f"{name}.{zone}", outcome, tls, results, **options)

    # DANE: RFC 7672

    def dane_cases(self):
        def dane(label, name, outcome, tls, results, **options):
            return self.simple("DANE", label, name, outcome, tls, results, **options)

        ok, no = ("delivered", "verified", ["success"]), ("deferred", "none")
        dane("3 1 1 matches", "ee", *ok, tlsa=["3 1 1"], sni="mx.ee.good.example")
        dane("3 0 1 matches", "ee-cert", *ok, tlsa=["3 0 1"])
        dane("2 0 1 matches, root in the chain", "ta", *ok, tlsa=["2 0 1"])
        dane("2 1 1, certificate for the recipient's domain", "ta-nexthop", *ok, tlsa=["2 1 1"],
             names=["ta-nexthop.good.example"])
        dane("one of two records matches", "roll", *ok, tlsa=["other", "3 1 2"])
        dane("3 1 1 of another key", "mismatch", *no, ["tlsa-invalid"], tlsa=["other"], status="4.7.5")
        dane("3 1 1, expired certificate", "ee-expired", *ok, certificate="expired", tlsa=["3 1 1"])
        dane("3 1 1, certificate for another name", "ee-name", *ok, certificate="wrong-name", tlsa=["3 1 1"])
        dane("3 1 1, self-signed certificate", "ee-self", *ok, certificate="self-signed", tlsa=["3 1 1"])
        dane("2 0 1, certificate for another name", "ta-name", *no, ["certificate-host-mismatch"],
             certificate="wrong-name", tlsa=["2 0 1"], status="4.7.5")
        dane("2 0 1, expired certificate", "ta-expired", *no, ["certificate-expired"], certificate="expired",
             tlsa=["2 0 1"], status="4.7.5")
        dane("only unusable records (1 1 1)", "unusable", "delivered", "unverified", ["success"],
             certificate="self-signed", tlsa=["1 1 1"])
        dane("only unusable records, no STARTTLS", "unusable-strip", *no, ["starttls-not-supported"], kind="plain",
             tlsa=["1 1 1"], status="4.7.4")
        dane("no records, proven; self-signed", "notlsa", "delivered", "unverified", ["success"],
             certificate="self-signed")
        self.add("DANE", "null MX, signed", "nullmx.good.example", "refused", "none", ["-"], status="5.1.10")
        self.add("DANE", "recipient's domain bogus", "bogus.example", *no, ["dnssec-invalid"], status="4.4.3")
        self.add("DANE", "host's address bogus", "bogusmx.good.example", *no, ["dnssec-invalid"], status="4.4.3")
        name = "tlsa-bogus"
        host = self.host(f"mx.{name}", GOOD)
        self.record(GOOD, f"{name} 300 IN MX 10 {host}.")
        # The zone of these records has broken signatures, the host's address has not.
        self.record(GOOD, f"_25._tcp.mx.{name} 300 IN CNAME _25._tcp.mx.bogus.example.")
        self.add("DANE", "TLSA bogus", f"{name}.good.example", *no, ["dnssec-invalid"], status="4.7.5")
        dane("TLSA SERVFAIL", "tlsa-servfail", *no, ["dnssec-invalid"], tlsa=["3 1 1"], status="4.7.5")
        self.failing.add("_25._tcp.mx.tlsa-servfail.good.example")
        # Alone at the end: a server that loses questions is thought to be down.
        dane("TLSA timeout", "tlsa-timeout", *no, ["dnssec-invalid"], tlsa=["3 1 1"], status="4.7.5", to=self.late)
        self.lost.add("_25._tcp.mx.tlsa-timeout.good.example")
        host = self.host("mx.insecure-a", INSECURE, "self-signed", tlsa=["other"])
        self.record(GOOD, f"insecure-a 300 IN MX 10 {host}.")
        self.add("DANE", "host's address unsigned, its TLSA not asked for", "insecure-a.good.example", "delivered",
                 "unverified", ["success"], unasked=f"_25._tcp.{host}")
        host = self.host("mx.signed-host", GOOD, "self-signed", tlsa=["other"])
        self.record(INSECURE, f"insecure-mx 300 IN MX 10 {host}.")
        self.add("DANE", "MX unsigned, host's TLSA not asked for", "insecure-mx.insecure.example", "delivered",
                 "unverified", ["success"], unasked=f"_25._tcp.{host}")
        host = self.host("real.alias", GOOD, "wrong-name", tlsa=["3 1 1"])
        self.record(GOOD, f"mx.alias 300 IN CNAME {host}.")
        self.record(GOOD, "alias 300 IN MX 10 mx.alias")
        self.add("DANE", "MX is an alias, TLSA at its target", "alias.good.example", *ok, sni=host)
        host = self.host("real.alias2", GOOD, tlsa=["other"])
        self.record(GOOD, f"mx.alias2 300 IN CNAME {host}.")
        self.record(GOOD, "alias2 300 IN MX 10 mx.alias2")
        self.add("DANE", "MX is an alias, its target's TLSA does not match", "alias2.good.example", *no,
                 ["tlsa-invalid"], status="4.7.5")
        for name, word, end in (("alias-out", "3 1 1", ok), ("alias-out2", "other", (*no, ["tlsa-invalid"]))):
            host = self.host(f"real.{name}", INSECURE, names=[f"mx.{name}.good.example"])
            self.record(GOOD, f"mx.{name} 300 IN CNAME {host}.")
            self.record(GOOD, f"{name} 300 IN MX 10 mx.{name}")
            self.record(GOOD, f"_25._tcp.mx.{name} 300 IN TLSA {self.tlsa_text(word, self.plans[-1][2])}")
            self.add("DANE", "MX is an alias to an unsigned zone, TLSA at the alias "
                     + ("matches" if end is ok else "does not"), f"{name}.good.example", *end,
                     status="" if end is ok else "4.7.5", sni=f"mx.{name}.good.example" if end is ok else None)
        host = self.host("implicit", GOOD, "self-signed", tlsa=["3 1 1"])
        self.add("DANE", "no MX, TLSA of the domain itself", host, *ok)
        dane("STARTTLS not offered", "strip", *no, ["starttls-not-supported"], kind="plain", tlsa=["3 1 1"],
             status="4.7.4")
        dane("STARTTLS refused (454)", "refused", *no, ["starttls-not-supported"], kind="refusing", tlsa=["3 1 1"],
             status="4.7.4")
        dane("handshake broken", "broken", *no, ["validation-failure"], kind="broken", tlsa=["3 1 1"], status="4.7.5")
        self.two("DANE", "first MX does not match, second does", "second", GOOD, {"tlsa": ["other"]},
                 {"tlsa": ["3 1 1"]}, ["tlsa-invalid", "success"], "verified")
        self.two("DANE", "first MX without STARTTLS, second without TLSA", "second-opp", GOOD,
                 {"tlsa": ["3 1 1"], "kind": "plain"}, {"certificate": "self-signed"},
                 ["starttls-not-supported", "success"], "unverified")
        host = self.host("mx.second-bogus", GOOD, tlsa=["3 1 1"])
        self.record(GOOD, "second-bogus 300 IN MX 10 mx.bogus.example.")
        self.record(GOOD, f"second-bogus 300 IN MX 20 {host}.")
        self.add("DANE", "first MX's address bogus, second matches", "second-bogus.good.example", "delivered",
                 "verified", ["dnssec-invalid", "success"])

    def two(self, group, label, name, zone, first, second, results, tls):
        a, b = self.host(f"mx1.{name}", zone, **first), self.host(f"mx2.{name}", zone, **second)
        self.record(zone, f"{name} 300 IN MX 10 {a}.")
        self.record(zone, f"{name} 300 IN MX 20 {b}.")
        return self.add(group, label, f"{name}.{zone}", "delivered", tls, results)

    # MTA-STS: RFC 8461

    def policy(self, name, zone, mode, mx, address="127.0.0.40", text=None, max_age=86400):
        domain = f"{name}.{zone}"
        self.policies[domain] = text or (
            f"version: STSv1\r\nmode: {mode}\r\n" + "".join(f"mx: {m}\r\n" for m in mx) + f"max_age: {max_age}\r\n")
        self.record(zone, f'_mta-sts.{name} 1 IN TXT "v=STSv1; id=1;"')
        self.record(zone, f"mta-sts.{name} 1 IN A {address}")

    def sts_cases(self):
        def sts(label, name, outcome, tls, results, mode="enforce", mx=None, zone=INSECURE, address="127.0.0.40",
                text=None, **options):
            self.policy(name, zone, mode, mx or [f"mx.{name}.{zone}"], address, text)
            return self.simple("MTA-STS", label, name, outcome, tls, results, zone=zone, **options)

        ok, no = ("delivered", "verified", ["success"]), ("deferred", "none")
        sts("enforce, right certificate", "sts", *ok, sni="mx.sts.insecure.example")
        sts("enforce, host matches a wildcard", "sts-wild", *ok, mx=["*.sts-wild.insecure.example"])
        sts("enforce, certificate for another name", "sts-name", *no, ["certificate-host-mismatch"],
            certificate="wrong-name", status="4.7.5")
        sts("enforce, expired certificate", "sts-expired", *no, ["certificate-expired"], certificate="expired",
            status="4.7.5")
        sts("enforce, self-signed certificate", "sts-self", *no, ["certificate-not-trusted"],
            certificate="self-signed", status="4.7.5")
        sts("enforce, STARTTLS not offered", "sts-strip", *no, ["starttls-not-supported"], kind="plain",
            status="4.7.4")
        sts("enforce, handshake broken", "sts-broken", *no, ["validation-failure"], kind="broken", status="4.7.5")
        sts("enforce, MX not in the policy", "sts-mx", *no, ["validation-failure"], mx=["mx.elsewhere.example"],
            status="4.7.5")
        self.policy("sts-second", INSECURE, "enforce", ["*.sts-second.insecure.example"])
        self.two("MTA-STS", "enforce, first MX's certificate self-signed, second's right", "sts-second", INSECURE,
                 {"certificate": "self-signed"}, {}, ["certificate-not-trusted", "success"], "verified")
        tested = ("delivered", "unverified")
        sts("testing, right certificate", "test", *ok, mode="testing")
        sts("testing, certificate for another name", "test-name", *tested, ["certificate-host-mismatch (testing)"],
            mode="testing", certificate="wrong-name")
        sts("testing, expired certificate", "test-expired", *tested, ["certificate-expired (testing)"],
            mode="testing", certificate="expired")
        sts("testing, self-signed certificate", "test-self", *tested, ["certificate-not-trusted (testing)"],
            mode="testing", certificate="self-signed")
        sts("testing, MX not in the policy", "test-mx", *tested, ["validation-failure (testing)"], mode="testing",
            mx=["mx.elsewhere.example"])
        sts("testing, STARTTLS not offered", "test-strip", "delivered", "clear", ["starttls-not-supported (testing)"],
            mode="testing", kind="plain")
        sts("none, self-signed certificate", "sts-none", "delivered", "unverified", ["success"], mode="none",
            certificate="self-signed")
        sts("policy host down, nothing cached", "sts-down", "delivered", "unverified",
            ["success", "sts-policy-fetch-error"], certificate="self-signed", address="127.0.0.42")
        sts("policy host's certificate for another name", "sts-web", "delivered", "unverified",
            ["success", "sts-webpki-invalid"], certificate="self-signed", address="127.0.0.43")
        sts("policy file malformed", "sts-bad", "delivered", "unverified", ["success", "sts-policy-invalid"],
            certificate="self-signed", text="version: STSv9\r\n")
        sts("DANE matches, policy would not (self-signed)", "both-dane", *ok, zone=GOOD, certificate="self-signed",
            tlsa=["3 1 1"])
        sts("DANE does not match, policy would", "both-sts", *no, ["tlsa-invalid"], zone=GOOD, tlsa=["other"],
            status="4.7.5")
        # While their policy host is there, then without it, then after a restart.
        sts("policy host up", "cached", *ok, address="127.0.0.41")
        for user, label in (("again", "policy host down and id new, cached policy enforced"),
                            ("restart", "the same after a restart of the server")):
            self.add("MTA-STS", label, "cached.insecure.example", *no, ["certificate-not-trusted"], status="4.7.5",
                     user=user, to=self.cached)

    # RFC 7435

    def opportunistic_cases(self):
        def plain(label, name, tls, results, **options):
            return self.simple("none", label, name, "delivered", tls, results, zone=INSECURE, **options)

        plain("right certificate", "opp", "unverified", ["success"])
        plain("self-signed certificate", "opp-self", "unverified", ["success"], certificate="self-signed")
        plain("expired certificate", "opp-expired", "unverified", ["success"], certificate="expired")
        plain("certificate for another name", "opp-name", "unverified", ["success"], certificate="wrong-name")
        plain("STARTTLS not offered", "opp-strip", "clear", ["starttls-not-supported"], kind="plain")
        plain("STARTTLS refused (454)", "opp-refused", "clear", ["starttls-not-supported"], kind="refusing")
        plain("handshake broken", "opp-broken", "clear", ["validation-failure", "-"], kind="broken")

    # RFC 8689

    def require_cases(self):
        def require(label, name, outcome, tls, results, **options):
            return self.simple("REQUIRETLS", label, name, outcome, tls, results, **options)

        ok = ("delivered", "verified", ["success"])
        require("DANE matches, host offers REQUIRETLS", "req", *ok, kind="requiretls", tlsa=["3 1 1"])
        require("DANE matches, host does not offer REQUIRETLS", "req-not", "refused", "none", ["success"],
                tlsa=["3 1 1"], status="5.7.30")
        require("MX signed, no TLSA, right certificate", "req-pki", *ok, kind="requiretls")
        require("MX signed, no TLSA, self-signed certificate", "req-self", "deferred", "none",
                ["certificate-not-trusted"], kind="requiretls", certificate="self-signed", status="4.7.5")
        self.policy("req-sts", INSECURE, "enforce", ["mx.req-sts.insecure.example"])
        require("MTA-STS enforce, right certificate", "req-sts", *ok, zone=INSECURE, kind="requiretls")
        require("neither DNSSEC nor MTA-STS", "req-open", "refused", "none", ["-"], zone=INSECURE,
                kind="requiretls", status="5.7.10")

    def write_zones(self, source):
        zones = f"{self.folder}/zones"
        shutil.copytree(source, zones)
        for zone, lines in self.records.items():
            with open(f"{zones}/{zone}.zone", "a") as f:
                f.write("\n".join(lines) + "\n")
        return zones


# --- The run, inside the namespace ------------------------------------------------------------------------------------

class Run:
    def __init__(self, lab, binary):
        self.lab = lab
        self.names = os.environ["NETLAB_DIR"] + "/lab"
        self.forwarder = Forwarder(DNS_PORT, 5300, lab.lost, lab.failing)
        self.peers = {name: Peer(address, name, made, kind) for name, address, made, kind in lab.plans}
        # What bogus names lead to, and what must not be used: a message there is a message sent wrongly.
        self.trap = Peer("127.0.0.25", "mx.bogus.example", lab.other)
        stable = {d: p for d, p in lab.policies.items()}
        PolicyHost("127.0.0.40", lab.policy_certificate, stable)
        PolicyHost("127.0.0.43", lab.other, stable)
        self.leaving = PolicyHost("127.0.0.41", lab.policy_certificate, stable)
        folder = f"{lab.folder}/server"
        os.mkdir(folder)
        self.server = Server(folder, binary, [], {
            "dns.forward": [f"127.0.0.1@{DNS_PORT}"], "dns.trust_anchor_file": f"{self.names}/root.anchor",
            "dns.timeout": "6s", "delivery.ca_file": lab.ca.root, "delivery.port": 25, "mta_sts.port": 443,
            "mta_sts.allow_private": True, "tls.mode": "self-signed"}, retries=("20s",))
        with open(self.server.path) as f:
            configuration = json.load(f)
        configuration["smtp"]["listeners"][0]["tls"] = "starttls"
        with open(self.server.path, "w") as f:
            json.dump(configuration, f)
        self.client_context = ssl.create_default_context()
        self.client_context.check_hostname = False
        self.client_context.verify_mode = ssl.CERT_NONE

    def send(self, cases):
        for case in cases:
            with smtplib.SMTP("127.0.0.1", self.server.port) as client:
                client.starttls(context=self.client_context)
                client.ehlo("lab.insecure.example")
                address = f"{case.user}@{case.domain}"
                client.mail(case.sender, ["REQUIRETLS"] if case.group == "REQUIRETLS" else [])
                code, text = client.rcpt(address)
                if code == 250:
                    code, text = client.data(f"From: <{case.sender}>\r\nTo: <{address}>\r\n"
                                             f"Subject: {case.label}\r\n\r\nOne line.\r\n")
                found = re.search(rb"queued as (\w+)", text)
                if not found:
                    raise SystemExit(f"{address} was not accepted: {code} {text}")
                case.id = found[1].decode()

    def settled(self, case):
        """The explanation once something became of the message."""
        explained = self.server.json("explain", case.id)
        attempts = explained["attempts"]
        ends = [r["result"] for a in attempts for r in a["recipients"]]
        if "delivered" in ends or "failed" in ends:
            return attempts
        # All hosts were passed over: the queue says so.
        rows = self.server.json("queue", "list", "--id", case.id)
        return attempts if attempts and rows and rows[0]["attempts"] > 0 else None

    def wait(self, cases, seconds=40):
        waiting, deadline = list(cases), time.monotonic() + seconds
        while waiting and time.monotonic() < deadline:
            for case in list(waiting):
                if (attempts := self.settled(case)) is not None:
                    waiting.remove(case)
                    self.check(case, attempts)
            time.sleep(0.3)
        for case in waiting:
            case.problems.append(f"undecided after {seconds} s")

    def check(self, case, attempts):
        address = f"{case.user}@{case.domain}"
        peers = [p for name, p in self.peers.items()] + [self.trap]
        taken = [(p, tls, asked, command) for p in peers for recipients, tls, asked, command in list(p.taken)
                 if address in recipients]
        rows = self.server.json("queue", "list", "--id", case.id) or []
        told = [r for a in attempts for r in a["recipients"]]
        failed = [r for r in told if r["result"] == "failed" and r["permanence"] == "permanent"]
        outcome = "delivered" if any(r["result"] == "delivered" for r in told) else "deferred" if rows \
            else "refused" if failed else "gone"
        results = []
        for a in attempts:
            tls = a["tls"]
            word = tls["result"] + (" (testing)" if tls["testing"] else "") if tls else "-"
            if word not in results:
                results.append(word)
        last = next((a for a in attempts if any(r["result"] == "delivered" for r in a["recipients"])), None)
        if not taken:
            tls = "none"
        elif taken[0][1] is None:
            tls = "clear"
        else:
            tls = "verified" if last and last["tls"] and last["tls"]["verified"] else "unverified"
        status = rows[0]["status"].split()[0] if rows and rows[0]["status"] else failed[-1]["status"] if failed else ""
        case.got = (outcome, tls, ", ".join(results), status)
        self.expect(case, "outcome", outcome, case.outcome)
        self.expect(case, "TLS", tls, case.tls)
        self.expect(case, "results", results, case.results)
        self.expect(case, "status", status, case.status)
        self.expect(case, "copies", len(taken), 1 if case.outcome == "delivered" else 0)
        if case.sni and taken:
            self.expect(case, "SNI", taken[0][2], case.sni)
        if last and taken and taken[0][1]:
            self.expect(case, "version as the peer saw it", taken[0][1], last["tls"]["version"])
            self.expect(case, "forward secrecy", last["tls"]["forward_secrecy"], True)
        if last and not (taken and taken[0][1]) and last["tls"]:
            self.expect(case, "version of a session in the clear", last["tls"]["version"], "")
        if taken and case.group == "REQUIRETLS":
            self.expect(case, "REQUIRETLS in MAIL", b" REQUIRETLS" in taken[0][3], True)
        if case.outcome != "delivered":
            own = {a["host"] for a in attempts}
            for name in own & set(self.peers):
                if not self.peers[name].taken:
                    self.expect(case, "MAIL commands at " + name, self.peers[name].mail_commands, 0)
        if case.unasked:
            self.expect(case, "TLSA questions", [n for n, kind in self.forwarder.seen if n == case.unasked], [])
        case.attempts = attempts

    def check_reports(self, cases, seconds=15):
        """Who sent what was refused hears of it, nobody else does."""
        def reports(case):
            return sum(case.sender in recipients for recipients, *_ in list(self.trap.taken))

        refused = [case for case in cases if case.outcome == "refused"]
        deadline = time.monotonic() + seconds
        while not all(reports(case) for case in refused) and time.monotonic() < deadline:
            time.sleep(0.2)
        for case in cases:
            self.expect(case, "reports to the sender", reports(case), 1 if case.outcome == "refused" else 0)

    @staticmethod
    def expect(case, what, got, wanted):
        if got != wanted:
            case.problems.append(f"{what}: {got}, must be {wanted}")

    def check_peers(self, cases, seconds=20):
        """What `tls peers` says of each host is what was seen there last."""
        wanted = {}
        for case in cases:
            for a in case.attempts if case.got else []:
                if a["tls"] and a["host"]:
                    wanted[case.domain, a["host"]] = (case, a)
        deadline = time.monotonic() + seconds
        while True:
            rows = {(r["destination"], r["host"]): r for r in self.server.json("tls", "peers") or []}
            missing = [key for key in wanted if key not in rows]
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        for key, (case, a) in wanted.items():
            row = rows.get(key)
            if row is None:
                case.problems.append(f"tls peers: nothing of {key[1]}")
                continue
            seen = (a["tls"]["result"], a["tls"]["version"], a["tls"]["verified"])
            self.expect(case, "tls peers", (row["result"], row["version"], row["verified"]), seen)

    def renumber(self, name):
        """A new id for the policy of a domain in the unsigned zone."""
        path = f"{self.names}/z/{INSECURE}.zone"
        with open(path) as f:
            text = f.read()
        record = f'_mta-sts.{name} 1 IN TXT "v=STSv1; id='
        changed = text.replace(record + "1;", record + "2;")
        changed = changed.replace("hostmaster.example. 1 ", "hostmaster.example. 2 ")
        assert changed != text
        with open(path, "w") as f:
            f.write(changed)
        os.utime(path, (time.time() + 5, time.time() + 5))
        with open(f"{self.names}/nsd.run.pid") as f:
            os.kill(int(f.read()), signal.SIGHUP)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            labels = f"_mta-sts.{name}.{INSECURE}".split(".")
            question = b"".join(bytes([len(word)]) + word.encode() for word in labels) + b"\0\0\x10\0\1"
            if b"id=2" in self.forwarder.ask(b"\0\1\0\0\0\1" + bytes(6) + question, socket.SOCK_DGRAM):
                return
            time.sleep(0.2)
        raise SystemExit("the name server did not take the changed zone")

    def run(self):
        lab = self.lab
        self.server.start()
        begun = time.monotonic()
        self.send(lab.cases)
        self.wait(lab.cases)
        self.check_peers(lab.cases)
        self.check_reports(lab.cases)
        # The policy host goes, the record announces another policy, and the mail host shows what the old one forbids.
        self.leaving.down()
        self.renumber("cached")
        self.peers["mx.cached.insecure.example"].present(self.lab.ca.issue(
            "cached-self", ["mx.cached.insecure.example"], self_signed=True))
        self.peers["mx.cached.insecure.example"].taken.clear()
        self.peers["mx.cached.insecure.example"].mail_commands = 0
        # An answer about a policy is relied on for a minute; connections in use before are gone then, too.
        time.sleep(max(0, begun + 75 - time.monotonic()))
        again, restarted = lab.cached
        for case in (again, restarted):
            if case is restarted:
                self.server.stop()
                self.server.start()
            asked = len(self.forwarder.seen)
            self.send([case])
            self.wait([case])
            for name, kind in (("_mta-sts.cached.insecure.example", 16), ("mta-sts.cached.insecure.example", 1)):
                if (name, kind) not in self.forwarder.seen[asked:]:
                    case.problems.append(f"{name} was not asked for: no fetch was tried")
        self.check_peers(lab.cached)
        self.send(lab.late)
        self.wait(lab.late)
        self.server.stop()
        return self.report(lab.cases + lab.cached + lab.late)

    @staticmethod
    def report(cases):
        head = ("policy", "case", "outcome", "TLS", "result types", "status", "ok")
        order = ["DANE", "MTA-STS", "REQUIRETLS", "none"]
        cases = sorted(cases, key=lambda c: order.index(c.group))
        lines = [head] + [
            (c.group, c.label, *(c.got or ("?", "?", "?", "?")), "WRONG" if c.problems else "ok") for c in cases]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        for line in lines:
            print("  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip())
        wrong = [c for c in cases if c.problems]
        for case in wrong:
            print(f"WRONG {case.group}, {case.label} ({case.domain}):")
            for problem in case.problems:
                print("  " + problem)
            if os.environ.get("TLS_LAB_DETAILS"):
                print(json.dumps(case.attempts, indent=1))
        print(f"{len(cases)} cases, {len(wrong)} wrong")
        return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conformance", required=True, help="the conformance folder")
    parser.add_argument("--bin", required=True, help="the folder with martlet")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    dnslab = os.path.abspath(f"{arguments.conformance}/dnslab")
    if arguments.inside:
        with open(f"{arguments.inside}/lab", "rb") as f:
            return Run(pickle.load(f), os.path.abspath(arguments.bin)).run()
    with tempfile.TemporaryDirectory(prefix="tls-lab.") as folder:
        lab = Lab(folder, f"{dnslab}/certs")
        environment = dict(os.environ, DNSLAB_ZONES=lab.write_zones(f"{dnslab}/zones"))
        with open(f"{folder}/lab", "wb") as f:
            pickle.dump(lab, f)
        return subprocess.run([f"{dnslab}/netlab.sh", sys.executable, os.path.abspath(__file__), "--conformance",
                               arguments.conformance, "--bin", arguments.bin, "--inside", folder],
                              env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())

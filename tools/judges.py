#!/usr/bin/env python3
"""DKIM signatures and ARC chains judged by others: dkimpy, OpenDKIM and Rspamd, in both directions.

    /usr/bin/python3 tools/judges.py [--bin .build/release] [--messages DIR]... [--only dkim|arc]

Signs every message of a corpus with `martlet dkim sign` (RSA and Ed25519, all four canonical forms) and seals it with
`martlet arc seal` (one to three hops); each judge must accept all of it and refuse it after a change. Then the judges
sign and seal, and `martlet check` must accept that. Exits with 1 when any two disagree and the difference is not in
KNOWN below. Needs python3-dkim, python3-nacl, python3-authres, opendkim and rspamd; all names come from a name server
of its own and nothing leaves the loopback interface.
"""
import argparse, base64, collections, concurrent.futures, glob, json, os, pwd, shutil, signal, socket
import struct, subprocess, sys, tempfile, time, urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakedns

DOMAIN = "judge.example"
FORMS = ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"]
ALGORITHMS = ["rsa", "ed25519"]
# What a judge does with which message, and the sentence that says otherwise.
OPEN_END = ('RFC 6376 §3.4.4: "Ignore all whitespace at the end of lines", and a CRLF is added at the end of a body that '
            "lacks it; the judges do not agree with each other. Cannot come in by DATA, whose last line is whole")
NO_LINE = ('RFC 6376 §3.4.3 "If there is no trailing CRLF on the message body, a CRLF is added" and §3.4.4; gives no verdict on '
           "such a body in relaxed form, and fails some in simple form, whoever signed it. The other judges agree with us")
SPACES = ('RFC 6376 §3.4.4: whitespace at line ends is ignored, then "all empty lines at the end of the message body"; '
          "nothing is left of the body. The other judges agree with us")
TWICE = ('RFC 6376 §5.4.2: "Signers wishing to sign multiple instances of such a header field MUST include the header field '
         'name multiple times in the "h=" tag" and they are taken from the bottom; it refuses every signature over a field '
         "that stands there twice, its own too. The other judges agree with us")
DESCENDING = ('RFC 8617 §5.1.1: "The ARC Set header field values are supplied to the hash function in increasing instance '
              'order"; it takes them in descending order (arc.lua), which shows from the third set on')
OWN = {("Rspamd", "arc rsa 3 hops"): DESCENDING}
KNOWN = {
    ("dkimpy", "no-final-crlf-after-spaces"): OPEN_END, ("OpenDKIM", "no-final-crlf-after-spaces"): OPEN_END,
    ("Rspamd", "no-final-crlf-after-spaces"): OPEN_END, ("OpenDKIM", "no-final-crlf"): NO_LINE,
    ("Rspamd", "only-spaces-body"): SPACES, ("Rspamd", "duplicate-subject"): TWICE, ("Rspamd", "duplicate-to-cc"): TWICE,
}
NO_ADDRESS = ('RFC 6376 asks for a From field, not for an address in it; "bad message/signature format", whoever signed. RFC 5322 '
              "§3.6.2 does not allow such a message")
LONG = "a header of more than 64 KiB, at which it ends the connection"


def excuse(judge, name, message):
    """Why a judge may differ on this message, or None."""
    if judge == "OpenDKIM" and (judge, name) not in KNOWN:
        header = message.partition(b"\r\n\r\n")[0]
        if len(header) > 65536:
            return LONG
        author = [l for l in header.split(b"\r\n") if l.lower().startswith(b"from:")]
        if author and b"@" not in author[0]:
            return NO_ADDRESS
        if not message.endswith(b"\r\n"):
            return NO_LINE
    return KNOWN.get((judge, name))


SELF = "made by it, and its own verifier refuses it too"


# ---------------------------------------------------------------- messages

def head(*more, subject="A message to be judged", sender="Alice <alice@judge.example>"):
    lines = [f"From: {sender}", "To: Bob <bob@receiver.example>", f"Subject: {subject}",
             "Date: Mon, 23 Nov 2026 05:00:00 +0000", "Message-ID: <one@judge.example>"]
    return "\r\n".join(lines + list(more)).encode() + b"\r\n"


def corpus():
    text = b"Hello Bob,\r\n\r\nall is well.\r\n"
    b64 = base64.encodebytes(bytes(i * 7 % 256 for i in range(30000))).replace(b"\n", b"\r\n")
    m = {
        "plain": head() + b"\r\n" + text,
        "empty-body": head() + b"\r\n",
        "no-body-no-blank": head(),
        "one-crlf-body": head() + b"\r\n\r\n",
        "three-crlf-body": head() + b"\r\n\r\n\r\n\r\n",
        "trailing-blank-lines": head() + b"\r\n" + text + b"\r\n\r\n\r\n",
        "trailing-lines-of-spaces": head() + b"\r\n" + text + b"  \r\n\t\r\n \t \r\n",
        "only-spaces-body": head() + b"\r\n   \t  \r\n",
        "no-final-crlf": head() + b"\r\n" + text + b"the last line has no end",
        "no-final-crlf-after-spaces": head() + b"\r\n" + text + b"the last line ends in spaces  \t ",
        "trailing-spaces-in-lines": head() + b"\r\nHello \r\n  leading\t\r\na  b \t c\r\n",
        "tabs-in-body": head() + b"\r\n\tone\t\ttwo\r\n\t\r\nthree\t\r\n",
        "spaces-only-line-inside": head() + b"\r\nbefore\r\n    \r\nafter\r\n",
        "dots": head() + b"\r\n.\r\n..\r\n.leading\r\n...\r\nend.\r\n",
        "from-line": head() + b"\r\nFrom here on\r\n>From there\r\n",
        "dashes": head() + b"\r\n-- \r\nAlice\r\n--\r\n",
        "looks-like-header": head() + b"\r\nSubject: not a header\r\nDKIM-Signature: v=1; a=none\r\n\r\nx\r\n",
        "folded-subject": head(subject="one\r\n two\r\n\tthree \r\n  four") + b"\r\n" + text,
        "folded-twice": head("X-Folded: \r\n a\r\n \r\n b".replace("\r\n \r\n", "\r\n"),
                             "Comments: a \r\n\t b") + b"\r\n" + text,
        "folded-at-start": head("Reply-To:\r\n Alice <alice@judge.example>") + b"\r\n" + text,
        "spaces-around-value": head(subject="   padded   ") + b"\r\n" + text,
        "tab-after-colon": head("Reply-To:\talice@judge.example\t") + b"\r\n" + text,
        "no-space-after-colon": head("Reply-To:alice@judge.example", "In-Reply-To:<x@y.example>") + b"\r\n" + text,
        "empty-fields": head("Reply-To:", "Cc: ", "Sender:\t") + b"\r\n" + text,
        "inner-runs-of-spaces": head(subject="a  b   c\t\td") + b"\r\n" + text,
        "upper-case-names": head().replace(b"Subject", b"SUBJECT").replace(b"From", b"FROM") + b"\r\n" + text,
        "odd-case-names": head("mime-VERSION: 1.0", "content-TYPE: text/plain") + b"\r\n" + text,
        "eight-bit-body": head("MIME-Version: 1.0", "Content-Type: text/plain; charset=iso-8859-1",
                               "Content-Transfer-Encoding: 8bit") + b"\r\nGr\xfc\xdfe\r\n\xff\xfe\x80\r\n",
        "utf8-body": head("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
                          "Content-Transfer-Encoding: 8bit") + "\r\nGrüße — 日本語 🙂\r\n".encode(),
        "utf8-header": head(subject="Grüße — 日本語", sender="Jürgen Müller <alice@judge.example>") + b"\r\n" + text,
        "encoded-words": head(subject="=?utf-8?B?R3LDvMOfZQ==?=\r\n =?utf-8?Q?_und_Dank?=",
                              sender="=?utf-8?Q?J=C3=BCrgen?= <alice@judge.example>") + b"\r\n" + text,
        "quoted-printable": head("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
                                 "Content-Transfer-Encoding: quoted-printable")
        + b"\r\nGr=C3=BC=C3=9Fe =\r\nsoft end=20\r\n",
        "multipart-alternative": head("MIME-Version: 1.0", 'Content-Type: multipart/alternative; boundary="=_b"')
        + b"\r\npreamble\r\n--=_b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--=_b\r\nContent-Type: text/html\r\n\r\n"
          b"<p>html</p>\r\n--=_b--\r\nepilogue\r\n",
        "multipart-nested": head("MIME-Version: 1.0", 'Content-Type: multipart/mixed;\r\n\tboundary="outer"')
        + b'\r\n--outer\r\nContent-Type: multipart/related; boundary="inner"\r\n\r\n--inner\r\n\r\nx\r\n--inner--\r\n'
          b"--outer--\r\n",
        "multipart-unclosed": head("MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=never")
        + b"\r\n--never\r\n\r\nno end\r\n",
        "message-rfc822": head("MIME-Version: 1.0", "Content-Type: message/rfc822") + b"\r\n" + head() + b"\r\n" + text,
        "attachment": head("MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="b"')
        + b'\r\n--b\r\n\r\nsee below\r\n--b\r\nContent-Type: application/octet-stream; name="a.bin"\r\n'
          b"Content-Transfer-Encoding: base64\r\n\r\n" + b64 + b"--b--\r\n",
        "calendar": head("MIME-Version: 1.0", 'Content-Type: text/calendar; method=REQUEST; charset="UTF-8"')
        + b"\r\nBEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n",
        "delivery-report": head("MIME-Version: 1.0", "Auto-Submitted: auto-replied",
                                "Content-Type: multipart/report; report-type=delivery-status; boundary=r")
        + b"\r\n--r\r\n\r\nfailed\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\n"
          b"Reporting-MTA: dns; a.example\r\n\r\nAction: failed\r\n--r--\r\n",
        "long-line-998": head() + b"\r\n" + b"x" * 998 + b"\r\n",
        "long-line-of-words": head() + b"\r\n" + b"word " * 190 + b"\r\n",
        "long-subject": head(subject="subject " * 110) + b"\r\n" + text,
        "huge-references": head("References: " + "\r\n ".join(f"<{i:04}.{'r' * 40}@judge.example>" for i in range(60)))
        + b"\r\n" + text,
        "many-recipients": head("Cc: " + ",\r\n\t".join(f'"Person {i}" <p{i}@receiver.example>' for i in range(150)))
        + b"\r\n" + text,
        "many-fields": head(*[f"X-Field-{i}: value {i}" for i in range(120)]) + b"\r\n" + text,
        "duplicate-subject": head("Subject: a second one") + b"\r\n" + text,
        "duplicate-to-cc": head("To: carol@receiver.example", "Cc: a@b.example", "Cc: c@d.example") + b"\r\n" + text,
        "received-lines": b"".join(
            f"Received: from h{i}.example (h{i}.example [192.0.2.{i}])\r\n\tby h{i + 1}.example with ESMTPS id {i}x\r\n"
            f"\tfor <bob@receiver.example>; Mon, 23 Nov 2026 04:5{i}:00 +0000\r\n".encode() for i in range(8))
        + head() + b"\r\n" + text,
        "list-message": head("Sender: list-bounces@judge.example", "List-Id: The List <list.judge.example>",
                             "List-Unsubscribe: <mailto:list-request@judge.example?subject=unsubscribe>,\r\n"
                             "\t<https://judge.example/u?id=1>",
                             "List-Unsubscribe-Post: List-Unsubscribe=One-Click", "List-Post: <mailto:list@judge.example>",
                             "List-Help: <mailto:help@judge.example>", "List-Archive: <https://judge.example/a>",
                             "Precedence: list", subject="[list] hello")
        + b"\r\n" + text + b"_______________________________________________\r\nlist mailing list\r\n",
        "only-from": b"From: alice@judge.example\r\n\r\nshort\r\n",
        "from-and-date": b"From: alice@judge.example\r\nDate: Mon, 23 Nov 2026 05:00:00 +0000\r\n\r\n" + text,
        "from-last": b"Subject: order\r\nX-A: 1\r\nX-B: 2\r\nFrom: alice@judge.example\r\n\r\n" + text,
        "quoted-local-part": head(sender='"alice \\"of\\" judge" <"a b"@judge.example>') + b"\r\n" + text,
        "comment-in-from": head(sender="alice@judge.example (Alice (the first) of Judge)") + b"\r\n" + text,
        "group-in-to": head("Cc: undisclosed-recipients:;") + b"\r\n" + text,
        "resent": head("Resent-From: carol@judge.example", "Resent-To: dave@receiver.example",
                       "Resent-Date: Mon, 23 Nov 2026 05:30:00 +0000") + b"\r\n" + text,
        "colons-and-semicolons": head(subject="a: b; c=d; e:f;", *["X-Tags: v=1; a=b;"]) + b"\r\n" + text,
        "angle-heavy": head(subject="<<>> \"' \\ `~!@#$%^&*()") + b"\r\n" + text,
        "equals-in-body": head() + b"\r\n=3D=\r\n==\r\nb=abc; bh=def\r\n",
        "size-100k": head() + b"\r\n" + b"".join(b"line %06d of a long message\r\n" % i for i in range(3200)),
        "html-only": head("MIME-Version: 1.0", "Content-Type: text/html; charset=utf-8")
        + b"\r\n<!doctype html>\r\n<html>\r\n <body>\r\n  <p>x</p>\r\n </body>\r\n</html>\r\n",
        "null-sender-report": head("Return-Path: <>", "Auto-Submitted: auto-generated") + b"\r\n" + text,
        "privacy-headers": head("Autocrypt: addr=alice@judge.example; keydata=\r\n " + "QUJD" * 30) + b"\r\n" + text,
        "old-signature": head(
            "DKIM-Signature: v=1; a=rsa-sha256; d=gone.example; s=x; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;"
            "\r\n\tb=AAAA") + b"\r\n" + text,
    }
    return m


def more_messages(folders):
    """Files of other corpora: made CRLF, with a From field, no NUL and no bare CR (RFC 5322 §2.3 forbids them)."""
    out = {}
    for folder in folders:
        for path in sorted(glob.glob(os.path.join(folder, "**"), recursive=True)):
            if not path.lower().endswith((".eml", ".msg")) or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                data = f.read().replace(b"\r\n", b"\n")
            lines = data.split(b"\n\n", 1)[0].split(b"\n")
            fields = [l for l in lines if not l.startswith((b" ", b"\t"))]
            whole = fields and fields[0] == lines[0] and all(
                b":" in l and l[0] > 32 and b" " not in l.split(b":")[0] for l in fields)
            once = sum(l.lower().startswith(b"from:") for l in lines) == 1
            other = any(l.lower().startswith((b"dkim-signature:", b"arc-")) for l in lines)
            if whole and once and not other and b"\0" not in data and b"\r" not in data and len(data) < 1 << 20:
                out[os.path.relpath(path, os.path.dirname(folder))] = data.replace(b"\n", b"\r\n")
    return out


# ---------------------------------------------------------------- signers and verifiers

def run(*command, data=b"", check=True):
    r = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if check and r.returncode:
        raise RuntimeError(f"{' '.join(command)}: {r.returncode} {r.stderr.decode(errors='replace')}")
    return r.stdout


class Martlet:
    tells_status = True
    name = "martlet"
    algorithms = ALGORITHMS

    def __init__(self, lab):
        self.lab = lab
        self.binary = os.path.join(lab.options.bin, "martlet")

    def sign(self, message, algorithm, forms):
        return run(self.binary, "dkim", "sign", "--domain", DOMAIN, "--selector", algorithm, "--key",
                   self.lab.keys[algorithm], "--canonicalization", forms, "-", data=message)

    def verify(self, message):
        out = json.loads(run(self.binary, "check", "dkim", "--json", "--dns", self.lab.dns, "-", data=message))
        ours = [s for s in out["signatures"] if s.get("domain") == DOMAIN]
        return ours[0]["result"] if ours else "none"

    def seal(self, message, algorithm, authserv, status):
        results = f"Authentication-Results: {authserv};\r\n\tarc={status};\r\n\tspf=pass smtp.mailfrom={DOMAIN}\r\n"
        return run(self.binary, "arc", "seal", "--domain", DOMAIN, "--selector", algorithm, "--key",
                   self.lab.keys[algorithm], "--authserv-id", authserv, "--message", "-", data=results.encode() + message)

    def validate(self, message):
        out = run(self.binary, "check", "arc", "--dns", self.lab.dns, "-", data=message)
        return out.split()[0].decode()


class DKIMPy:
    tells_status = True
    name = "dkimpy"
    algorithms = ALGORITHMS
    forms = FORMS

    def __init__(self, lab):
        import dkim
        self.dkim, self.lab = dkim, lab
        # Its table of algorithms for chains lacks what RFC 8463 added for signatures; RFC 8617 §4.1.3 makes a= the same.
        dkim.ARC_HASH_ALGORITHMS.setdefault(b"ed25519-sha256", dkim.HASH_ALGORITHMS[b"ed25519-sha256"])

    def text(self, name, timeout=5):
        name = (name if isinstance(name, str) else name.decode()).rstrip(".")
        code, found = self.lab.zone.look(name, "TXT")
        return found[0].encode() if found else None

    def key(self, algorithm):
        path = self.lab.keys[algorithm] if algorithm == "rsa" else self.lab.seed
        with open(path, "rb") as f:
            return f.read()

    def sign(self, message, algorithm, forms):
        try:
            d = self.dkim.DKIM(message, signature_algorithm=algorithm.encode() + b"-sha256")
        except IndexError:
            # A header that begins with a continuation is nothing to it.
            return None
        field = d.sign(algorithm.encode(), DOMAIN.encode(), self.key(algorithm),
                       canonicalize=tuple(f.encode() for f in forms.split("/")))
        return field + message

    def verify(self, message):
        try:
            d = self.dkim.DKIM(message)
            return "pass" if d.verify(dnsfunc=self.text) else "fail"
        except self.dkim.DKIMException as e:
            return f"error ({e})"

    def seal(self, message, algorithm, authserv, status):
        if algorithm != "rsa":
            return None
        arc = f" arc={status};" if status != "none" else ""
        message = f"Authentication-Results: {authserv};{arc} spf=pass smtp.mailfrom=alice@{DOMAIN}\r\n".encode() + message
        fields = self.dkim.arc_sign(message, b"rsa", DOMAIN.encode(), self.key("rsa"), authserv.encode())
        return b"".join(fields) + message

    def validate(self, message):
        status, _, reason = self.dkim.arc_verify(message, dnsfunc=self.text)
        return status.decode() if status in (b"pass", b"none") else f"fail ({reason})"


class OpenDKIM:
    """The daemon, spoken to as a mail server would: the milter protocol, version 6."""
    name = "OpenDKIM"
    forms = FORMS

    def __init__(self, lab):
        self.lab = lab
        self.algorithms = ALGORITHMS
        lines = [f"{name} {r['TXT'][0]}" for name, r in lab.zone.names.items() if "TXT" in r]
        with open(lab.path("opendkim.dns"), "w") as f:
            f.write("\n".join(lines) + "\n")
        self.sockets = {"verify": self.start("verify", "Mode v\nAlwaysAddARHeader yes\n")}
        for algorithm in ALGORITHMS:
            key = lab.keys["rsa"] if algorithm == "rsa" else lab.keys["ed25519"]
            with open(lab.path(f"keytable-{algorithm}"), "w") as f:
                f.write(f"one {DOMAIN}:{algorithm}:{key}\n")
            for forms in FORMS:
                self.sockets[algorithm, forms] = self.start(
                    f"{algorithm}-{forms.replace('/', '-')}",
                    f"Mode s\nCanonicalization {forms}\nSignatureAlgorithm {algorithm}-sha256\nOversignHeaders From\n"
                    f"KeyTable file:{lab.path(f'keytable-{algorithm}')}\nSigningTable refile:{lab.path('signingtable')}\n")

    def start(self, name, settings):
        with open(self.lab.path("signingtable"), "w") as f:
            f.write("* one\n")
        with open(self.lab.path(f"opendkim-{name}.conf"), "w") as f:
            f.write(f"Socket local:{self.lab.path(f'od-{name}')}\nBackground no\nSyslog no\nRequireSafeKeys no\n"
                    f"AuthservID od.example\nMinimumKeyBits 1024\nOn-BadSignature accept\nOn-KeyNotFound accept\n"
                    f"On-DNSError accept\nOn-NoSignature accept\nOn-Security accept\n"
                    f"TestDNSData file:{self.lab.path('opendkim.dns')}\n{settings}")
        self.lab.spawn("opendkim", "-f", "-x", self.lab.path(f"opendkim-{name}.conf"))
        path = self.lab.path(f"od-{name}")
        wait_for(lambda: os.path.exists(path), "OpenDKIM")
        return path

    def converse(self, which, message):
        header, _, body = message.partition(b"\r\n\r\n")
        has_body = b"\r\n\r\n" in message
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            wait_for(lambda: connects(s, self.sockets[which]), "OpenDKIM's socket")

            def send(command, data=b""):
                s.sendall(struct.pack("!I", 1 + len(data)) + command + data)

            def receive():
                def exactly(n):
                    data = b""
                    while len(data) < n:
                        more = s.recv(n - len(data))
                        if not more:
                            raise EOFError
                        data += more
                    return data
                packet = exactly(struct.unpack("!I", exactly(4))[0])
                return packet[:1], packet[1:]

            def step(command, data=b""):
                send(command, data)
                code, _ = receive()
                return code

            # 0x100000: values keep the space after the colon, which simple canonicalization signs.
            send(b"O", struct.pack("!III", 6, 0x1FF, 0x100000))
            receive()
            send(b"D", b"Cj\0od.example\0{daemon_name}\0od\0")
            step(b"C", b"localhost\0" + b"4" + struct.pack("!H", 2525) + b"127.0.0.1\0")
            step(b"H", b"client.example\0")
            send(b"D", b"Mi\0JOB1\0")
            step(b"M", b"<alice@judge.example>\0")
            step(b"R", b"<bob@receiver.example>\0")
            for field in unfolded(header):
                name, _, value = field.partition(b":")
                code = step(b"L", name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0")
                if code in (b"a", b"r", b"t"):
                    return code, []
            if step(b"N") in (b"a", b"r", b"t"):
                return b"a", []
            for i in range(0, len(body), 65535):
                if has_body:
                    step(b"B", body[i:i + 65535])
            send(b"E")
            added = []
            while True:
                code, data = receive()
                if code == b"i":
                    name, value = data[4:].split(b"\0")[:2]
                    added.append(name + b":" + value.replace(b"\n", b"\r\n"))
                elif code == b"h":
                    name, value = data.split(b"\0")[:2]
                    added.append(name + b":" + value.replace(b"\n", b"\r\n"))
                elif code in (b"c", b"a", b"r", b"t", b"d", b"y"):
                    return code, added

    def answer(self, which, message):
        try:
            return self.converse(which, message)
        except (OSError, EOFError) as e:
            return repr(e), []

    def sign(self, message, algorithm, forms):
        _, added = self.answer((algorithm, forms), message)
        fields = [f for f in added if f.lower().startswith(b"dkim-signature:")]
        return fields[0] + b"\r\n" + message if fields else None

    def verify(self, message):
        code, added = self.answer("verify", message)
        for field in added:
            if field.lower().startswith(b"authentication-results:"):
                for part in b" ".join(field.split()).split(b";"):
                    if b"dkim=" in part and f"header.d={DOMAIN}".encode() in part:
                        return part.split(b"dkim=")[1].split()[0].decode()
                return " ".join(field.decode(errors="replace").split())
        return f"no answer ({code})"


class Rspamd:
    tells_status = False
    name = "Rspamd"
    algorithms = ALGORITHMS
    # Its signing module has no setting for it.
    forms = ["relaxed/relaxed"]

    def __init__(self, lab):
        self.lab = lab
        self.ports = {}
        base = lab.path("rspamd")
        for mode in ("verify", *ALGORITHMS):
            folder = f"{base}-{mode}"
            os.makedirs(folder)
            self.ports[mode] = free_port()
            signing = "arc { sign_inbound = false; }"
            if mode != "verify":
                key = lab.keys["rsa"] if mode == "rsa" else lab.seed
                signing = f"""
dkim_signing {{ sign_authenticated = true; sign_local = true; use_esld = false; allow_hdrfrom_mismatch = true;
  allow_hdrfrom_multiple = true; allow_username_mismatch = true; use_domain = "envelope"; use_redis = false;
  domain {{ {DOMAIN} {{ selectors [ {{ path = "{key}"; selector = "{mode}"; }} ] }} }} }}
arc {{ sign_authenticated = true; sign_inbound = true; sign_local = true; use_esld = false; use_domain = "envelope";
  allow_hdrfrom_mismatch = true; allow_hdrfrom_multiple = true; allow_username_mismatch = true; use_redis = false;
  domain {{ {DOMAIN} {{ path = "{key}"; selector = "{mode}"; }} }} }}
"""
            with open(f"{folder}/rspamd.conf", "w") as f:
                f.write(rspamd_configuration(folder, self.ports[mode], lab.dns_port, signing))
            # The whole list of suffixes would be compiled for many seconds.
            with open(f"{folder}/tld", "w") as f:
                f.write("com\nexample\n")
            user = ["-u", "_rspamd", "-g", "_rspamd"] if os.geteuid() == 0 else []
            if user:
                os.chmod(lab.folder, 0o755)
                entry = pwd.getpwnam("_rspamd")
                os.chown(folder, entry.pw_uid, entry.pw_gid)
            lab.spawn("rspamd", "-f", *user, "-c", f"{folder}/rspamd.conf", output=f"{folder}/log")
        for port in self.ports.values():
            wait_for(lambda: self.ping(port), "Rspamd", 60)

    @staticmethod
    def ping(port):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1).status == 200
        except OSError:
            return False

    def ask(self, mode, message, **more):
        fields = {"IP": "127.0.0.9", "Helo": "client.example", "From": f"alice@{DOMAIN}",
                  "Rcpt": "bob@receiver.example", **more}
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[mode]}/checkv2", message, fields)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    def verify(self, message):
        symbols = self.ask("verify", message).get("symbols", {})
        words = {"R_DKIM_ALLOW": "pass", "R_DKIM_REJECT": "fail", "R_DKIM_TEMPFAIL": "temperror",
                 "R_DKIM_PERMFAIL": "permerror", "R_DKIM_NA": "none"}
        # With several signatures each symbol names the domains it speaks of.
        for symbol, word in words.items():
            if any(o.startswith(DOMAIN) for o in symbols.get(symbol, {}).get("options", [])):
                return word
        return next((w for s, w in words.items() if s in symbols), "no answer")

    def sign(self, message, algorithm, forms):
        out = self.ask(algorithm, message, User=f"alice@{DOMAIN}")
        field = out.get("dkim-signature")
        if isinstance(field, list):
            field = field[0]
        return b"DKIM-Signature: " + crlf(field.strip()) + b"\r\n" + message if field else None

    def seal(self, message, algorithm, authserv, status):
        if algorithm != "rsa":
            return None
        out = self.ask(algorithm, message)
        added = out.get("milter", {}).get("add_headers", {})
        fields = b""
        for name in ("ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"):
            value = added.get(name)
            value = value[0] if isinstance(value, list) else value
            if not value:
                return None
            fields += name.encode() + b": " + crlf((value["value"] if isinstance(value, dict) else value).strip()) + b"\r\n"
        return fields + message

    def validate(self, message):
        symbols = self.ask("verify", message).get("symbols", {})
        for symbol, word in (("ARC_ALLOW", "pass"), ("ARC_REJECT", "fail"), ("ARC_INVALID", "fail (invalid)"),
                             ("ARC_DNSFAIL", "temperror"), ("ARC_NA", "none")):
            if symbol in symbols:
                return f"{word} {symbols[symbol].get('options') or ''}".strip() if word != "pass" else word
        return "no answer"


def rspamd_configuration(folder, port, dns_port, more):
    share = "/usr/share/rspamd"
    return f"""
options {{ pidfile = "{folder}/pid"; tempdir = "{folder}"; filters = "dkim"; local_addrs = []; history_file = "";
  url_tld = "{folder}/tld"; dns {{ nameserver = ["127.0.0.1:{dns_port}:1"]; timeout = 2s; retransmits = 2; }}
  control_socket = "{folder}/control mode=0600"; hs_cache_dir = "{folder}"; disable_hyperscan = true; }}
logging {{ type = "console"; level = "notice"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; mime = true; }}
modules {{ path = "{share}/plugins/arc.lua"; path = "{share}/plugins/dkim_signing.lua"; }}
dkim {{ check_local = true; check_authed = true; time_jitter = 6h; }}
{more}
"""


# ---------------------------------------------------------------- bench

def crlf(text):
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode()


def unfolded(header):
    fields = []
    for line in header.split(b"\r\n"):
        if line.startswith((b" ", b"\t")) and fields:
            fields[-1] += b"\r\n" + line
        elif line:
            fields.append(line)
    return fields


def connects(s, path):
    try:
        s.connect(path)
        return True
    except OSError:
        return False


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not start")
        time.sleep(0.05)


class Lab:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="judges-", dir="/tmp")
        self.children, self.keys = [], {}
        martlet = os.path.join(options.bin, "martlet")
        self.zone = fakedns.Zone()
        for algorithm in ALGORITHMS:
            out = json.loads(run(martlet, "dkim", "generate", "--type", algorithm, "--selector", algorithm, "--json", DOMAIN))
            self.keys[algorithm] = self.path(f"{algorithm}.pem")
            with open(self.keys[algorithm], "w") as f:
                f.write(out["private_key"])
            self.zone.add(out["name"], "TXT", out["record"])
        # The judges want the seed of an Ed25519 key by itself: the last 32 octets of PKCS #8 (RFC 8410 §7).
        with open(self.keys["ed25519"]) as f:
            der = base64.b64decode("".join(l for l in f.read().splitlines() if "-" not in l))
        self.seed = self.path("ed25519.seed")
        with open(self.seed, "wb") as f:
            f.write(base64.b64encode(der[-32:]))
        self.server = fakedns.Server(self.zone)
        self.dns_port = self.server.port
        self.dns = f"127.0.0.1@{self.dns_port}"
        for path in (*self.keys.values(), self.seed):
            os.chmod(path, 0o644)

    def path(self, name):
        return os.path.join(self.folder, name)

    def spawn(self, *command, output=None):
        with open(output or self.path(f"{os.path.basename(command[0])}.log"), "ab") as log:
            self.children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def close(self):
        for child in self.children:
            child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.server.close()
        if self.options.keep:
            print(f"kept {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


class Table:
    def __init__(self, messages):
        self.messages = messages
        self.counts = collections.defaultdict(collections.Counter)
        self.wrong, self.listed = [], collections.Counter()

    def note(self, signer, judge, kind, message, got, want="pass", own=None):
        """`own`: what the signer's own verifier says, asked where its work was refused."""
        key = (signer, judge, *kind)
        if got is None:
            self.counts[key]["not made"] += 1
            return
        if got == want or (want == "fail" and got != "pass"):
            self.counts[key]["agree"] += 1
            return
        other = judge if judge != "martlet" else signer
        why = excuse(other, message, self.messages[message])
        if want == "pass" and why:
            self.counts[key]["listed"] += 1
            self.listed[other, message, why] += 1
            return
        if want == "pass" and own is not None and not own.startswith("pass"):
            self.counts[key]["listed"] += 1
            what = " ".join(kind)
            self.listed[signer, what, "; ".join(filter(None, (SELF, OWN.get((signer, what)))))] += 1
            return
        self.counts[key]["differ"] += 1
        self.wrong.append((key, message, got, want))

    def show(self):
        columns = ("agree", "listed", "differ", "not made")
        print(f"{'signed by':<10}{'judged by':<10}{'what':<15}{'algorithm':<10}{'form':<16}"
              + "".join(f"{c:>9}" for c in columns))
        total = collections.Counter()
        for key, counts in self.counts.items():
            signer, judge, what, algorithm, form = key
            print(f"{signer:<10}{judge:<10}{what:<15}{algorithm:<10}{form:<16}" + "".join(f"{counts[c]:>9}" for c in columns))
            total.update(counts)
        print(f"{'all':<61}" + "".join(f"{total[c]:>9}" for c in columns))
        for (judge, message, why), count in sorted(self.listed.items()):
            print(f"listed: {judge}, {message}, {count} times: {why}")
        for key, message, got, want in self.wrong:
            print(f"differs: {' '.join(key)}: {message}: {got}, expected {want}")


def changed(message):
    """The same message with one octet of its text changed, or with text where there was none."""
    header, blank, body = message.partition(b"\r\n\r\n")
    for i, c in enumerate(body):
        if c > 32:
            return header + blank + body[:i] + (b"X" if c != 0x58 else b"Y") + body[i + 1:]
    return header + (blank or b"\r\n") + body + b"more\r\n"


def judge_dkim(pool, messages, martlet, judges, table):
    for algorithm in ALGORITHMS:
        for form in FORMS:
            signed = dict(zip(messages, pool.map(lambda m: martlet.sign(m, algorithm, form), messages.values())))
            for judge in [martlet] + judges:
                if algorithm not in judge.algorithms:
                    continue
                for name, got in zip(signed, pool.map(judge.verify, signed.values())):
                    table.note("martlet", judge.name, ("dkim", algorithm, form), name, got)
                broken = {n: changed(m) for n, m in signed.items()}
                for name, got in zip(broken, pool.map(judge.verify, broken.values())):
                    table.note("martlet", judge.name, ("dkim, changed", algorithm, form), name, got, "fail")
    for judge in judges:
        for algorithm in judge.algorithms:
            for form in judge.forms:
                def both(message):
                    signed = judge.sign(message, algorithm, form)
                    if signed is None:
                        return None, None, None
                    good = martlet.verify(signed)
                    own = judge.verify(signed) if good != "pass" else None
                    return good, martlet.verify(changed(signed)), own
                for name, (good, bad, own) in zip(messages, pool.map(both, messages.values())):
                    table.note(judge.name, "martlet", ("dkim", algorithm, form), name, good, own=own)
                    table.note(judge.name, "martlet", ("dkim, changed", algorithm, form), name, bad, "fail")


def hops(sealer, others, message, algorithm, count):
    """A chain of `count` sets; after the first hop a list adds a line, which only the later sets cover,
    unless the sealer judges the chain itself and would find it broken."""
    for hop in range(1, count + 1):
        if hop == 2 and sealer.tells_status:
            message += (b"" if message.endswith(b"\r\n") else b"\r\n") + b"-- \r\nadded by a list\r\n"
        one = algorithm if algorithm in ALGORITHMS else ALGORITHMS[hop % 2]
        message = sealer.seal(message, one, f"mx{hop}.example", "none" if hop == 1 else "pass")
        if message is None:
            return None
    return message


def judge_arc(pool, messages, martlet, judges, table):
    messages = {n: m for n, m in messages.items() if b"\r\n\r\n" in m}
    for algorithm in ALGORITHMS + ["both"]:
        for count in (1, 2, 3):
            sealed = dict(zip(messages, pool.map(lambda m: hops(martlet, judges, m, algorithm, count), messages.values())))
            for judge in [martlet] + judges:
                for name, got in zip(sealed, pool.map(judge.validate, sealed.values())):
                    table.note("martlet", judge.name, ("arc", algorithm, f"{count} hops"), name, got)
                broken = {n: changed(m) for n, m in sealed.items()}
                for name, got in zip(broken, pool.map(judge.validate, broken.values())):
                    table.note("martlet", judge.name, ("arc, changed", algorithm, f"{count} hops"), name, got, "fail")
    for judge in judges:
        for count in (1, 2, 3):
            def both(message):
                sealed = hops(judge, judges, message, "rsa", count)
                if sealed is None:
                    return None, None, None
                good = martlet.validate(sealed)
                own = judge.validate(sealed) if good != "pass" else None
                return good, martlet.validate(changed(sealed)), own
            for name, (good, bad, own) in zip(messages, pool.map(both, messages.values())):
                table.note(judge.name, "martlet", ("arc", "rsa", f"{count} hops"), name, good, own=own)
                table.note(judge.name, "martlet", ("arc, changed", "rsa", f"{count} hops"), name, bad, "fail")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=".build/release", help="where martlet lies")
    p.add_argument("--messages", action="append", default=[], metavar="DIR", help="more messages: every .eml below DIR")
    p.add_argument("--only", choices=["dkim", "arc"])
    p.add_argument("--first", type=int, help="no more than so many messages")
    p.add_argument("--keep", action="store_true", help="keep the working directory")
    p.add_argument("--jobs", type=int, default=2)
    o = p.parse_args()
    messages = corpus() | more_messages(o.messages)
    messages = dict(list(messages.items())[:o.first])
    lab = Lab(o)
    try:
        martlet, dkimpy, opendkim, rspamd = (c(lab) for c in (Martlet, DKIMPy, OpenDKIM, Rspamd))
        table = Table(messages)
        print(f"{len(messages)} messages", flush=True)
        with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
            if o.only != "arc":
                judge_dkim(pool, messages, martlet, [dkimpy, opendkim, rspamd], table)
            if o.only != "dkim":
                judge_arc(pool, messages, martlet, [dkimpy, rspamd], table)
        table.show()
        return 1 if table.wrong else 0
    finally:
        lab.close()


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Good and bad senders against a running server: replies, Authentication-Results, folders, `explain` and `policy replay`.

    tools/authlab.py [--bin .build/release] [--keep] [--show]

Starts a name server of its own with the zone below, `martlet serve` with every check on, and sends each message of CASES
with swaks from the client's address in 127.0.0.0/8. Exits with 1 when anything is not as the case says. Needs swaks.
"""
import argparse, json, os, re, shutil, socket, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakedns

HOST = "mx.lab.example"
ID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{13}\b")
# What each receiving domain does differently.
RECEIVERS = {
    "in.example": [],
    "lenient.example": ["dmarc_enforce=false"],
    "patient.example": ["dmarc_temperror=accept"],
    "arc.example": ["trusted_arc_sealers=trusted.example"],
    "spf.example": ["spf_fail=reject"],
    "from.example": ["broken_from=quarantine"],
}
SENDERS = {"pass.example": "reject", "none.example": "none", "quar.example": "quarantine", "reject.example": "reject"}
GOOD, LIST, STRANGE, BAD = "127.0.0.21", "127.0.0.22", "127.0.0.23", "127.0.0.66"


def zone(key):
    """`key`: text of the signing key's record, which every domain shares."""
    spf = f"v=spf1 ip4:{GOOD} -all"
    names = {
        "mail.pass.example": {"A": [GOOD]}, "21.0.0.127.in-addr.arpa": {"PTR": ["mail.pass.example"]},
        "lists.trusted.example": {"A": [LIST]}, "22.0.0.127.in-addr.arpa": {"PTR": ["lists.trusted.example"]},
        "23.0.0.127.in-addr.arpa": {"PTR": ["elsewhere.example"]}, "elsewhere.example": {"A": ["127.0.0.99"]},
        "trusted.example": {"TXT": [f"v=spf1 ip4:{LIST} -all"]}, "unknown.example": {"TXT": [f"v=spf1 ip4:{STRANGE} -all"]},
        "nodmarc.example": {"TXT": [spf]},
        "temp.example": {"TXT": [spf]}, "_dmarc.temp.example": "SERVFAIL",
        "keytemp.example": {"TXT": [spf]}, "_dmarc.keytemp.example": {"TXT": ["v=DMARC1; p=reject"]},
        "lab._domainkey.keytemp.example": "SERVFAIL",
        "spftemp.example": "SERVFAIL",
    }
    for name, policy in SENDERS.items():
        names[name] = {"TXT": [spf], "MX": ["10 mail.pass.example"], "A": [GOOD]}
        names[f"_dmarc.{name}"] = {"TXT": [f"v=DMARC1; p={policy}"]}
    for name in (*SENDERS, "trusted.example", "unknown.example"):
        names[f"lab._domainkey.{name}"] = {"TXT": [key]}
    return names


class Case:
    """One message and everything that has to come of it."""
    all = []

    def __init__(self, name, client, sender, to, message, code, folder=None, reply="", results=(), not_results=(),
                 explain=(), rule="", replay=None):
        self.name, self.client, self.sender, self.message = name, client, sender, message
        self.to = to if isinstance(to, list) else [to]
        self.code, self.folder, self.reply = code, folder, reply
        self.results, self.not_results, self.explain, self.rule = results, not_results, explain, rule
        # What becomes of it when one setting of its receiving domain changes: {setting: action}.
        self.replay = replay or {}
        self.id = None
        Case.all.append(self)


def text(author, subject, more=(), body="Hello,\r\n\r\nthis is a test.\r\n"):
    lines = [f"From: {author}", "To: user@in.example", f"Subject: {subject}", "Date: Mon, 23 Nov 2026 06:00:00 +0000",
             f"Message-ID: <{subject.replace(' ', '-')}@lab.example>", *more]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def cases(sign, seal):
    Case("pass", GOOD, "a@pass.example", "user@in.example", sign("pass.example", text("a@pass.example", "pass")),
         250, "Inbox", results=["spf=pass", "dkim=pass", "header.d=pass.example", "dmarc=pass", "iprev=pass"],
         explain=["SPF", "DKIM", "DMARC", f"ip4:{GOOD}", "pass.example"], rule="dmarc_pass")
    Case("pass by SPF only", GOOD, "a@reject.example", "user@in.example", text("a@reject.example", "spf only"),
         250, "Inbox", results=["spf=pass", "dkim=none", "dmarc=pass"],
         explain=["dkim", "no signature"], rule="dmarc_pass")
    Case("SPF fail, DKIM aligned", BAD, "a@reject.example", "user@in.example",
         sign("reject.example", text("a@reject.example", "forwarded")), 250, "Inbox",
         results=["spf=fail", "dkim=pass", "dmarc=pass"], explain=["-all", "v=spf1", BAD], rule="dmarc_pass")
    both = ["spf=fail", "dmarc=fail"]
    Case("both fail, p=none", BAD, "a@none.example", "user@in.example", text("a@none.example", "both fail none"),
         250, "Inbox", results=both + ["dkim=none"], explain=["v=DMARC1; p=none", "-all"], rule="dmarc_policy",
         replay={"spf_fail=reject": "reject", "spf_fail=quarantine": "quarantine"})
    Case("both fail, p=quarantine", BAD, "a@quar.example", "user@in.example", text("a@quar.example", "both fail quarantine"),
         250, "Junk", results=both, explain=["v=DMARC1; p=quarantine", "-all"], rule="dmarc_policy",
         replay={"spf_fail=reject": "reject", "dmarc_enforce=false": "accept", "dmarc_exempt=quar.example": "accept"})
    Case("both fail, p=reject", BAD, "a@reject.example", "user@in.example", text("a@reject.example", "both fail reject"),
         550, reply=r"5\.7\.1 .*DMARC policy of reject\.example", explain=["v=DMARC1; p=reject", "-all"],
         rule="dmarc_policy", replay={"dmarc_enforce=false": "accept"})
    Case("both fail, p=reject, receiver does not enforce", BAD, "a@reject.example", "user@lenient.example",
         text("a@reject.example", "not enforced"), 250, "Inbox", results=both, explain=["dmarc_enforce=false"],
         rule="dmarc_policy", replay={"spf_fail=reject": "reject", "spf_fail=quarantine": "quarantine"})
    Case("SPF fail without DMARC, refused by the receiver", BAD, "a@nodmarc.example", "user@spf.example",
         text("a@nodmarc.example", "spf refusal"), 550, reply=r"5\.7\.23 .*nodmarc\.example", explain=["spf_fail", "-all"],
         rule="spf_fail", replay={"spf_fail=quarantine": "quarantine"})
    Case("SPF fail without DMARC", BAD, "a@nodmarc.example", "user@in.example", text("a@nodmarc.example", "spf fail"),
         250, "Inbox", results=["spf=fail", "dmarc=none"], explain=["-all"], rule="no_objection",
         replay={"spf_fail=reject": "reject", "spf_fail=quarantine": "quarantine"})
    Case("temperror of the DMARC record", BAD, "a@temp.example", "user@in.example", text("a@temp.example", "dmarc temperror"),
         451, reply=r"4\.4\.3 .*temp\.example", explain=["_dmarc.temp.example", "SERVFAIL|server failure|temperror"],
         rule="dmarc_temperror", replay={"dmarc_temperror=accept": "accept", "dmarc_enforce=false": "accept",
                                         "dmarc_exempt=temp.example": "accept",
                                         "spf_fail=reject": "reject"})
    Case("temperror of the DMARC record, receiver takes it", BAD, "a@temp.example", "user@patient.example",
         text("a@temp.example", "dmarc temperror taken"), 250, "Inbox", results=["spf=fail", "dmarc=temperror"],
         explain=["_dmarc.temp.example"], rule="no_objection",
         replay={"spf_fail=reject": "reject", "spf_fail=quarantine": "quarantine", "dmarc_temperror=defer": "defer"})
    Case("temperror of the key", BAD, "a@keytemp.example", "user@in.example",
         sign("keytemp.example", text("a@keytemp.example", "key temperror")), 451, reply=r"4\.4\.3 .*keytemp\.example",
         explain=["lab._domainkey.keytemp.example", "v=DMARC1; p=reject"], rule="dmarc_temperror",
         replay={"dmarc_temperror=accept": "accept", "dmarc_enforce=false": "accept",
                 "spf_fail=reject": "reject"})
    Case("temperror of SPF, no DMARC", BAD, "a@spftemp.example", "user@in.example", text("a@spftemp.example", "spf temperror"),
         250, "Inbox", results=["spf=temperror"], explain=["spftemp.example"], rule="no_objection",
         replay={"spf_fail=reject": "defer"})
    forged = (f"Authentication-Results: {HOST}; spf=pass smtp.mailfrom=pass.example; dmarc=pass header.from=pass.example",
              f"Authentication-Results: {HOST.upper()} 1;\r\n\tdkim=pass header.d=forged.example",
              "Authentication-Results: other.example; dkim=pass header.d=kept.example")
    Case("forged Authentication-Results", BAD, "a@none.example", "user@in.example", text("a@none.example", "forged", forged),
         250, "Inbox", results=both + ["other.example; dkim=pass header.d=kept.example"],
         not_results=["forged.example", "spf=pass", "dmarc=pass"], explain=["-all"], rule="dmarc_policy",
         replay={"spf_fail=reject": "reject", "spf_fail=quarantine": "quarantine"})
    two = text("a@pass.example", "two from", ["From: b@reject.example"])
    Case("two From fields", GOOD, "a@pass.example", "user@in.example", two, 550, reply=r"5\.7\.1 .*From",
         explain=["From"], rule="broken_from", replay={"broken_from=quarantine": "quarantine"})
    Case("two From fields, quarantined", GOOD, "a@pass.example", "user@from.example", two, 250, "Junk",
         results=["dmarc=permerror"], explain=["From"], rule="broken_from", replay={"broken_from=reject": "reject"})
    broken = sign("reject.example", text("a@reject.example", "broken dkim")).replace(b"this is a test", b"this was a test")
    Case("broken DKIM", BAD, "a@reject.example", "user@in.example", broken, 550, reply=r"5\.7\.1 .*reject\.example",
         explain=["body", "lab._domainkey.reject.example", "-all"], rule="dmarc_policy",
         replay={"dmarc_enforce=false": "accept"})
    broken = sign("none.example", text("a@none.example", "broken dkim none")).replace(b"this is a test", b"this was a test")
    Case("broken DKIM, p=none", BAD, "a@none.example", "user@in.example", broken, 250, "Inbox",
         results=["dkim=fail", "dmarc=fail"], explain=["body"], rule="dmarc_policy",
         replay={"spf_fail=reject": "reject", "spf_fail=quarantine": "quarantine"})
    for sealer, client, trusted in (("trusted.example", LIST, True), ("unknown.example", STRANGE, False)):
        original = sign("reject.example", text("a@reject.example", f"arc of {sealer}"))
        sealed = seal(sealer, original + b"-- \r\nadded by a list\r\n")
        common = dict(client=client, sender=f"list@{sealer}", message=sealed)
        if trusted:
            Case("ARC of a trusted sealer", to="user@arc.example", code=250, folder="Inbox",
                 results=["arc=pass", "dkim=fail", "dmarc=fail", "spf=pass"], explain=["arc", sealer],
                 rule="dmarc_policy", replay={"trusted_arc_sealers=none": "reject",
                                              "trusted_arc_sealers=unknown.example": "reject"}, **common)
            Case("ARC of a sealer trusted elsewhere", to="user@in.example", code=550, reply=r"5\.7\.1 ",
                 explain=["arc", sealer], rule="dmarc_policy",
                 replay={"trusted_arc_sealers=trusted.example": "accept", "dmarc_enforce=false": "accept"}, **common)
        else:
            Case("ARC of an unknown sealer", to="user@arc.example", code=550, reply=r"5\.7\.1 .*reject\.example",
                 explain=["arc", sealer], rule="dmarc_policy",
                 replay={"trusted_arc_sealers=unknown.example": "accept", "dmarc_enforce=false": "accept"}, **common)
    Case("two receiving domains, one enforces", BAD, "a@reject.example", ["user@in.example", "user@lenient.example"],
         text("a@reject.example", "two receivers"), 250, {"user@in.example": "Junk", "user@lenient.example": "Inbox"},
         results=both, explain=["in.example", "lenient.example"],
         replay={"spf_fail=reject": "reject", "dmarc_enforce=false": "accept", "spf_fail=quarantine": "quarantine"})
    return Case.all


class Lab:
    def __init__(self, options):
        self.options = options
        self.martlet = os.path.join(options.bin, "martlet")
        self.folder = tempfile.mkdtemp(prefix="martlet-authlab-")
        key = json.loads(self.run("dkim", "generate", "--type", "rsa", "--json", "--selector", "lab", "lab.example"))
        self.key = self.write("key.pem", key["private_key"].encode())
        self.zone = self.write("zone.json", json.dumps(zone(key["record"])).encode())
        self.dns = subprocess.Popen([sys.executable, fakedns.__file__, "--zone", self.zone, "--port", "0"],
                                    stdout=subprocess.PIPE, text=True)
        self.dns_address = self.dns.stdout.readline().strip()
        self.port = free_port()
        self.metrics = free_port()
        self.config = self.write("config.json", json.dumps({
            "server": {"hostname": HOST},
            "smtp": {"listeners": [{"address": f"127.0.0.1:{self.port}", "kind": "mx", "tls": "starttls"}]},
            "dns": {"forward": [self.dns_address], "trust_anchor_file": "/dev/null"},
            "auth": {"enabled": True},
            "store": {"path": os.path.join(self.folder, "data"), "min_free_bytes": 1 << 20},
            "metrics": {"listen": f"127.0.0.1:{self.metrics}"}}).encode())
        for domain, settings in RECEIVERS.items():
            self.cli("domain", "add", domain)
            if settings:
                self.cli("domain", "set", domain, *settings)
            self.cli("account", "add", f"user@{domain}", "--password-stdin", data=b"a password of the lab\n")
        self.log = os.path.join(self.folder, "log")
        self.server = None

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def run(self, *arguments, data=b"", check=True):
        r = subprocess.run([self.martlet, *arguments], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and r.returncode:
            raise SystemExit(f"martlet {' '.join(arguments)}: {r.returncode}: {r.stderr.decode()}")
        return r.stdout if check else r

    def cli(self, *arguments, data=b"", check=True):
        return self.run(*arguments, "--config", self.config, data=data, check=check)

    def start(self):
        log = open(self.log, "ab")
        self.server = subprocess.Popen([self.martlet, "serve", "--config", self.config], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while b" ready " not in open(self.log, "rb").read():
            if self.server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the server did not start: " + open(self.log).read()[-2000:])
            time.sleep(0.05)

    def sign(self, domain, message):
        return self.run("dkim", "sign", "--domain", domain, "--selector", "lab", "--key", self.key, "-", data=message)

    def seal(self, domain, message):
        found = f"Authentication-Results: mx.{domain};\r\n\tarc=none;\r\n\tdkim=pass header.d=reject.example;\r\n" \
                "\tdmarc=pass header.from=reject.example\r\n"
        return self.run("arc", "seal", "--domain", domain, "--selector", "lab", "--key", self.key, "--authserv-id",
                        f"mx.{domain}", "--message", "-", data=found.encode() + message)

    def send(self, case):
        """(code, text of the reply to the final dot or to what was refused before it)."""
        data = self.write("message.eml", case.message)
        r = subprocess.run(
            ["swaks", "--server", f"127.0.0.1:{self.port}", "--local-interface", case.client, "--helo",
             "client.example", "--from", case.sender, "--to", ",".join(case.to), "--data", f"@{data}", "--suppress-data"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        answers, current = [], []
        for line in r.stdout.splitlines():
            m = re.match(r"<(?:-|~|\*\*)+\s+(\d{3})([ -])(.*)", line)
            if m:
                current.append(m[3])
                if m[2] == " ":
                    answers.append((int(m[1]), "\n".join(current)))
                    current = []
        answers = [a for a in answers if a[0] != 221]
        return answers[-1] if answers else (0, r.stdout)

    def close(self):
        for process in (self.server, self.dns):
            if process and process.poll() is None:
                process.terminate()
                process.wait(40)
        if self.options.keep:
            print(f"kept {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Findings:
    def __init__(self):
        self.count, self.wrong = 0, []

    def expect(self, condition, case, what):
        self.count += 1
        if not condition:
            self.wrong.append(f"{case}: {what}")


def own_results(raw):
    header = re.sub(r"\r\n[ \t]+", " ", raw.split(b"\r\n\r\n", 1)[0].decode(errors="replace"))
    fields = [l for l in header.split("\r\n") if l.lower().startswith("authentication-results:")]
    return fields, [f for f in fields if re.match(rf"authentication-results:\s*{re.escape(HOST)}\b", f, re.I)]


def check_delivery(lab, case, found):
    code, reply = lab.send(case)
    ids = ID.findall(reply)
    case.id = ids[-1] if ids else None
    found.expect(code == case.code, case.name, f"reply {code}, expected {case.code}: {reply}")
    found.expect(case.id, case.name, f"no id in the reply: {reply}")
    found.expect(re.search(case.reply, reply), case.name, f"reply {reply!r} lacks {case.reply!r}")
    if not case.folder or not case.id:
        return f"{code} {reply}"
    for address in case.to:
        folder = case.folder if isinstance(case.folder, str) else case.folder[address]
        for place in ("Inbox", "Junk"):
            listed = json.loads(lab.cli("mailbox", "list", address, "--folder", place, "--json") or b"[]")
            there = any(m["id"] == case.id for m in listed)
            found.expect(there == (place == folder), case.name,
                         f"{case.id} is{'' if there else ' not'} in {place} of {address}, expected in {folder}")
        raw = lab.cli("mailbox", "read", address, case.id, "--raw")
        fields, own = own_results(raw)
        found.expect(len(own) == 1, case.name, f"{len(own)} Authentication-Results of ours: {own}")
        found.expect(fields and fields[0] in own, case.name, "ours is not the first")
        every = "\n".join(fields)
        for word in case.results:
            found.expect(re.search(rf"(^|[\s;]){re.escape(word)}", every), case.name, f"{word} is not in {every}")
        for word in case.not_results:
            found.expect(not re.search(rf"(^|[\s;=]){re.escape(word)}", every), case.name, f"{word} is in {every}")
    return f"{code} {reply}"


def check_explain(lab, case, found, show):
    if not case.id:
        return
    start = time.monotonic()
    r = lab.cli("explain", case.id, check=False)
    elapsed = time.monotonic() - start
    out = r.stdout.decode(errors="replace")
    found.expect(r.returncode == 0, case.name, f"explain {case.id}: {r.returncode} {r.stderr.decode()}")
    if r.returncode:
        return
    for word in case.explain:
        found.expect(re.search(word.replace(".", r"\."), out, re.I), case.name, f"explain says nothing of {word}")
    if case.rule:
        flat = out.replace("_", " ")
        found.expect(case.rule in out or case.rule.replace("_", " ") in flat, case.name, f"explain lacks the rule {case.rule}")
    unhappy = case.code != 250 or case.folder == "Junk" or any("fail" in r or "temperror" in r for r in case.results)
    if unhappy:
        found.expect(re.search(r"\bfix\b|would help|to change|what would", out, re.I), case.name, "explain names no fix")
    details = lab.cli("explain", case.id, "--json", check=False)
    try:
        found.expect(case.id in json.dumps(json.loads(details.stdout)), case.name, "explain --json lacks the id")
    except ValueError:
        found.expect(False, case.name, f"explain --json is no JSON: {details.stdout[:100]!r}")
    if show:
        print(f"--- explain {case.id} ({case.name}), {elapsed * 1000:.0f} ms\n{out}")


def check_replay(lab, cases, found):
    settings = sorted({s for c in cases for s in c.replay})
    for setting in settings:
        r = lab.cli("policy", "replay", "--set", setting, "--since", "1h", check=False)
        out = r.stdout.decode(errors="replace")
        found.expect(r.returncode == 0, f"replay {setting}", f"{r.returncode} {r.stderr.decode()}")
        if r.returncode:
            continue
        got = {i for i in ID.findall(out)}
        want = {c.id: c for c in cases if setting in c.replay}
        names = {c.id: c.name for c in cases}
        found.expect(got == set(want), f"replay {setting}",
                     f"too many: {[names.get(i, i) for i in got - set(want)]}, "
                     f"missing: {[names.get(i, i) for i in set(want) - got]}")
        for line in out.splitlines():
            for i in ID.findall(line):
                if i in want:
                    action = want[i].replay[setting]
                    found.expect(action in line, f"replay {setting}", f"{want[i].name}: {action} is not in {line!r}")
        print(f"policy replay --set {setting}: {len(got)} of {len(cases)} would change")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--keep", action="store_true", help="keep the working directory")
    p.add_argument("--show", action="store_true", help="print every explanation")
    p.add_argument("--without", default="", help="explain and replay, parted by a comma, to leave them out")
    o = p.parse_args()
    if not shutil.which("swaks"):
        raise SystemExit("needs swaks")
    lab, found = Lab(o), Findings()
    try:
        lab.start()
        every = cases(lab.sign, lab.seal)
        for case in every:
            reply = check_delivery(lab, case, found)
            print(f"{case.name:<52} {case.id or '-':<14} {reply.splitlines()[0] if reply else ''}", flush=True)
        if "explain" not in o.without:
            for case in every:
                check_explain(lab, case, found, o.show)
        if "replay" not in o.without:
            check_replay(lab, every, found)
        for line in found.wrong:
            print("WRONG " + line)
        print(f"{len(every)} messages, {found.count} expectations, {len(found.wrong)} not met")
        return 1 if found.wrong else 0
    finally:
        lab.close()


if __name__ == "__main__":
    sys.exit(main())

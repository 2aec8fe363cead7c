#!/usr/bin/env python3
"""Delivery status notifications of a running server, read with Python's email package field by field and judged by
dsn_check.py; and rows of a killed server taken up again.

    tools/reports.py --bin .build/release [--conformance DIR] [--keep]

A message goes in for each case; the peers are scripted by the recipient's name. Takes a minute and a half: a message must
grow older than `delivery.max_age`, which is a minute at least. Loopback only; ends only what it started.
"""
import argparse, email, email.policy, json, os, re, shutil, smtplib, subprocess, sys, tempfile, threading, time
from email.utils import parsedate_to_datetime

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakedns
from relay_lab import Server, free_port
from smtp_sink import ALL, SMTPSink

HERE = "here.test"
HOST = f"mx.{HERE}"
BODY = "Only the whole message has this line."
DATE = object()
REPLIES = {
    "fail": "550 5.1.1 no such\tuser; go away", "delay": "451 4.7.1 come back later", "ok": None,
    "basic": "550 no code here", "multi": "550-5.2.1 first line\r\n550 5.2.1 second line",
    "full": "552 5.2.2 mailbox full", "expire": "450 4.2.1 never today", "grün": "550 5.1.1 unbekannt",
}


def answer(address, command):
    local = address.decode().rsplit("@", 1)[0]
    return REPLIES.get(local.split("+")[0])


class Case:
    """`want`: per report its fields; None: nothing may come."""

    def __init__(self, name, recipients, action=None, sender=f"u0@{HERE}", mail="", group=None, returned="headers",
                 envid=None, utf8=False, reader=None, kind="rfc822", told=None):
        self.name, self.recipients, self.action, self.sender, self.mail = name, recipients, action, sender, mail
        self.group, self.returned, self.envid, self.utf8, self.kind = group or {}, returned, envid, utf8, kind
        self.reader = reader or sender
        self.told = told or [r for r in recipients if action == "relayed" or not r[0].startswith("ok@")]


def cases(sinks):
    dsn, plain = "dsn.test", "plain.test"
    remote = "dns; 127.0.0.1"
    failed = {"Action": "failed", "Status": "5.1.1", "Remote-MTA": remote, "Last-Attempt-Date": DATE,
              "Diagnostic-Code": "smtp; 550 5.1.1 no such user; go away", "Will-Retry-Until": None}
    return [
        Case("failed", [(f"fail@{dsn}", "NOTIFY=FAILURE ORCPT=rfc822;Bob+2Btag@orig.test")], "failed",
             mail="RET=FULL ENVID=QQ+2B314+3D159", envid="QQ+314=159", returned="whole",
             group={**failed, "Original-Recipient": "rfc822;Bob+tag@orig.test", "Final-Recipient": f"rfc822; fail@{dsn}"}),
        Case("failed-hdrs", [(f"fail@{dsn}", "NOTIFY=FAILURE,SUCCESS,DELAY")], "failed", mail="RET=HDRS ENVID=e1",
             envid="e1", group={**failed, "Original-Recipient": None}),
        Case("failed-default", [(f"fail@{plain}", "")], "failed", group=failed, returned="whole"),
        Case("failed-no-code", [(f"basic@{plain}", "")], "failed", returned="whole",
             group={**failed, "Status": r"5\.\d\.\d", "Diagnostic-Code": "smtp; 550 no code here"}),
        Case("failed-two-lines", [(f"multi@{plain}", "")], "failed", returned="whole",
             group={**failed, "Status": "5.2.1", "Diagnostic-Code": r"smtp; 550-5\.2\.1 first line\s+550 5\.2\.1 second line"}),
        Case("failed-two", [(f"fail+a@{dsn}", "ORCPT=rfc822;a@o.test"), (f"fail+b@{dsn}", "ORCPT=rfc822;b@o.test"),
                            (f"ok@{dsn}", "")], "failed", returned="whole", group=failed),
        Case("failed-utf8", [(f"grün@{dsn}", "NOTIFY=FAILURE ORCPT=utf-8;gr\\x{FC}n@orig.test")], "failed", utf8=True,
             mail="RET=FULL", returned="whole", kind="global",
             group={**failed, "Diagnostic-Code": "smtp; 550 5.1.1 unbekannt", "Original-Recipient": "utf-8; ?grün@orig.test",
                    "Final-Recipient": f"utf-8; ?grün@{dsn}"}),
        Case("delayed", [(f"delay@{dsn}", "NOTIFY=DELAY ORCPT=rfc822;d@orig.test")], "delayed", mail="RET=FULL ENVID=e2",
             envid="e2", group={"Action": "delayed", "Status": "4.7.1", "Remote-MTA": remote,
                                "Diagnostic-Code": "smtp; 451 4.7.1 come back later",
                                "Original-Recipient": "rfc822; ?d@orig.test", "Last-Attempt-Date": DATE,
                                "Will-Retry-Until": DATE}),
        Case("delayed-closed", [("x@closed.test", "NOTIFY=DELAY")], "delayed", group={
            "Action": "delayed", "Status": r"4\.4\.\d", "Will-Retry-Until": DATE}),
        Case("expired", [(f"expire@{dsn}", "NOTIFY=FAILURE ORCPT=rfc822;e@orig.test")], "failed", mail="ENVID=e3",
             envid="e3", returned="whole",
             group={"Action": "failed", "Status": r"[45]\.\d\.\d", "Original-Recipient": "rfc822; ?e@orig.test",
                    "Diagnostic-Code": "smtp; 450 4.2.1 never today", "Remote-MTA": remote, "Will-Retry-Until": None}),
        Case("expired-closed", [("y@closed.test", "NOTIFY=FAILURE")], "failed", returned="whole",
             group={"Action": "failed", "Status": r"[45]\.4\.\d", "Will-Retry-Until": None}),
        Case("delivered", [(f"u1@{HERE}", "NOTIFY=SUCCESS ORCPT=rfc822;One@orig.test")], "delivered",
             mail="RET=FULL ENVID=e4", envid="e4",
             group={"Action": "delivered", "Status": "2.0.0", "Original-Recipient": "rfc822; ?One@orig.test",
                    "Final-Recipient": f"rfc822; u1@{HERE}", "Remote-MTA": None, "Will-Retry-Until": None}),
        Case("delivered-remote", [(f"u1@{HERE}", "NOTIFY=SUCCESS,FAILURE")], "delivered", sender="ext+d@dsn.test",
             mail="ENVID=e6", envid="e6", group={"Action": "delivered", "Status": "2.0.0"}),
        Case("relayed", [(f"ok@{plain}", "NOTIFY=SUCCESS ORCPT=rfc822;r@orig.test")], "relayed", mail="RET=FULL ENVID=e5",
             envid="e5", group={"Action": "relayed", "Status": "2.0.0", "Remote-MTA": remote,
                                "Original-Recipient": "rfc822; ?r@orig.test", "Will-Retry-Until": None}),
        Case("alias-elsewhere", [(f"list@{HERE}", "NOTIFY=SUCCESS")], "relayed", told=[(f"ok+1@{plain}", "")],
             group={"Action": "relayed", "Status": "2.0.0"}),
        Case("alias-here-too", [(f"both@{HERE}", "NOTIFY=SUCCESS")], "delivered",
             group={"Action": "delivered", "Status": "2.0.0"}),
        Case("passed-on", [(f"ok@{dsn}", "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;p+2Bq@orig.test")],
             mail="RET=HDRS ENVID=QQ+2B1"),
        Case("remote-sender", [(f"fail@{plain}", "NOTIFY=FAILURE")], "failed", sender="ext@dsn.test", mail="ENVID=e7",
             envid="e7", group=failed, returned="whole"),
        Case("report-refused", [(f"fail@{plain}", "")], sender="fail@dsn.test"),
        Case("never", [(f"fail@{dsn}", "NOTIFY=NEVER")]),
        Case("never-local", [(f"u1@{HERE}", "NOTIFY=NEVER")]),
        Case("only-success", [(f"fail@{dsn}", "NOTIFY=SUCCESS")]),
        Case("only-failure", [(f"ok@{plain}", "NOTIFY=FAILURE,DELAY")]),
        Case("no-notify", [(f"ok@{plain}", ""), (f"u1@{HERE}", "")]),
        Case("null-sender", [(f"fail@{dsn}", "NOTIFY=FAILURE"), (f"u1@{HERE}", "NOTIFY=SUCCESS")], sender=""),
    ]



def submit(port, case):
    with smtplib.SMTP("127.0.0.1", port, "client.test", 30) as c:
        c.ehlo()
        if case.utf8:
            c.command_encoding = "utf-8"
        text = (f"From: <{case.sender or 'daemon@here.test'}>\r\nTo: <x@there.test>\r\nSubject: {case.name}\r\n"
                f"Date: Mon, 23 Nov 2026 05:00:00 +0000\r\nMessage-ID: <{case.name}@case.test>\r\nX-Case: {case.name}\r\n"
                + (f"X-Utf: grün\r\n" if case.utf8 else "") + f"\r\n{BODY}\r\n")
        code, words = c.docmd(f"MAIL FROM:<{case.sender}> {case.mail}{' SMTPUTF8 BODY=8BITMIME' * case.utf8}".rstrip())
        assert code == 250, (case.name, code, words)
        for address, options in case.recipients:
            code, words = c.docmd(f"RCPT TO:<{address}> {options}".rstrip())
            assert code in (250, 251), (case.name, code, words)
        c.command_encoding = "ascii"
        code, words = c.data(text.encode())
        assert code == 250, (case.name, code, words)


def unfold(value):
    return re.sub(r"\r?\n[ \t]", " ", str(value))


class Checker:
    """One report against its case; `wrong` lists what is."""

    def __init__(self, raw, case):
        self.case, self.wrong = case, []
        self.message = email.message_from_bytes(raw, policy=email.policy.default.clone(utf8=True))
        for part in self.message.walk():
            self.expect(not part.defects, f"defects of {part.get_content_type()}: {part.defects}")
        self.head(raw)
        if self.message.get_content_type() == "multipart/report":
            self.parts = self.message.get_payload()
            self.status()
            self.original()

    def expect(self, truth, words):
        if not truth:
            self.wrong.append(words)

    def head(self, raw):
        m = self.message
        self.expect(m.get_content_type() == "multipart/report", f"type {m.get_content_type()}")
        self.expect(m.get_param("report-type") == "delivery-status", "report-type")
        self.expect(m["MIME-Version"] == "1.0", "MIME-Version")
        self.expect(str(m["To"]).strip("<>") == self.case.reader, f"To {m['To']}")
        self.expect(HOST in str(m["From"]), f"From {m['From']}")
        self.expect(str(m["Auto-Submitted"]).startswith("auto-"), "Auto-Submitted")
        for name in ("Subject", "Message-ID"):
            self.expect(m[name], "no " + name)
        self.expect(m["Date"] and m["Date"].datetime, "Date")

    def status(self):
        self.expect(len(self.parts) == 3, f"{len(self.parts)} parts")
        text, status = self.parts[0], self.parts[1]
        self.expect(text.get_content_type() == "text/plain", "part 1 " + text.get_content_type())
        for address, _ in self.case.told:
            self.expect(address in text.get_content(), f"{address} is not in the text")
        is_global = self.case.kind == "global"
        wanted = "message/global-delivery-status" if is_global else "message/delivery-status"
        self.expect(status.get_content_type() == wanted, "part 2 " + status.get_content_type())
        groups = status.get_payload()
        if is_global and not (isinstance(groups, list) and len(groups) > 1):
            body = status.get_payload(decode=True) or groups[0].as_bytes()
            groups = [email.message_from_bytes(g, policy=email.policy.default) for g in
                      re.split(rb"(?:\r?\n){2,}", body.strip())]
        groups = [g for g in groups if g.keys()]
        fields = {k: unfold(v) for k, v in groups[0].items()}
        self.field(fields, "Reporting-MTA", f"dns; ?{re.escape(HOST)}")
        self.field(fields, "Original-Envelope-Id", self.case.envid and re.escape(self.case.envid))
        self.field(fields, "Arrival-Date", DATE)
        self.field(fields, "Received-From-MTA", r"dns; ?client\.test")
        self.expect(len(groups) - 1 == len(self.case.told), f"{len(groups) - 1} groups for {len(self.case.told)}")
        for group, (address, options) in zip(groups[1:], self.case.told):
            fields = {k: unfold(v) for k, v in group.items()}
            wanted = dict(self.case.group)
            wanted.setdefault("Final-Recipient", f"rfc822; ?{re.escape(address)}")
            if (found := re.search(r"ORCPT=rfc822;(\S+)", options)) and "Original-Recipient" not in wanted:
                wanted["Original-Recipient"] = "rfc822; ?" + re.escape(found[1])
            for name, value in wanted.items():
                self.field(fields, name, value)

    def field(self, fields, name, wanted):
        value = fields.get(name)
        if wanted is None:
            return self.expect(value is None, f"{name}: {value}")
        if wanted is DATE:
            try:
                return self.expect(parsedate_to_datetime(value).tzinfo is not None, f"{name}: {value}")
            except (TypeError, ValueError):
                return self.expect(False, f"{name}: {value}")
        pattern = wanted if "\\" in wanted or "?" in wanted or "[" in wanted else re.escape(wanted).replace(r";\ ", "; ?")
        self.expect(value is not None and re.fullmatch(pattern, value), f"{name}: {value!r}, not {wanted!r}")

    def original(self):
        part = self.parts[2]
        is_global = self.case.kind == "global"
        whole = {"message/rfc822", "message/global"}
        headers = {"text/rfc822-headers", "message/global-headers"}
        wanted = (whole if self.case.returned == "whole" else headers)
        self.expect(part.get_content_type() in wanted and ("global" in part.get_content_type()) == is_global,
                    "part 3 " + part.get_content_type())
        octets = part.as_bytes()
        self.expect(f"X-Case: {self.case.name}".encode() in octets, "the case's field is not in part 3")
        self.expect((BODY.encode() in octets) == (self.case.returned == "whole"), "body in part 3")


class Proof:
    def __init__(self, options, work):
        self.work, self.options, self.bad = work, options, 0
        self.zone = fakedns.Server(fakedns.Zone({}), 0)
        self.dsn = SMTPSink(answer=answer)
        self.plain = SMTPSink([x for x in ALL if x != "DSN"], answer=answer)
        routes = [{"domain": d, "to": "127.0.0.1", "port": p} for d, p in (
            ("dsn.test", self.dsn.port), ("plain.test", self.plain.port), ("closed.test", free_port()))]
        self.server = Server(work, options.bin, routes, {
            "server.hostname": HOST, "delivery.delay_warning": "3s", "delivery.max_age": "1m",
            "dns.forward": [f"127.0.0.1@{self.zone.port}"], "dns.trust_anchor_file": "/dev/null",
        }, retries=("2s", "2s", "2s", "5s"))
        self.server.cli("init", "--no-demo", check=False)
        self.server.start()
        self.server.cli("domain", "add", HERE)
        for name in ("u0", "u1"):
            self.server.cli("account", "add", f"{name}@{HERE}", "--password-stdin", input=b"reports-proof-0\n")

        self.server.cli("alias", "add", f"list@{HERE}", "ok+1@plain.test", "ok+2@plain.test")
        self.server.cli("alias", "add", f"both@{HERE}", f"u1@{HERE}", "ok+3@plain.test")

    def reports(self, case):
        """All of them, wherever they went."""
        mark = f"X-Case: {case.name}\r\n".encode()
        if not case.reader or case.reader.endswith("@" + HERE):
            reader = case.reader or f"u0@{HERE}"
            return [raw for raw in self.mail(reader) if mark in raw and b"multipart/report" in raw]
        return [m.octets for m in list(self.dsn.messages)
                if b"FROM:<>" in m.mail.upper() and mark in m.octets]

    def mail(self, address):
        out = []
        for item in self.server.json("mailbox", "list", address, "--limit", "200") or []:
            if item["id"] not in self.read:
                self.read[item["id"]] = self.server.cli("mailbox", "read", address, item["id"], "--raw").stdout
            out.append(self.read[item["id"]])
        return out

    def judge(self, case):
        raws = self.reports(case)
        if case.action is None:
            return [] if not raws else [f"{len(raws)} reports"], raws
        if len(raws) != 1:
            return [f"{len(raws)} reports"], raws
        wrong = Checker(raws[0], case).wrong
        if case.reader.endswith("@" + HERE) and not raws[0].startswith(b"Return-Path: <>\r\n"):
            wrong.append("Return-Path is not <>")
        return wrong, raws

    def line(self, name, wrong, words=""):
        self.bad += bool(wrong)
        print(f"{name:<17} {'; '.join(wrong) if wrong else 'ok'}{words}", flush=True)

    def run(self):
        self.read = {}
        all = cases(self)
        for case in all:
            submit(self.server.port, case)
        print(f"{len(all)} messages accepted; the oldest must pass delivery.max_age", flush=True)
        end = time.monotonic() + 100
        while time.monotonic() < end and self.server.queued() > 0:
            time.sleep(1)
        time.sleep(1)
        files = []
        for case in all:
            wrong, raws = self.judge(case)
            self.line(case.name, wrong, f", {case.action}" if case.action else ", no report")
            for i, raw in enumerate(raws):
                path = os.path.join(self.work, f"{case.name}-{i}.eml")
                with open(path, "wb") as f:
                    f.write(raw)
                # Its parser of message/global-delivery-status knows one group only; these are read field by field above.
                if case.kind != "global":
                    files.append(path)
        self.passed_on()
        if self.options.conformance:
            done = subprocess.run([sys.executable, os.path.join(self.options.conformance, "tools/dsn_check.py"), *files],
                                  stdout=subprocess.PIPE, text=True)
            bad = [line for line in done.stdout.splitlines() if not line.startswith("ok")]
            self.line("dsn_check.py", bad, f", {len(files)} reports")
        self.stale()
        return 1 if self.bad else 0

    def passed_on(self):
        """A host that speaks DSN is given the parameters as they came, octet by octet."""
        wrong = []
        mine = [m for m in self.dsn.messages if b"X-Case: passed-on\r\n" in m.octets]
        if len(mine) != 1:
            wrong.append(f"{len(mine)} copies")
        for m in mine:
            for word in (b"RET=HDRS", b"ENVID=QQ+2B1"):
                if word not in m.mail.split():
                    wrong.append(f"{word.decode()} not in {m.mail.decode()}")
            words = m.recipients[0].split()
            notify = next((w for w in words if w.startswith(b"NOTIFY=")), b"")
            if set(notify[7:].split(b",")) != {b"SUCCESS", b"DELAY"} or b"ORCPT=rfc822;p+2Bq@orig.test" not in words:
                wrong.append(m.recipients[0].decode())
        reports = [m for m in self.dsn.messages if b"FROM:<>" in m.mail.upper()]
        for m in reports:
            if b"NOTIFY=NEVER" not in m.recipients[0]:
                wrong.append("a report without NOTIFY=NEVER")
        self.line("parameters", wrong, ", passed on as they came")

    def stale(self):
        """Rows leased by a killed server: how soon their mail is on its way again."""
        hold, arrived = threading.Event(), []

        def stall(message):
            if hold.is_set():
                return
            arrived.append(message)
            hold.wait(60)
            raise OSError("never answered")

        slow = SMTPSink(before_end=stall)
        config = self.server
        config.stop()
        with open(config.path) as f:
            values = json.load(f)
        values["delivery"]["routes"].append({"domain": "slow.test", "to": "127.0.0.1", "port": slow.port})
        values["delivery"]["max_age"] = "1h"
        with open(config.path, "w") as f:
            json.dump(values, f)
        config.start()
        for i in range(15):
            submit(config.port, Case(f"stale-{i}", [(f"ok@slow.test", "")]))
        end = time.monotonic() + 20
        while time.monotonic() < end and len(arrived) < 15:
            time.sleep(0.05)
        config.kill()
        hold.set()
        at = os.path.getsize(config.log_path)
        begun = time.monotonic()
        config.start()
        ready = time.monotonic() - begun
        got = lambda all: len({re.search(rb"X-Case: (\S+)", m.octets)[1] for m in all}) >= 15
        slow.wait(got, 30)
        took = time.monotonic() - begun
        log = re.search(r"queue_read.*", config.log_since(at))
        wrong = [] if got(slow.messages) else [f"{len(slow.messages)} of 15 came"]
        end = time.monotonic() + 10
        while time.monotonic() < end and config.queued():
            time.sleep(0.1)
        if config.queued():
            wrong.append("rows are left")
        self.line("stale-leases", wrong, f": killed with {len(arrived)} recipients leased and at a host that did not "
                  f"answer the dot; started again: ready after {ready:.2f} s, all delivered after {took:.2f} s, "
                  f"{len(slow.messages)} copies; {log.group(0) if log else ''}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", required=True)
    p.add_argument("--conformance", help="for tools/dsn_check.py")
    p.add_argument("--keep", action="store_true", help="leave the folder with logs and reports")
    options = p.parse_args()
    work = tempfile.mkdtemp(prefix="reports-")
    proof = None
    try:
        proof = Proof(options, work)
        return proof.run()
    finally:
        if proof and proof.server.process and proof.server.process.poll() is None:
            proof.server.stop()
        if options.keep:
            print("kept:", work)
        else:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

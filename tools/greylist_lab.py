#!/usr/bin/env python3
"""Greylisting with Postfix as the sender that retries, while the server is killed and restarted under it.

    tools/greylist_lab.py --bin .build/release [--peers /opt/peers] [--show] [--keep]

Postfix is unpacked under --peers as for tools/interop.py and runs in namespaces of its own (needs root). The delay is the
least there may be, five minutes, so a run takes about seven. Prints one line for each expectation, exits with 1 when any
is not met.
"""
import argparse, json, os, re, shutil, signal, smtplib, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import interop
from defense_lab import Findings, Server, message

DELAY = 300
CLIENT, NETWORK = "127.8.1.1", "127.8.1.0/24"
HERE = interop.HERE
# Retries every 40 s: several come too early.
interop.POSTFIX_MAIN += f"""smtp_bind_address = {CLIENT}
queue_run_delay = 20s
minimal_backoff_time = 40s
maximal_backoff_time = 40s
smtp_destination_concurrency_failed_cohort_limit = 0
smtp_skip_5xx_greeting = no
"""


class Postfix(interop.Peer):
    """The sender. Its log says what the server told it."""

    def submit(self, subject, sender, recipients):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as s:
            s.sendmail(sender, recipients, message(subject, author=sender))
        return time.monotonic()

    def said(self, status, recipient):
        """Lines of the log about attempts for a recipient."""
        try:
            with open(self.path("run/maillog"), errors="replace") as f:
                return [line for line in f if f"to=<{recipient}>" in line and f"status={status}" in line
                        and "Connection refused" not in line]
        except FileNotFoundError:
            return []

    def wait_for(self, status, recipient, count=1, seconds=60):
        end = time.monotonic() + seconds
        while len(self.said(status, recipient)) < count and time.monotonic() < end:
            time.sleep(0.5)
        return self.said(status, recipient)


class Lab:
    def __init__(self, options, work):
        self.options, self.findings = options, Findings()
        self.server = Server(options.bin, self.findings, domains=(HERE,), keep=options.keep, show=options.show)
        for name in ("second", "third"):
            self.server.cli("account", "add", f"{name}@{HERE}", "--password-stdin", data=b"a password of the lab\n")
        self.work, self.begun = work, time.monotonic()
        self.figures = {}

    def section(self, name):
        self.findings.section = f"{time.monotonic() - self.begun:4.0f} s {name}"

    def count(self, name, **labels):
        """Of this process and those before it."""
        return self.server.metric(name, **labels) + self.figures.get((name, *sorted(labels.items())), 0)

    def restart(self, how):
        for name, labels in (("martlet_greylist_decisions_total", {"outcome": o}) for o in
                             ("new", "early", "passed", "known")):
            self.figures[(name, *sorted(labels.items()))] = self.count(name, **labels)
        self.server.stop(how)
        self.server.start()

    def is_listed(self, state, client=NETWORK):
        rows = (self.server.operate("greylist", "list", "--state", state) or "").splitlines()
        return self.server.expect(any(client in row for row in rows), f"greylist list --state {state} names {client}",
                                  rows)

    def run(self):
        with self.server as s:
            postfix = Postfix("postfix", self.work, self.options.peers, s.port, 9)
            try:
                self.drive(s, postfix)
            finally:
                postfix.stop()
        wrong = self.findings.wrong
        print(f"{self.findings.count} expectations, {len(wrong)} not met, {time.monotonic() - self.begun:.0f} s")
        for line in wrong:
            print("  " + line)
        return 1 if wrong else 0

    def drive(self, s, postfix):
        to, sender = f"user@{HERE}", "writer@far.example"
        self.section("first attempt")
        s.set(HERE, "greylist=true", "greylist_delay=5")
        submitted = postfix.submit("first", sender, [to])
        lines = postfix.wait_for("deferred", to)
        s.expect(lines and re.search(r"450 4\.7\.1 Greylisted: new sender, please try again in 5 minutes", lines[0]),
                 "Postfix is told 450 4.7.1, why and how long", lines)
        found = re.search(r"\(([0-9A-HJKMNP-TV-Z]{13})\)", lines[0]) if lines else None
        s.explain(found and found[1], "greylist", "first attempt", re.escape(NETWORK), "450")
        self.is_listed("new")
        s.expect(self.count("martlet_greylist_decisions_total", outcome="new") == 1, "one new triplet is counted")

        self.section("kill -9")
        time.sleep(1.5)
        self.restart(signal.SIGKILL)
        self.is_listed("new")
        lines = postfix.wait_for("deferred", to, 2, 100)
        s.expect(len(lines) > 1 and "Greylisted: too early" in lines[1], "an early retry is put off again", lines[1:])
        self.is_listed("waiting")

        self.section("release")
        reply = s.probe("127.8.2.1", to)
        s.refused(reply, "another client", (450,), r"4\.7\.1 Greylisted", control="greylist")
        s.operate("greylist", "release", "--client", "127.8.2.1")
        s.taken(s.deliver("127.8.2.1", to), "it is released at once")
        self.is_listed("known", "127.8.2.0/24")

        self.section("kill -9 after the answer to an operator")
        self.restart(signal.SIGKILL)
        s.taken(s.deliver("127.8.2.9", to), "what was released stays so")

        self.section("null sender")
        with s.open("127.8.3.1", "") as c:
            s.taken(c.rcpt(to), "RCPT is taken")
            s.refused(c.data(message("a report")), "the end of data is put off", (450,), r"4\.7\.1 Greylisted",
                      control="greylist")

        self.section("SIGTERM")
        self.restart(signal.SIGTERM)
        self.is_listed("waiting")
        self.is_listed("known", "127.8.2.0/24")

        self.section("in time")
        left = DELAY - (time.monotonic() - submitted)
        s.expect(not postfix.said("sent", to), "nothing was taken before its time")
        lines = postfix.wait_for("sent", to, 1, left + 90)
        waited = time.monotonic() - submitted
        s.expect(lines and DELAY - 2 <= waited <= DELAY + 90, "Postfix delivers after the delay", f"{waited:.0f} s {lines}")
        early = len(postfix.said("deferred", to)) - 1
        print(f"         Postfix came {early} times too early and was taken after {waited:.0f} s")
        s.expect(self.count("martlet_greylist_decisions_total", outcome="early") >= early, "early ones are counted")
        s.expect(s.metric("martlet_greylist_delay_seconds_total") >= DELAY, "the delay that was caused is counted")
        listed = json.loads(s.run("mailbox", "list", to, "--json").stdout or b"[]")
        texts = [s.run("mailbox", "read", to, m["id"], "--raw").stdout for m in listed]
        s.expect(any(b"first" in t for t in texts), "the message is in the mailbox", f"{len(listed)} messages")
        self.is_listed("known")

        self.section("known")
        for name in ("second", "third"):
            postfix.submit(name, sender, [f"{name}@{HERE}"])
            if not s.expect(postfix.wait_for("sent", f"{name}@{HERE}", 1, 30) and
                            not postfix.said("deferred", f"{name}@{HERE}"),
                            f"another recipient ({name}) is not delayed", postfix.said("deferred", f"{name}@{HERE}")):
                continue
            if name == "second":
                time.sleep(1.5)
                self.restart(signal.SIGKILL)
        figures = {k: v for k, v in s.metrics().items() if ("greylist" in k or "defense_journal" in k) and v}
        print("         " + ", ".join(f"{k} {v:g}" for k, v in sorted(figures.items())))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--peers", default="/opt/peers")
    p.add_argument("--show", action="store_true", help="what the commands print")
    p.add_argument("--keep", action="store_true", help="leave the folder of the server")
    options = p.parse_args()
    options.peers = os.path.abspath(options.peers)
    work = tempfile.mkdtemp(prefix="greylist-lab-")
    os.chmod(work, 0o755)
    try:
        return Lab(options, work).run()
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

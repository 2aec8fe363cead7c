#!/usr/bin/env python3
"""Proof that a message which ends the process does so twice and no more, and that nobody is refused meanwhile.

    tools/poison_lab.py --bin DIR [--keep]

DIR holds a martlet built with `-Xswiftc -DMARTLET_TRAP` (a header field `X-Martlet-Trap: inbound|delivery` ends that
build at that stage). The server runs under `martlet supervise`. A client connects all the time, to greeting and QUIT; a
good one sends a message every now and then. Then: marked mail arrives three times; marked mail is in the queue; kill -9;
the server dies again and again; SIGHUP, SIGTERM. Loopback only; ends only what it started."""
import argparse, json, os, shutil, signal, socket, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from relay_lab import free_port
from smtp_sink import SMTPSink

HOST = "127.0.0.1"
results = []


def expect(ok, what, detail=""):
    results.append(bool(ok))
    print(("ok      " if ok else "NOT MET ") + what + (f" [{detail}]" if detail else ""), flush=True)
    return ok


class Session:
    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection((HOST, port), timeout=timeout)
        self.lines = self.socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self):
        while True:
            line = self.lines.readline()
            if not line:
                raise ConnectionError("closed")
            if line[3:4] != b"-":
                return line.rstrip(b"\r\n").decode(errors="replace")

    def say(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.reply()

    def close(self):
        self.lines.close()
        self.socket.close()


def send(port, sender, recipients, text, timeout=30):
    """The reply to the dot, the refusal before it, or `died`."""
    try:
        s = Session(port, timeout)
        try:
            for command in ["EHLO client.test", f"MAIL FROM:<{sender}>", *[f"RCPT TO:<{r}>" for r in recipients]]:
                reply = s.say(command)
                if reply[0] != "2":
                    return reply
            if s.say("DATA")[0] != "3":
                return "no data"
            s.socket.sendall(text.replace("\n", "\r\n").encode() + b".\r\n")
            return s.reply()
        finally:
            s.close()
    except OSError as error:
        return f"died ({type(error).__name__})"


class Knocker(threading.Thread):
    """Connects, reads the greeting, says QUIT; again and again."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.refused, self.broken, self.done, self.longest, self.running = port, 0, 0, 0, 0.0, True

    def run(self):
        while self.running:
            begun = time.monotonic()
            try:
                s = Session(self.port)
                self.done += 1
                self.longest = max(self.longest, time.monotonic() - begun)
                s.socket.sendall(b"QUIT\r\n")
                s.close()
            except ConnectionRefusedError:
                self.refused += 1
            except OSError:
                # Taken by a process that died before it could greet: no refusal, the client comes again.
                self.broken += 1
            time.sleep(0.01)


class Supervised:
    def __init__(self, folder, binary, sink):
        self.folder, self.binary = folder, binary
        self.port, self.second, self.metrics_port = free_port(), free_port(), free_port()
        self.data = os.path.join(folder, "data")
        self.path = os.path.join(folder, "config.json")
        self.log_path = os.path.join(folder, "server.log")
        with open(self.path, "w") as f:
            json.dump({
                "server": {"hostname": "mx.poison.test"},
                "smtp": {"listeners": [{"address": f"{HOST}:{self.port}", "kind": "mx", "tls": "none"},
                                       {"address": f"{HOST}:{self.second}", "kind": "submission", "tls": "none"}],
                         "relay_networks": ["127.0.0.2/32"], "max_connections_per_ip": 500},
                "store": {"path": self.data}, "auth": {"enabled": False},
                "delivery": {"retry_intervals": ["1s", "1s", "2s"], "delay_warning": "0s",
                             "routes": [{"domain": "*", "to": HOST, "port": sink, "protocol": "smtp", "tls": "none"}]},
                "metrics": {"listen": f"{HOST}:{self.metrics_port}"},
            }, f)

    def cli(self, *arguments, check=True, stdin=None):
        return subprocess.run([f"{self.binary}/martlet", *arguments, "--config", self.path], check=check, input=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def json(self, *arguments):
        for _ in range(100):
            done = self.cli(*arguments, "--json", check=False)
            # The store is another process's that does not answer yet: the server starts.
            if done.returncode != 75:
                break
            time.sleep(0.1)
        if done.returncode:
            raise SystemExit(f"{arguments}: {done.stderr.decode()}")
        return json.loads(done.stdout or b"null")

    def log(self):
        with open(self.log_path, "rb") as f:
            return f.read().decode(errors="replace")

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([f"{self.binary}/martlet", "supervise", "--config", self.path], stderr=log,
                                            stdout=subprocess.DEVNULL)
        self.wait(lambda: " ready " in self.log(), "the first start")

    def wait(self, enough, what, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if enough():
                return True
            if self.process.poll() is not None:
                print(self.log()[-3000:])
                raise SystemExit("the supervisor ended")
            time.sleep(0.02)
        return expect(False, f"{what} within {seconds} s")

    def died(self):
        return self.log().count("server_died")

    def child(self):
        words = [line for line in self.log().splitlines() if "process=supervisor" in line and " started " in line]
        return int(words[-1].split("pid=")[1].split()[0])

    def metrics(self):
        with socket.create_connection((HOST, self.metrics_port), timeout=10) as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b""
            while chunk := s.recv(65536):
                text += chunk
        return text.decode()

    def inbox(self, address):
        rows = self.json("mailbox", "list", address) or []
        return rows if isinstance(rows, list) else rows.get("messages", [])


def inbound(server, knocker):
    text = "From: eve@else.test\nSubject: marked\nX-Martlet-Trap: inbound\n\nbody of a marked message\n"
    plain = text.replace("X-Martlet-Trap: inbound\n", "")
    for n in (1, 2):
        before = server.died()
        reply = send(server.port, "eve@else.test", ["ann@poison.test"], text)
        expect(reply.startswith("died"), f"marked message, try {n}: the process dies", reply)
        server.wait(lambda: server.died() == before + 1, f"death {n} is noted")
        reply = send(server.port, "good@else.test", ["ann@poison.test"], plain)
        expect(reply.startswith("250"), f"a good message right after death {n} is taken", reply)
    reply = send(server.port, "eve@else.test", ["ann@poison.test", "bob@poison.test"], text)
    expect(reply.startswith("250"), "marked message, try 3: taken", reply)
    expect(server.died() == 2, "and the process lives", f"{server.died()} deaths")
    rows = server.json("poison", "list")
    if not expect(len(rows) == 1 and rows[0]["deaths"] == 2, "poison list shows it", str(rows)):
        return
    name = rows[0]["id"]
    expect(name in reply, "under the id of the reply", reply)
    shown = server.json("poison", "show", name)
    expect(shown["sender"] == "eve@else.test" and len(shown["recipients"]) == 2, "poison show gives its envelope")
    raw = server.cli("poison", "show", name, "--raw").stdout
    expect(raw == text.replace("\n", "\r\n").encode(), "poison show --raw gives its octets", f"{len(raw)}")
    told = server.cli("explain", name).stdout.decode()
    expect("poison" in told, "explain names the defence", told.strip().splitlines()[0] if told.strip() else "")
    subjects = []
    for row in server.inbox("ann@poison.test"):
        subjects.append(server.cli("mailbox", "read", "ann@poison.test", row["id"], check=False).stdout.decode())
    expect(sum("A message was set aside" in s and name in s for s in subjects) == 1, "postmaster is told once")
    expect(not any("X-Martlet-Trap" in s for s in subjects), "it is in no mailbox yet")
    count = server.metrics()
    expect('martlet_poison_set_aside_total{stage="inbound"} 1' in count, "the metric counts it")
    done = server.cli("poison", "release", name, check=False)
    expect(done.returncode == 0, "poison release", (done.stdout + done.stderr).decode().strip())
    for who in ("ann@poison.test", "bob@poison.test"):
        found = [r for r in server.inbox(who) if r["id"] == name]
        expect(len(found) == 1, f"released into the mailbox of {who}")
    expect(server.json("poison", "list") == [], "and out of the list")
    reply = send(server.port, "eve@else.test", ["ann@poison.test"], text)
    rows = server.json("poison", "list")
    expect(reply.startswith("250") and len(rows) == 1, "a fourth try is set aside too", reply)
    done = server.cli("poison", "delete", rows[0]["id"], "--yes", check=False)
    expect(done.returncode == 0 and server.json("poison", "list") == [], "poison delete")
    expect(server.died() == 2, "still two deaths")


def delivery(server, sink):
    before = server.died()
    text = "From: ann@poison.test\nSubject: marked\nX-Martlet-Trap: delivery\n\nx\n"
    source = socket.socket()
    source.bind(("127.0.0.2", 0))
    source.connect((HOST, server.port))
    lines = source.makefile("rb")

    def say(command):
        source.sendall(command.encode() + b"\r\n")
        while (line := lines.readline())[3:4] == b"-":
            pass
        return line.decode().strip()

    lines.readline()
    for command in ("EHLO x", "MAIL FROM:<ann@poison.test>", "RCPT TO:<far@away.test>", "DATA"):
        say(command)
    reply = say(text.replace("\n", "\r\n") + ".")
    expect(reply.startswith("250"), "marked mail for elsewhere is queued", reply)
    source.close()
    server.wait(lambda: server.died() >= before + 2, "two deaths at its delivery", 60)
    time.sleep(3)
    expect(server.died() == before + 2, "and no third", f"{server.died() - before}")
    rows = server.json("queue", "list")
    expect(len(rows) == 1 and rows[0]["state"] == "held", "it is held in the queue", str(rows))
    expect("died" in rows[0]["status"], "with a status that says why", rows[0]["status"])
    listed = server.json("poison", "list")
    expect(len(listed) == 1 and "held" in listed[0]["state"], "poison list shows it")
    again = socket.socket()
    again.bind(("127.0.0.2", 0))
    again.connect((HOST, server.port))
    lines2 = again.makefile("rb")
    lines2.readline()
    for command in ("EHLO x", "MAIL FROM:<ann@poison.test>", "RCPT TO:<far@away.test>", "DATA"):
        again.sendall(command.encode() + b"\r\n")
        while lines2.readline()[3:4] == b"-":
            pass
    again.sendall(b"Subject: plain\r\n\r\nx\r\n.\r\n")
    lines2.readline()
    again.close()
    expect(wait_for(lambda: len(sink.messages) >= 1, 20), "other mail of the queue goes out")
    reports = [server.cli("mailbox", "read", "ann@poison.test", r["id"], check=False).stdout.decode()
               for r in server.inbox("ann@poison.test")]
    expect(sum("Queued mail is held" in r for r in reports) == 1, "postmaster is told once")
    before = server.died()
    done = server.cli("poison", "release", rows[0]["id"], check=False)
    expect(done.returncode == 0, "poison release lets it go", (done.stdout + done.stderr).decode().strip())
    server.wait(lambda: server.died() >= before + 2, "it kills twice again, from nothing", 60)
    server.wait(lambda: server.json("queue", "list")[0]["state"] == "held", "and is held again", 20)
    server.json("queue", "delete", "--id", rows[0]["id"], "--yes")
    expect(server.json("queue", "list") == [], "queue delete")


def wait_for(enough, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if enough():
            return True
        time.sleep(0.05)
    return False


def supervision(server, knocker):
    time.sleep(11)
    gaps = []
    for n in range(4):
        before, child = server.died(), server.child()
        starts = server.log().count(" ready ")
        begun = time.monotonic()
        os.kill(child, signal.SIGKILL)
        server.wait(lambda: server.died() == before + 1, "a killed server is noticed")
        server.wait(lambda: server.log().count(" ready ") > starts, "and started again")
        gaps.append(time.monotonic() - begun)
        time.sleep(3)
    expect(max(gaps) < 4, "restarted at once after kill -9", ", ".join(f"{g:.2f} s" for g in gaps))
    expect(server.json("poison", "list") == [], "kill -9 blames no message")
    before = server.log().count("reloaded")
    server.process.send_signal(signal.SIGHUP)
    server.wait(lambda: server.log().count("reloaded") > before, "SIGHUP reaches the server")
    s = Session(server.second)
    expect(s.greeting.startswith("220"), "the second listener is the second listener", s.greeting)
    s.close()
    time.sleep(11)
    for n in range(5):
        before = server.died()
        os.kill(server.child(), signal.SIGSEGV)
        server.wait(lambda: server.died() == before + 1, "a death")
        if n < 4:
            server.wait(lambda: " started " in server.log().split("server_died")[-1], "a start")
    last = [line for line in server.log().splitlines() if "server_died" in line][-1]
    expect("pause=5" in last, "five deaths within ten seconds make a pause", last)
    starts = server.log().count(" ready ")
    server.wait(lambda: server.log().count(" ready ") > starts, "and it goes on after the pause", 30)
    expect(server.json("poison", "list") == [], "a signal from elsewhere blames no message")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default=".build/debug")
    p.add_argument("--keep", action="store_true")
    o = p.parse_args()
    folder = tempfile.mkdtemp(prefix="martlet-poison-")
    sink = SMTPSink()
    server = Supervised(folder, os.path.abspath(o.bin), sink.port)
    server.cli("domain", "add", "poison.test")
    server.cli("account", "add", "ann@poison.test", "--admin", "--password-stdin", stdin=b"poison-lab-password\n")
    server.cli("account", "add", "bob@poison.test", "--password-stdin", stdin=b"poison-lab-password\n")
    server.start()
    knocker = Knocker(server.port)
    knocker.start()
    try:
        inbound(server, knocker)
        delivery(server, sink)
        supervision(server, knocker)
        knocker.running = False
        knocker.join()
        expect(knocker.refused == 0 and knocker.done > 100, "a client that connected throughout was never refused",
               f"{knocker.done} greeted, {knocker.broken} cut off by a death, longest wait {knocker.longest:.2f} s")
        child = server.child()
        server.process.terminate()
        status = server.process.wait(60)
        expect(status == 0, "SIGTERM ends both, with the server's status", str(status))
        expect(not os.path.exists(f"/proc/{child}"), "the server is gone with its supervisor")
        refused = False
        try:
            socket.create_connection((HOST, server.port), timeout=2).close()
        except OSError:
            refused = True
        expect(refused, "nobody listens any more")
        server.start()
        child = server.child()
        server.process.kill()
        server.process.wait()
        expect(wait_for(lambda: not os.path.exists(f"/proc/{child}"), 40), "a killed supervisor takes the server along")
    finally:
        knocker.running = False
        if server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(45)
            except subprocess.TimeoutExpired:
                server.process.kill()
    print(f"{sum(results)} of {len(results)} expectations met")
    if o.keep or not all(results):
        print(f"kept in {folder}")
    else:
        shutil.rmtree(folder)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

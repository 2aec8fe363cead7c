"""What the relay proofs share: a server that relays everything to a scripted sink, and the sink. Loopback only; ends only
what it started."""
import json, os, select, signal, socket, subprocess, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """`martlet serve` with everything routed as `routes` says; `settings` go over the configuration by dotted key."""

    def __init__(self, folder, binary, routes, settings=None, retries=("1s", "1s", "2s")):
        self.folder, self.binary = folder, binary
        self.port = free_port()
        self.path = os.path.join(folder, "config.json")
        config = {
            "server": {"hostname": "mx.relay.test"},
            "smtp": {"listeners": [{"address": f"127.0.0.1:{self.port}", "kind": "mx", "tls": "none"}],
                     "relay_networks": ["127.0.0.0/8"], "max_connections": 12000, "max_connections_per_ip": 12000},
            "store": {"path": os.path.join(folder, "data")},
            "delivery": {"retry_intervals": list(retries), "routes": routes, "delay_warning": "0s"},
            "metrics": {"listen": f"127.0.0.1:{free_port()}"},
        }
        for key, value in (settings or {}).items():
            place = config
            *above, last = key.split(".")
            for word in above:
                place = place.setdefault(word, {})
            place[last] = value
        with open(self.path, "w") as f:
            json.dump(config, f)
        self.process = None
        self.log_path = os.path.join(folder, "server.log")

    def cli(self, *arguments, check=True, **options):
        return subprocess.run([f"{self.binary}/martlet", *arguments, "--config", self.path], check=check,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE if not check else None, **options)

    def json(self, *arguments):
        return json.loads(self.cli(*arguments, "--json").stdout or "null")

    def start(self, timeout=60):
        """Seconds until the ready event."""
        begun = time.monotonic()
        at = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([f"{self.binary}/martlet", "serve", "--config", self.path], stderr=log,
                                            stdout=subprocess.DEVNULL)
        while True:
            if self.process.poll() is not None:
                raise SystemExit("server ended at start: " + self.log_since(at)[-2000:])
            if "ready" in self.log_since(at):
                return time.monotonic() - begun
            if time.monotonic() - begun > timeout:
                raise SystemExit(f"server not ready within {timeout} s")
            time.sleep(0.01)

    def log_since(self, at):
        with open(self.log_path, "rb") as f:
            f.seek(at)
            return f.read().decode(errors="replace")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def pss_kb(self):
        """Memory of its own: pages of mapped files are the system's to take back."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as f:
            for line in f:
                if line.startswith("Pss_Anon:"):
                    return int(line.split()[1])
        return 0

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def queued(self):
        """Recipients in the queue."""
        return self.json("queue", "summary")["recipients"]


class Sink:
    """`martlet-bench sink` on every address of 127.0.0.0/8; `totals()` are at most 0.2 s old."""

    def __init__(self, binary, port=None, script="", ledger=None, extra=()):
        self.port = port or free_port()
        arguments = [f"{binary}/martlet-bench", "sink", "--listen", f"0.0.0.0:{self.port}", "--json", "--interval",
                     "0.1", *extra]
        if script:
            arguments += ["--script", script]
        if ledger:
            arguments += ["--ledger", ledger]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest, self.last = b"", {"messages": 0, "recipients": 0, "connections": 0, "open": 0, "domains": {}}
        while b"listening" not in self.process.stderr.readline():
            if self.process.poll() is not None:
                raise SystemExit("the sink ended at start")

    def totals(self):
        self.rest += self.process.stdout.read() or b""
        lines = self.rest.split(b"\n")
        self.rest = lines.pop()
        if lines:
            self.last = json.loads(lines[-1])
        return self.last

    def wait(self, enough, seconds, meanwhile=lambda: None):
        """Until `enough(totals)`; seconds it took, or None."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if enough(self.totals()):
                return time.monotonic() - begun
            meanwhile()
            time.sleep(0.05)
        return None

    def stop(self):
        self.process.terminate()
        deadline = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < deadline:
            select.select([self.process.stdout], [], [], 0.1)
            self.totals()
        return self.totals()


def load(binary, port, *arguments, wait=True):
    command = [f"{binary}/martlet-bench", "load", f"127.0.0.1:{port}", "--from", "load@client.test", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE if wait else subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not wait:
        return child
    out = child.communicate()[0]
    return json.loads(out) if out.lstrip().startswith(b"{") else {}

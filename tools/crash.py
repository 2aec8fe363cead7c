#!/usr/bin/env python3
"""Kills the server with SIGKILL under load, again and again, and checks that every acknowledged message is there.

    tools/crash.py [--rounds 200] [--rate 400] [--seed N] [--bin .build/release]

Each round: start, wait for `ready`, load for 50 to 1500 ms, kill -9. A ledger of the load tool, fsynced, holds what was
sent and what was acknowledged; after every 25 rounds and at the end it is compared with the mailboxes.
"""
import argparse, json, os, random, select, shutil, signal, subprocess, sys, tempfile, time

USERS = 4


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, folder, binary):
        self.folder, self.binary = folder, binary
        self.port = free_port()
        self.config = os.path.join(folder, "config.json")
        with open(self.config, "w") as f:
            json.dump({
                "server": {"hostname": "mx.crash.test"},
                "smtp": {"listeners": [{"address": f"127.0.0.1:{self.port}", "kind": "mx", "tls": "none"}]},
                "store": {"path": os.path.join(folder, "data")},
                "metrics": {"listen": f"127.0.0.1:{free_port()}"}, "auth": {"enabled": False},
            }, f)
        self.process = None
        self.log = open(os.path.join(folder, "server.log"), "ab")

    def cli(self, *arguments, **options):
        return subprocess.run([f"{self.binary}/martlet", *arguments, "--config", self.config], check=True,
                              stdout=subprocess.PIPE, **options).stdout

    def start(self):
        """Seconds until the ready event."""
        begun = time.monotonic()
        self.process = subprocess.Popen([f"{self.binary}/martlet", "serve", "--config", self.config],
                                        stderr=subprocess.PIPE, stdout=self.log)
        os.set_blocking(self.process.stderr.fileno(), False)
        seen = b""
        while b"ready" not in seen:
            if self.process.poll() is not None:
                raise SystemExit(f"server ended at start: {seen.decode(errors='replace')}")
            if time.monotonic() - begun > 30:
                raise SystemExit("server not ready within 30 s")
            select.select([self.process.stderr], [], [], 0.1)
            seen += self.process.stderr.read() or b""
        self.log.write(seen)
        return time.monotonic() - begun

    def drain_log(self):
        self.log.write(self.process.stderr.read() or b"")
        self.log.flush()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.drain_log()

    def stop(self):
        self.process.terminate()
        self.process.wait(40)
        self.drain_log()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=200)
    p.add_argument("--rate", type=int, default=400)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--keep", action="store_true")
    o = p.parse_args()
    random.seed(o.seed)
    folder = tempfile.mkdtemp(prefix="martlet-crash-")
    server = Server(folder, o.bin)
    server.cli("domain", "add", "crash.test")
    for i in range(USERS):
        server.cli("account", "add", f"u{i}@crash.test", "--password-stdin", input=b"crash-test-password\n")
    ledger = os.path.join(folder, "ledger")
    starts, kills = [], 0
    for i in range(o.rounds):
        starts.append(server.start())
        load = subprocess.Popen(
            [f"{o.bin}/martlet-bench", "load", f"127.0.0.1:{server.port}", "--rate", str(o.rate), "--concurrency", "20",
             "--duration", "4", "--size", "1k:60,8k:30,70k:9,600k:1", "--recipients", "2",
             "--to-template", "u%d@crash.test", "--users", str(USERS), "--ledger", ledger, "--seed", str(o.seed + i)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.05, 1.5))
        server.kill()
        kills += 1
        load.terminate()
        load.wait()
        if (i + 1) % 25 == 0 or i + 1 == o.rounds:
            starts.append(server.start())
            check = subprocess.run([f"{o.bin}/martlet-bench", "verify", "--ledger", ledger, "--config", server.config,
                                    "--martlet", f"{o.bin}/martlet"], stdout=subprocess.PIPE, text=True)
            print(f"round {i + 1}: {check.stdout.strip()}", flush=True)
            if check.returncode != 0:
                print(f"FAILED, kept in {folder}, seed {o.seed}")
                return 1
            server.stop()
    print(server.cli("store", "verify").decode().strip())
    worst = max(starts)
    print(f"{kills} kills, seed {o.seed}; ready after at most {worst:.2f} s, median {sorted(starts)[len(starts) // 2]:.2f} s")
    if not o.keep:
        shutil.rmtree(folder)
    return 0 if worst < 2 else 1


sys.exit(main())

#!/usr/bin/env python3
"""A disk that is really full: a small tmpfs. Needs root for the mount.

    tools/fulldisk.py [--bin .build/release]

Load runs into the end of the space, with and without a low-water mark; then room is made and the load goes on. Every
acknowledged message must be there, nothing may trap, and service must come back by itself.
"""
import argparse, json, os, re, shutil, socket, subprocess, sys, tempfile, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def scenario(binary, name, min_free):
    folder = tempfile.mkdtemp(prefix="martlet-full-")
    disk = os.path.join(folder, "disk")
    os.mkdir(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", disk], check=True)
    port, config, server = free_port(), os.path.join(folder, "config.json"), None
    log = os.path.join(folder, "log")
    try:
        with open(config, "w") as f:
            json.dump({"server": {"hostname": "mx.full.test"},
                       "smtp": {"listeners": [{"address": f"127.0.0.1:{port}", "kind": "mx", "tls": "none"}]},
                       "store": {"path": os.path.join(disk, "data"), "min_free_bytes": min_free},
                       "metrics": {"listen": f"127.0.0.1:{free_port()}"}, "auth": {"enabled": False}}, f)

        def cli(*arguments, **options):
            return subprocess.run([f"{binary}/martlet", *arguments, "--config", config], check=True,
                                  stdout=subprocess.PIPE, **options).stdout.decode()
        cli("domain", "add", "full.test")
        cli("account", "add", "u0@full.test", "--password-stdin", input=b"full-disk-test\n")
        with open(os.path.join(disk, "filler"), "wb") as f:
            f.write(bytes(40 << 20))
        server = subprocess.Popen([f"{binary}/martlet", "serve", "--config", config], stderr=open(log, "wb"))
        deadline = time.monotonic() + 20
        while b" ready " not in open(log, "rb").read():
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        ledger = os.path.join(folder, "ledger")

        def load(messages, seed):
            r = subprocess.run(
                [f"{binary}/martlet-bench", "load", f"127.0.0.1:{port}", "--messages", str(messages), "--concurrency", "20",
                 "--size", "2k:50,30k:40,300k:10", "--to", "u0@full.test", "--ledger", ledger, "--seed", str(seed),
                 "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            return json.loads(r.stdout)
        full = load(2500, 1)
        assert full["failed"] > 0, "the disk did not fill up"
        codes = {re.search(r"\b[45]\d\d\b", k).group(0) for k in full["reasons"] if re.search(r"\b[45]\d\d\b", k)}
        os.unlink(os.path.join(disk, "filler"))
        begun = time.monotonic()
        while load(1, 2)["acknowledged"] == 0:
            assert time.monotonic() - begun < 30, "no service although there is room again"
        recovered = time.monotonic() - begun
        after = load(300, 3)
        check = subprocess.run([f"{binary}/martlet-bench", "verify", "--ledger", ledger, "--config", config, "--martlet",
                                f"{binary}/martlet"], stdout=subprocess.PIPE, text=True)
        server.terminate()
        status = server.wait(40)
        print(f"{name}: {full['acknowledged']} acknowledged, {full['failed']} refused with {sorted(codes)} while full; "
              f"service back {recovered:.2f} s after room was made; then {after['acknowledged']} acknowledged, "
              f"{after['failed']} refused; exit status {status}")
        print("  " + check.stdout.strip().replace("\n", "\n  "))
        print("  " + cli("store", "verify").strip().replace("\n", "\n  "))
        return 0 if check.returncode == 0 and status == 0 and codes <= {"451", "452"} and not after["failed"] else 1
    finally:
        if server and server.poll() is None:
            server.kill()
            server.wait()
        subprocess.run(["umount", disk])
        shutil.rmtree(folder, ignore_errors=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default=".build/release")
    o = p.parse_args()
    return scenario(o.bin, "low-water mark of 16 MiB", 16 << 20) | scenario(o.bin, "no low-water mark", 1 << 20)


sys.exit(main())

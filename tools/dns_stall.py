#!/usr/bin/env python3
"""The resolver stands still under load: SIGSTOP to the name server, SIGCONT a minute later.

    tools/dns_stall.py [--bin .build/release] [--rate 50] [--stall 60]

Every second message comes from a domain nobody asked about before, so that it needs DNS; the others come from one domain
whose answers are known. Asserts that nothing is refused for good (5xx), that the reactors' lag stays below 50 ms
(martlet_reactor_lag_seconds), and that from 2 s after SIGCONT on messages are as fast as before.
"""
import argparse, asyncio, json, os, shutil, signal, statistics, subprocess, sys, tempfile, time, urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakedns
from authlab import free_port

CLIENT, WARM = "127.0.0.21", "warm.example"


def zone(count):
    names = {"mail.warm.example": {"A": [CLIENT]}, "21.0.0.127.in-addr.arpa": {"PTR": ["mail.warm.example"]}}
    for name in [WARM, *(f"cold{i}.example" for i in range(count))]:
        names[name] = {"TXT": [f"v=spf1 ip4:{CLIENT} -all"]}
        names[f"_dmarc.{name}"] = {"TXT": ["v=DMARC1; p=reject"]}
    return names


class Sample:
    def __init__(self, begun, warm):
        self.begun, self.warm, self.code, self.dot, self.done = begun, warm, 0, 0.0, 0.0
        self.text = ""

    @property
    def verdict(self):
        return self.done - self.dot


async def reply(reader, sample=None):
    while True:
        line = await reader.readline()
        if not line:
            return 0
        if line[3:4] == b" ":
            if sample:
                sample.text = line.decode().strip()
            return int(line[:3])


async def send(port, domain, sample):
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(CLIENT, 0))
        await reply(reader)
        for line in (b"EHLO mail.warm.example", f"MAIL FROM:<a@{domain}>".encode(), b"RCPT TO:<user@in.example>", b"DATA"):
            writer.write(line + b"\r\n")
            sample.code = await reply(reader, sample)
            if sample.code >= 400:
                break
        else:
            writer.write(f"From: a@{domain}\r\nSubject: stall\r\nDate: Mon, 23 Nov 2026 06:00:00 +0000\r\n"
                         f"Message-ID: <{id(sample)}@{domain}>\r\n\r\nHello\r\n.\r\n".encode())
            sample.dot = time.monotonic()
            sample.code = await reply(reader, sample)
        sample.done = time.monotonic()
        writer.write(b"QUIT\r\n")
        await reply(reader)
        writer.close()
    except OSError as e:
        sample.code, sample.done = -1, time.monotonic()
        print("connection:", e)


async def noop(port, until, worst):
    """One quiet session: how long the server takes to answer it, worst of each second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reply(reader)
    while time.monotonic() < until:
        start = time.monotonic()
        writer.write(b"NOOP\r\n")
        await reply(reader)
        worst.append((start, time.monotonic() - start))
        await asyncio.sleep(0.02)
    writer.close()


async def load(o, port, metrics, name_server, samples, worst, lags):
    start = time.monotonic()
    stop_at, go_at = start + o.before, start + o.before + o.stall
    end = go_at + o.after
    quiet = asyncio.create_task(noop(port, end, worst))
    tasks, number, stopped, going = [], 0, False, False
    while (now := time.monotonic()) < end:
        if not stopped and now >= stop_at:
            lags.append(await asyncio.to_thread(lag, metrics))
            name_server.send_signal(signal.SIGSTOP)
            stopped, stop_at = True, now
            print(f"SIGSTOP after {now - start:.0f} s", flush=True)
        if stopped and not going and now >= go_at:
            lags.append(await asyncio.to_thread(lag, metrics))
            name_server.send_signal(signal.SIGCONT)
            going, go_at = True, now
            print(f"SIGCONT after {now - start:.0f} s", flush=True)
        if now >= start + number / o.rate:
            warm = number % 2 == 0
            sample = Sample(now, warm)
            samples.append(sample)
            tasks.append(asyncio.create_task(send(port, WARM if warm else f"cold{number}.example", sample)))
            number += 1
        else:
            await asyncio.sleep(min(0.005, start + number / o.rate - now))
    await asyncio.wait(tasks, timeout=90)
    await quiet
    lags.append(await asyncio.to_thread(lag, metrics))
    return stop_at, go_at, end


def lag(port):
    """{upper bound: count} of the lag of reactors' turns."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    out = {}
    for line in text.splitlines():
        if line.startswith("martlet_reactor_lag_seconds_bucket"):
            bound = line.split('le="')[1].split('"')[0]
            out[float(bound)] = out.get(float(bound), 0) + float(line.rsplit(" ", 1)[1])
    return out


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))] if values else float("nan")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--rate", type=float, default=50)
    p.add_argument("--before", type=float, default=15)
    p.add_argument("--stall", type=float, default=60)
    p.add_argument("--after", type=float, default=20)
    o = p.parse_args()
    folder, port, metrics = tempfile.mkdtemp(prefix="martlet-stall-"), free_port(), free_port()
    martlet = os.path.join(o.bin, "martlet")
    count = int((o.before + o.stall + o.after) * o.rate) + 10
    with open(os.path.join(folder, "zone.json"), "w") as f:
        json.dump(zone(count), f)
    name_server = subprocess.Popen([sys.executable, fakedns.__file__, "--zone", f.name, "--port", "0"],
                                   stdout=subprocess.PIPE, text=True)
    config = os.path.join(folder, "config.json")
    with open(config, "w") as f:
        json.dump({"server": {"hostname": "mx.lab.example"},
                   "smtp": {"listeners": [{"address": f"127.0.0.1:{port}", "kind": "mx", "tls": "none"}],
                            "max_connections": 12000, "max_connections_per_ip": 12000},
                   "dns": {"forward": [name_server.stdout.readline().strip()], "trust_anchor_file": "/dev/null"},
                   "auth": {"enabled": True}, "store": {"path": os.path.join(folder, "data")},
                   "metrics": {"listen": f"127.0.0.1:{metrics}"}}, f)
    for arguments, data in ((["domain", "add", "in.example"], b""),
                            (["account", "add", "user@in.example", "--password-stdin"], b"a password of the lab\n")):
        subprocess.run([martlet, *arguments, "--config", config], input=data, check=True, stdout=subprocess.DEVNULL)
    log = open(os.path.join(folder, "log"), "wb")
    server = subprocess.Popen([martlet, "serve", "--config", config], stderr=log, stdout=log)
    samples, worst, lags = [], [], []
    try:
        deadline = time.monotonic() + 60
        while b" ready " not in open(log.name, "rb").read():
            assert server.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)
        stopped, going, end = asyncio.run(load(o, port, metrics, name_server, samples, worst, lags))
        return report(o, samples, worst, stopped, going, end, lags)
    finally:
        name_server.send_signal(signal.SIGCONT)
        for process in (server, name_server):
            process.terminate()
            process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def report(o, samples, worst, stopped, going, end, lags):
    periods = [("before", stopped - o.before + 2, stopped), ("stalled", stopped, going), ("first 2 s after", going, going + 2),
               ("from 2 s after", going + 2, end)]
    print(f"{'begun':<16}{'sender':<7}{'messages':>9}{'2xx':>7}{'4xx':>7}{'5xx':>7}{'other':>7}{'median ms':>11}{'p99 ms':>9}"
          f"{'max ms':>9}   final dot to reply")
    medians, tails = {}, {}
    for name, start, stop in periods:
        for warm in (True, False):
            some = [s for s in samples if s.warm == warm and start <= s.begun < stop]
            classes = [sum(s.code // 100 == c for s in some) for c in (2, 4, 5)]
            times = [s.verdict * 1000 for s in some if s.dot]
            medians[name, warm] = statistics.median(times) if times else float("nan")
            tails[name, warm] = percentile(times, 99)
            print(f"{name:<16}{'known' if warm else 'new':<7}{len(some):>9}" + "".join(f"{c:>7}" for c in classes)
                  + f"{len(some) - sum(classes):>7}{medians[name, warm]:>11.1f}{percentile(times, 99):>9.1f}"
                    f"{max(times, default=float('nan')):>9.1f}")
    wrong = []
    refused = [s for s in samples if s.code // 100 == 5]
    if refused:
        wrong.append(f"{len(refused)} were refused for good, the first at {refused[0].begun - samples[0].begun:.1f} s: "
                     f"{refused[0].text}")
    if any(s.code <= 0 or not s.done for s in samples):
        wrong.append("a session ended without a reply")
    for i, (name, start, stop) in enumerate((("before", 0, stopped), ("stalled", stopped, going), ("after", going, end))):
        counts = {b: n - (lags[i - 1].get(b, 0) if i else 0) for b, n in lags[i].items()}
        total = counts.get(float("inf"), 0)
        late = total - max((c for b, c in counts.items() if b <= 0.05), default=0)
        bound = min((b for b, c in counts.items() if c == total), default=float("inf"))
        pings = [t * 1000 for at, t in worst if start <= at < stop]
        print(f"{name:<8} reactor lag: {total:.0f} turns, {late:.0f} above 50 ms, all at most {bound * 1000:g} ms; NOOP of a quiet "
              f"session: median {statistics.median(pings):.2f} ms, 99 % {percentile(pings, 99):.1f} ms, max {max(pings):.1f} ms")
        if late and name != "before":
            wrong.append(f"reactor lag above 50 ms: {name}")
    rate = sum(1 for s in samples if going + 2 <= s.done < end and s.begun >= going + 2) / (end - going - 2)
    print(f"answered from 2 s after SIGCONT on: {rate:.1f} messages/s of {o.rate:g} sent")
    for warm in (True, False):
        if medians["from 2 s after", warm] > 2 * medians["before", warm] + 10:
            wrong.append(f"{'known' if warm else 'new'} senders are slower than before")
        if tails["from 2 s after", warm] > 2 * tails["before", warm] + 100:
            wrong.append(f"some {'known' if warm else 'new'} senders are much slower than before")
    if rate < 0.95 * o.rate:
        wrong.append("the rate is not back")
    for line in wrong:
        print("WRONG " + line)
    print("ok" if not wrong else "FAILED")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

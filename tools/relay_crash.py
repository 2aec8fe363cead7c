#!/usr/bin/env python3
"""Kills the relaying server with SIGKILL, again and again, while it accepts under load and hands on to a sink that refuses,
drops and delays at every step; then lets the queue drain and settles the account.

    tools/relay_crash.py [--rounds 200] [--rate 400] [--seed N] [--bin .build/release] [--keep]

Every recipient of an acknowledged message must have been taken by the sink, be in the queue, or be named in a bounce that
its sender got. A message may be twice at the sink where nobody can know: the sink took it and kept its reply back, or its
250 raced a kill. Such copies are counted, any other is a failure.
"""
import argparse, bisect, collections, email, os, random, re, shutil, sys, tempfile, time
from relay_lab import Server, Sink, load

SENDER = "load@client.test"
DOMAINS = 8
SCRIPT = """
connect 1% 421 4.3.2 busy; connect 1% drop; connect 2% delay 0.2
ehlo 1% 421 4.3.2 busy; ehlo 1% drop
mail 1% 451 4.3.0 later; mail 0.5% 550 5.7.1 not you; mail 1% drop
rcpt 4% 450 4.2.0 later; rcpt 2% 550 5.1.1 nobody; rcpt 1% drop; rcpt 5% delay 0.1
data 2% 451 4.3.0 later; data 1% 554 5.6.0 no; data 1% drop
body 2% drop
dot 2% 451 4.3.0 later; dot 1% 554 5.6.0 no; dot 3% drop; dot 3% drop-after; dot 20% delay 0.1
rset 2% drop; quit 10% drop
"""
# A settlement is on disk this long after the sink's reply; a kill within it is a race nobody can win.
RACE_SECONDS = 1.0
# What was on its way when the server died is still taken by the sink, after its scripted delays.
UNDERWAY_SECONDS = 0.6


def read_ledger(path):
    """id -> [recipients], acknowledged ones only, and the digests."""
    sent, owed = {}, {}
    for line in open(path, errors="replace"):
        words = line.split()
        if len(words) > 4 and words[0] == "sent":
            sent[words[1]] = (words[2], words[4:])
        elif len(words) > 2 and words[0] == "acked" and words[1] in sent:
            owed[words[1]] = words[3:] or sent[words[1]][1]
    return sent, owed


def read_sink(path):
    """(id, recipient) -> [(unix seconds, silent)], and the messages that are not as they were sent."""
    copies, digests = collections.defaultdict(list), []
    for line in open(path, errors="replace"):
        words = line.split()
        if len(words) < 6 or words[0] != "accepted" or words[1] == "-" or not line.endswith("\n"):
            continue
        at = next(int(w[3:]) / 1e6 for w in words if w.startswith("at="))
        digests.append((words[1], words[2]))
        for recipient in (w for w in words[4:] if "@" in w):
            copies[words[1], recipient].append((at, words[-1] == "silent"))
    return copies, digests


def read_bounces(server):
    """(id, recipient) -> reports, from the sender's mailbox; each must be a report as RFC 3464 wants it."""
    stream = server.cli("mailbox", "export", SENDER).stdout
    reported, bad, at = collections.Counter(), [], 0
    while at < len(stream):
        end = stream.index(b"\n", at)
        size = int(stream[at:end].split()[2])
        message = email.message_from_bytes(stream[end + 1:end + 1 + size])
        at = end + 1 + size + 1
        parts = message.get_payload()
        if message.get_content_type() != "multipart/report" or len(parts) < 3:
            bad.append("no report: " + str(message["Subject"]))
            continue
        groups = parts[1].get_payload()
        found = re.search(r"^X-Martlet-Ledger: (\S+)", parts[2].as_string(), re.M)
        if not groups[0]["Reporting-MTA"] or not found:
            bad.append("incomplete: " + str(message["Subject"]))
            continue
        for group in groups[1:]:
            address = (group["Final-Recipient"] or "").split(";")[-1].strip()
            if group["Action"] != "failed" or not re.match(r"5\.\d+\.\d+$", group["Status"] or ""):
                bad.append(f"{address}: {group['Action']} {group['Status']}")
                continue
            reported[found[1], address] += 1
    return reported, bad


def queued(server):
    """Rows left: what `queue list` knows, or nothing."""
    return int(server.queued())


def settle(server, ledger, sink_ledger, kills):
    sent, owed = read_ledger(ledger)
    copies, digests = read_sink(sink_ledger)
    reported, bad = read_bounces(server)
    left = queued(server)
    damaged = [i for i, digest in digests if i in sent and sent[i][0] != digest]
    pairs = {(i, r) for i, recipients in owed.items() for r in recipients}
    missing = [p for p in pairs if p not in copies and p not in reported]
    count = collections.Counter()
    unexplained, gaps = [], []
    for pair, list_ in copies.items():
        list_.sort()
        for first, second in zip(list_, list_[1:]):
            k = bisect.bisect_left(kills, first[0] - UNDERWAY_SECONDS)
            if first[1]:
                count["repeated: the sink kept its reply back"] += 1
            elif k < len(kills) and kills[k] <= second[0] and kills[k] - first[0] < RACE_SECONDS:
                count["repeated: the sink's 250 raced a kill"] += 1
                gaps.append(kills[k] - first[0])
            else:
                unexplained.append(pair + (first, second))
        if pair in reported and not any(silent for _, silent in list_):
            k = bisect.bisect_left(kills, list_[0][0] - UNDERWAY_SECONDS)
            raced = k < len(kills) and kills[k] - list_[0][0] < RACE_SECONDS
            count["delivered and reported: raced a kill" if raced else "delivered and reported"] += 1
            if not raced:
                unexplained.append(pair + ("reported",))
    count["reported twice"] = sum(n - 1 for n in reported.values())
    print(f"acknowledged {len(owed)} messages, {len(pairs)} recipients: delivered {sum(p in copies for p in pairs)}, "
          f"reported {sum(p in reported and p not in copies for p in pairs)}, in the queue {left}, "
          f"neither {max(0, len(missing) - left)}")
    for what, n in sorted(count.items()):
        print(f"  {what}: {n}")
    if gaps:
        gaps.sort()
        late = [g for g in gaps if g >= 0]
        print(f"  of the raced, {len(gaps) - len(late)} were taken after the kill; the others before it by "
              + (f"{late[len(late) // 2] * 1000:.0f} ms in the middle, {late[-1] * 1000:.0f} ms at most" if late else "-"))
    for name, list_ in (("missing", missing if left == 0 else []), ("damaged", damaged), ("unexplained copy", unexplained),
                        ("bad report", bad)):
        for item in list_[:10]:
            print(f"  {name}: {item}")
        if list_:
            print(f"  {name}: {len(list_)} in all")
    return left == 0 and not missing and not damaged and not unexplained and not bad


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=200)
    p.add_argument("--rate", type=int, default=400)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--drain", type=int, default=900, help="seconds the queue may take at the end")
    p.add_argument("--keep", action="store_true")
    o = p.parse_args()
    random.seed(o.seed)
    folder = tempfile.mkdtemp(prefix="martlet-relay-crash-")
    sink_ledger, ledger = os.path.join(folder, "sink"), os.path.join(folder, "ledger")
    sink = Sink(o.bin, script=SCRIPT, ledger=sink_ledger, extra=["--seed", str(o.seed)])
    routes = [{"domain": "*", "to": "127.0.0.1", "port": sink.port, "protocol": "smtp", "tls": "none"}]
    server = Server(folder, o.bin, routes)
    server.cli("domain", "add", "client.test")
    server.cli("account", "add", SENDER, "--password-stdin", input=b"relay-crash-password\n")
    to = [w for i in range(3) for d in range(DOMAINS) for w in ("--to", f"u{i}@d{d}.crash.test")]
    kills, starts = [], []
    for i in range(o.rounds):
        starts.append(server.start())
        child = load(o.bin, server.port, "--rate", str(o.rate), "--concurrency", "20", "--duration", "4", "--size",
                     "1k:70,8k:25,70k:4,400k:1", "--recipients", str(random.choice([1, 1, 2, 3])), *to, "--ledger",
                     ledger, "--seed", str(o.seed + i), wait=False)
        time.sleep(random.uniform(0.05, 1.5))
        server.kill()
        kills.append(time.time())
        print(f"{kills[-1]:.6f}", file=open(os.path.join(folder, "kills"), "a"))
        child.terminate()
        child.wait()
        if (i + 1) % 25 == 0:
            print(f"round {i + 1}: sink has {sink.totals()['messages']} messages, ready after at most {max(starts):.2f} s",
                  flush=True)
    starts.append(server.start())
    begun = time.monotonic()
    while queued(server) > 0 and time.monotonic() - begun < o.drain:
        time.sleep(1)
    print(f"drained in {time.monotonic() - begun:.0f} s")
    time.sleep(1)
    good = settle(server, ledger, sink_ledger, kills)
    server.stop()
    totals = sink.stop()
    print(f"{len(kills)} kills, seed {o.seed}; the sink took {totals['messages']} messages over {totals['connections']} "
          f"connections, its script acted {totals['scripted']} times; ready after at most {max(starts):.2f} s")
    if not good:
        print(f"FAILED, kept in {folder}, seed {o.seed}")
        return 1
    if o.keep:
        print(folder)
    else:
        shutil.rmtree(folder)
    return 0


sys.exit(main())

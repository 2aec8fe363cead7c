#!/usr/bin/env python3
"""A small name server for tests: UDP and TCP, one loopback address, zone data from JSON or from a dict.

    tools/fakedns.py --zone zone.json [--port 5353] [--log]

{"example.org": {"A": ["127.0.0.2"], "TXT": ["v=spf1 -all"], "MX": ["10 mx.example.org"]}, "broken.example": "SERVFAIL"}

A name's value, or a type's, may be one of SERVFAIL, NXDOMAIN, REFUSED and TIMEOUT instead of records. Everything else
does not exist. Nothing is signed.
"""
import argparse, ipaddress, json, socket, struct, threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "TLSA": 52}
NAMES = {number: name for name, number in TYPES.items()}
CODES = {"SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
TTL = 300


def wire_name(name):
    labels = [label.encode("latin-1") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def rdata(kind, value):
    if kind == "A":
        return ipaddress.IPv4Address(value).packed
    if kind == "AAAA":
        return ipaddress.IPv6Address(value).packed
    if kind == "MX":
        preference, host = value.split()
        return struct.pack("!H", int(preference)) + wire_name(host)
    if kind == "TXT":
        data = value.encode("latin-1")
        parts = [data[i:i + 255] for i in range(0, len(data), 255)] or [b""]
        return b"".join(bytes([len(p)]) + p for p in parts)
    if kind == "TLSA":
        usage, selector, matching, digest = value.split()
        return bytes([int(usage), int(selector), int(matching)]) + bytes.fromhex(digest)
    return wire_name(value)


class Zone:
    def __init__(self, data=None):
        self.names = {}
        for name, records in (data or {}).items():
            self.put(name, records)

    def put(self, name, records):
        self.names[name.lower().rstrip(".")] = records

    def add(self, name, kind, value):
        self.names.setdefault(name.lower().rstrip("."), {}).setdefault(kind, []).append(value)

    def look(self, name, kind):
        """(code, records, None for no answer at all)."""
        entry = self.names.get(name)
        if entry is None:
            return (0 if any(n.endswith("." + name) for n in self.names) else 3), []
        if isinstance(entry, str):
            return self.special(entry), []
        value = entry.get(kind, entry.get("*", []))
        return (self.special(value), []) if isinstance(value, str) else (0, value)

    @staticmethod
    def special(word):
        return None if word == "TIMEOUT" else CODES[word]


def answer(zone, query, udp, log=None):
    if len(query) < 17:
        return None
    ident, flags, questions = struct.unpack("!HHH", query[:6])
    if flags & 0x8000 or questions != 1:
        return None
    offset, labels = 12, []
    while query[offset]:
        labels.append(query[offset + 1:offset + 1 + query[offset]])
        offset += 1 + query[offset]
    offset += 1
    number, _ = struct.unpack("!HH", query[offset:offset + 4])
    question = query[12:offset + 4]
    name = b".".join(labels).decode("latin-1").lower()
    kind = NAMES.get(number, str(number))
    if log:
        log(f"{name} {kind}")
    records, code, owner = [], 0, name
    for _ in range(9):
        code, found = zone.look(owner, kind)
        if code is None:
            return None
        if not found and kind != "CNAME":
            code2, alias = zone.look(owner, "CNAME")
            if alias:
                records.append((owner, 5, rdata("CNAME", alias[0])))
                owner = alias[0].lower().rstrip(".")
                continue
        records += [(owner, number, rdata(kind, value)) for value in found]
        break
    body = b"".join(
        wire_name(n) + struct.pack("!HHIH", t, 1, TTL, len(d)) + d for n, t, d in records)
    # RFC 2308 §3: without a SOA an empty answer is not cached.
    authority = b""
    if code in (0, 3) and not any(t == number for _, t, _ in records):
        soa = wire_name("ns.") + wire_name("root.") + struct.pack("!IIIII", 1, 3600, 600, 86400, TTL)
        authority = b"\0" + struct.pack("!HHIH", 6, 1, TTL, len(soa)) + soa
    has_edns = struct.unpack("!H", query[10:12])[0] > 0
    edns = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0) if has_edns else b""
    truncated = udp and 12 + len(question) + len(body) + len(authority) + len(edns) > (1232 if has_edns else 512)
    if truncated:
        body, records, authority = b"", [], b""
    out = 0x8480 | (flags & 0x0100) | code | (0x0200 if truncated else 0)
    counts = struct.pack("!HHHHHH", ident, out, 1, len(records), bool(authority), bool(edns))
    return counts + question + body + authority + edns


class Server:
    """Answers on threads of this process until close()."""

    def __init__(self, zone, port=0, host="127.0.0.1", log=None):
        self.zone, self.log = zone, log
        for _ in range(20):
            self.tcp = socket.socket()
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.tcp.bind((host, port))
            self.port = self.tcp.getsockname()[1]
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            try:
                self.udp.bind((host, self.port))
                break
            except OSError:
                self.tcp.close()
                if port:
                    raise
        self.tcp.listen(64)
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
                reply = answer(self.zone, query, True, self.log)
                if reply:
                    self.udp.sendto(reply, peer)
            except OSError:
                return
            except (IndexError, struct.error):
                continue

    def serve_tcp(self):
        while True:
            try:
                peer, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        with peer, peer.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                query = stream.read(struct.unpack("!H", head)[0])
                reply = answer(self.zone, query, False, self.log)
                if reply:
                    peer.sendall(struct.pack("!H", len(reply)) + reply)

    def close(self):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--zone", required=True)
    p.add_argument("--port", type=int, default=5353)
    p.add_argument("--log", action="store_true")
    o = p.parse_args()
    with open(o.zone) as f:
        zone = Zone(json.load(f))
    server = Server(zone, o.port, log=(lambda line: print(line, flush=True)) if o.log else None)
    print(f"127.0.0.1@{server.port}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()

#!/bin/bash
# Routing, DANE and MTA-STS decisions against signed zones and a policy server, all on loopback.
#   tools/dane_lab.sh CONFORMANCE [MARTLET]
# CONFORMANCE: the folder with dnslab/ (zones, certificates, dnslab.sh). MARTLET: the program, .build/debug/martlet if
# none is named. Needs nsd, ldnsutils, bind9-dnsutils, xxd, openssl and python3. Ends with 1 when a case is decided wrong.
set -eu
LAB=$(cd "${1:?the conformance folder}/dnslab" && pwd)
MARTLET=${2:-.build/debug/martlet}
PORT=${LAB_PORT:-5391}
HTTPS=${LAB_HTTPS_PORT:-5392}
TMP=$(mktemp -d)
WEB= LOSSY=
finish() {
    "$LAB/dnslab.sh" stop "$PORT" "$TMP/dns" || true
    [ -z "$WEB" ] || kill "$WEB" 2>/dev/null || true
    [ -z "$LOSSY" ] || kill "$LOSSY" 2>/dev/null || true
    rm -rf "$TMP"
}
trap finish EXIT

# The lab's zones, and names for the cases it has none for.
cp -r "$LAB/zones" "$TMP/zones"
{
    for d in wrongname testing none redirect html huge missing expired selfsigned wrongcert good1 broken; do
        echo "$d 300 IN MX 10 mx.insecure.example."
        echo "_mta-sts.$d 300 IN TXT \"v=STSv1; id=1;\""
        echo "mta-sts.$d 300 IN A 127.0.0.1"
    done
    echo 'twoids 300 IN MX 10 mx.insecure.example.'
    echo '_mta-sts.twoids 300 IN TXT "v=STSv1; id=1;"'
    echo '_mta-sts.twoids 300 IN TXT "v=STSv1; id=2;"'
    echo 'secalias 300 IN MX 10 mx-cname.good.example.'
    echo 'outalias 300 IN MX 10 alias-out.good.example.'
    echo 'alias-out 300 IN CNAME mx.insecure.example.'
    echo '_25._tcp.alias-out 300 IN TLSA @TLSA:mx.pem:3:1:1@'
    for m in ta wrong unusable notlsa roll self; do echo "to-$m 300 IN MX 10 mx-$m.good.example."; done
    # The zone of these records has a broken signature, the host's address has not.
    echo '_25._tcp.mx-bogustlsa 300 IN CNAME _25._tcp.mx.bogus.example.'
    echo 'mx-bogustlsa 300 IN A 127.0.0.25'
    echo 'to-bogustlsa 300 IN MX 10 mx-bogustlsa.good.example.'
    # An alias of itself: a resolver can only fail.
    echo 'endless 300 IN CNAME endless2'
    echo 'endless2 300 IN CNAME endless'
    echo '_mta-sts.failing 300 IN CNAME endless'
    echo '_25._tcp.mx-servfail 300 IN CNAME endless'
    echo 'mx-servfail 300 IN A 127.0.0.25'
    echo 'to-servfail 300 IN MX 10 mx-servfail.good.example.'
    # The way to the name server loses questions about these.
    echo 'mx-timeout 300 IN A 127.0.0.25'
    echo '_25._tcp.mx-timeout 300 IN TLSA @TLSA:mx.pem:3:1:1@'
    echo 'to-timeout 300 IN MX 10 mx-timeout.good.example.'
    echo 'timeout 300 IN MX 10 mx.good.example.'
    echo 'timeout 300 IN A 127.0.0.25'
    echo 'looped 300 IN MX 10 us.good.example.'
    echo 'looped 300 IN MX 20 mx.good.example.'
    echo 'backup 300 IN MX 10 mx.good.example.'
    echo 'backup 300 IN MX 20 us.good.example.'
    echo 'us 300 IN A 127.0.0.77'
    echo 'mixed 300 IN MX 0 .'
    echo 'mixed 300 IN MX 10 mx.good.example.'
    echo 'aliased 300 IN CNAME good.example.'
} >>"$TMP/zones/good.example.zone"
DNSLAB_ZONES="$TMP/zones" "$LAB/dnslab.sh" start "$PORT" "$TMP/dns" >/dev/null

# A root and certificates for the policy hosts.
certificate() { # name, subjectAltName, not after (days)
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/$1.key" -out "$TMP/$1.csr" \
        -subj "/CN=$1" 2>/dev/null
    openssl x509 -req -in "$TMP/$1.csr" -CA "$TMP/ca.pem" -CAkey "$TMP/ca.key" -CAcreateserial -days "$3" \
        -extfile <(echo "subjectAltName=DNS:$2") -out "$TMP/$1.pem" 2>/dev/null
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/ca.key" -out "$TMP/ca.pem" \
    -subj "/CN=laboratory root" -days 30 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/selfsigned.key" \
    -out "$TMP/selfsigned.pem" -subj "/CN=self" -addext "subjectAltName=DNS:mta-sts.selfsigned.good.example" \
    -days 30 2>/dev/null
NAMES=mta-sts.good1.good.example
for d in wrongname testing none redirect html huge missing broken good; do
    [ $d = good ] && NAMES="$NAMES,DNS:mta-sts.good.example" || NAMES="$NAMES,DNS:mta-sts.$d.good.example"
done
certificate good "$NAMES" 30
certificate wrongcert other.good.example 30
certificate expired mta-sts.expired.good.example -1
cat >"$TMP/web.py" <<'PY'
import http.server, ssl, sys
folder, port = sys.argv[1], int(sys.argv[2])
head = "version: STSv1\r\nmode: %s\r\nmx: %s\r\nmax_age: 86400\r\n"
policies = {
    "good1": head % ("enforce", "*.insecure.example"), "good": head % ("enforce", "mx.good.example"),
    "wrongname": head % ("enforce", "other.example"), "testing": head % ("testing", "other.example"),
    "none": head % ("none", "x.example"), "html": "<html>", "huge": "x: y\r\n" * 20000, "broken": "version: STSv9\r\n",
}
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        labels = self.headers["Host"].split(":")[0].split(".")
        name = labels[1]
        if self.path != "/.well-known/mta-sts.txt" or name == "missing": return self.send_error(404)
        if name == "redirect":
            self.send_response(302)
            self.send_header("Location", "https://mta-sts.good1.good.example:%d/.well-known/mta-sts.txt" % port)
            self.end_headers()
            return
        body = policies[name].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if name == "html" else "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
def context(name):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
    return c
default = context("good")
others = {n: context(n) for n in ("selfsigned", "wrongcert", "expired")}
def choose(connection, name, _):
    connection.context = others.get((name or ".").split(".")[1], default)
default.sni_callback = choose
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
server.socket = default.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("ready", flush=True)
server.serve_forever()
PY
python3 "$TMP/web.py" "$TMP" "$HTTPS" >"$TMP/web.out" 2>&1 &
WEB=$!
for _ in $(seq 50); do grep -q ready "$TMP/web.out" && break; sleep 0.1; done

# A way to the name server that loses some questions.
cat >"$TMP/lossy.py" <<'PY'
import socket, sys, threading
port, upstream = int(sys.argv[1]), int(sys.argv[2])
lost = [b"\x07timeout\x04good", b"\x04_tcp\x0amx-timeout"]
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", port))
def forward(question, client):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(3)
        s.sendto(question, ("127.0.0.1", upstream))
        try: server.sendto(s.recv(65535), client)
        except OSError: pass
while True:
    question, client = server.recvfrom(65535)
    if not any(name in question.lower() for name in lost):
        threading.Thread(target=forward, args=(question, client), daemon=True).start()
PY
python3 "$TMP/lossy.py" "$((HTTPS + 1))" "$PORT" &
LOSSY=$!

DNS=(--dns "127.0.0.1@$PORT" --trust-anchor "$TMP/dns/root.anchor" --dns-timeout 3)
WEBOPT=(--https-port "$HTTPS" --https-roots "$TMP/ca.pem" --https-address 127.0.0.1)
OWN=(--set server.hostname=us.good.example)
failed=0 cases=0
expect() { # pattern, then the command
    local pattern=$1 got
    shift
    got=$("$MARTLET" check "$@" 2>&1 | tr '\n' '|')
    cases=$((cases + 1))
    if [[ $got =~ $pattern ]]; then printf 'ok    %s\n' "${*: -1}: ${got:0:110}"; else
        failed=$((failed + 1))
        printf 'WRONG %s\n      wanted %s\n      got    %s\n' "$*" "$pattern" "$got"
    fi
}
dane() { expect "$2" dane "${DNS[@]}" "$1.example"; }
route() { expect "$2" route "${DNS[@]}" "${WEBOPT[@]}" "${OWN[@]}" "user@$1.example"; }
sts() { expect "$2" mta-sts "${DNS[@]}" "${WEBOPT[@]}" "$1.example"; }

echo "DANE of hosts"
dane mx.good '^usable mx.good.example.* 3 1 1'
dane mx-ta.good '^usable mx-ta.* 2 0 1'
dane mx-roll.good '^usable.*2 of 2'
dane mx-unusable.good '^unusable'
dane mx-notlsa.good '^none .*no signed records'
dane mx-cname.good '^usable mx.good.example'
dane mx-cname-out.good '^none'
dane alias-out.good '^usable alias-out.good.example'
dane tlsacname.good '^usable tlsacname.good.example'
dane mx-bogustlsa.good '^temperror .*TLSA.*DNSSEC'
dane mx-servfail.good '^temperror .*TLSA'
dane mx.insecure '^none .*not signed'
dane mx.bogus '^temperror .*DNSSEC'
dane mx.expired '^temperror .*DNSSEC'
dane mx.wrongds '^temperror .*DNSSEC'
dane nosuch.good '^nohost'

echo "Routes"
route good '^deliver .*10 mx.good.example .*dane\(3 1 1; mx.good.example,good.example\)'
route aliased.good '^deliver .*dane\(3 1 1; mx.good.example,aliased.good.example,good.example\)'
route to-ta.good '^deliver .*dane\(2 0 1; mx-ta.good.example,to-ta.good.example\)'
route to-self.good '^deliver .*dane\(3 1 1'
route to-wrong.good '^deliver .*dane\(3 1 1'
route to-roll.good '^deliver .*dane\(3 1 [12], 3 1 [12]'
route to-unusable.good '^deliver .* encrypted'
route to-notlsa.good '^deliver .* opportunistic'
route to-bogustlsa.good '^defer to-bogustlsa.good.example 4\.7\.5.*skipped 4.7.5 dnssec-invalid'
route to-servfail.good '^defer .* 4\.7\.5.*skipped 4.7.5 dnssec-invalid'
route secalias.good '^deliver .*dane\(3 1 1; mx.good.example,secalias.good.example\)'
route outalias.good '^deliver .*dane\(3 1 1; alias-out.good.example,outalias.good.example\)'
route insecmx.good '^deliver .* opportunistic'
route bogusmx.good '^defer .* 4\..*dnssec-invalid'
route twomx.good '^deliver .*20 mx.good.example.*dane.*10 mx.bogus.example skipped .*dnssec-invalid'
route bogus '^defer .* 4\.4\.3'
route expired '^defer .* 4\.4\.3'
route wrongds '^defer .* 4\.4\.3'
route nullmx.good '^fail .* 5\.1\.10'
route mixed.good '^deliver .*mx.good.example'
route amx.good '^deliver .* 0 amx.good.example .*opportunistic'
route nomail.good '^fail .* 5\.1\.2'
route nosuch.good '^fail .* 5\.1\.2'
route endless.good '^defer .* 4\.4\.3'
route looped.good '^fail .* 5\.4\.6'
route backup.good '^deliver [^|]*\|  10 mx.good.example [^|]*\|$'

LOSSYDNS=(--dns "127.0.0.1@$((HTTPS + 1))" --trust-anchor "$TMP/dns/root.anchor" --dns-timeout 3 --no-mta-sts)
expect '^deliver .*dane' route "${LOSSYDNS[@]}" good.example
expect '^defer .* 4\.7\.5.*skipped 4.7.5 dnssec-invalid' route "${LOSSYDNS[@]}" to-timeout.good.example
expect '^defer .* 4\.4\.3' route "${LOSSYDNS[@]}" timeout.good.example

echo "MTA-STS"
sts good '^enforce id=20260101000000Z max_age=86400 mx=mx.good.example'
sts good1.good '^enforce '
sts testing.good '^testing '
sts none.good '^none id=1'
sts nomail.good '^none .*no record'
sts twoids.good '^none .*no record'
sts failing.good '^temperror'
sts redirect.good '^sts-policy-fetch-error .*302'
sts missing.good '^sts-policy-fetch-error .*404'
sts html.good '^sts-policy-invalid .*text/html'
sts huge.good '^sts-policy-invalid .*too large'
sts broken.good '^sts-policy-invalid .*version'
sts expired.good '^sts-webpki-invalid .*expired'
sts selfsigned.good '^sts-webpki-invalid .*root'
sts wrongcert.good '^sts-webpki-invalid'
expect '^sts-policy-fetch-error .*not public' mta-sts "${DNS[@]}" --https-port "$HTTPS" good1.good.example
route good1.good '^deliver .*mx.insecure.example .*web-pki\(mx.insecure.example\)'
route wrongname.good '^defer .* 4\.7\.5.*skipped 4.7.5 validation-failure'
route testing.good '^deliver .* opportunistic \(testing: web-pki\(\)\)'
route none.good '^deliver .* opportunistic'
route expired.good '^deliver .*sts-webpki-invalid.* opportunistic'
route missing.good '^deliver .*sts-policy-fetch-error.* opportunistic'

echo "REQUIRETLS"
expect '^deliver .*dane' route "${DNS[@]}" --no-mta-sts --require-tls good.example
expect '^deliver .*web-pki\(mx-notlsa.good.example\)' route "${DNS[@]}" --no-mta-sts --require-tls to-notlsa.good.example
expect '^fail .* 5\.7\.10' route "${DNS[@]}" --no-mta-sts --require-tls insecure.example
expect '^deliver .*web-pki\(mx.insecure.example\)' route "${DNS[@]}" "${WEBOPT[@]}" --require-tls good1.good.example

echo "$cases cases, $failed wrong"
[ "$failed" = 0 ]

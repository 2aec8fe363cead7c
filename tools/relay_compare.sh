#!/usr/bin/env bash
# Relaying end to end (accepted durably, delivered to the sink, settled): Martlet beside Postfix and OpenSMTPD, in
# interleaved rounds with the same generator, the same scripted sink and as many open connections allowed. Needs the
# measuring bundle (PEERS_TOOLS names its folder) set up on this machine, and root for its namespaces.
#   tools/relay_compare.sh [ROUNDS] [OUT]         SCENARIOS and SERVERS choose; SCALE=0.2 for fewer messages
# A scenario is dD, one message a transaction to D destinations; dD-delayMS makes the sink wait MS before each reply to the
# final dot; dD-everyMS before each reply of a transaction.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=$(realpath "${PEERS_TOOLS:-../shared/peers}")
[ -x "$tools/run.sh" ] || { echo "SKIPPED: no measuring bundle at $tools (set PEERS_TOOLS)" >&2; exit 75; }
HERE=$tools
# shellcheck disable=SC1091
. "$tools/lib.sh"
set +e
rounds=${1:-5}
out=$(realpath -m "${2:-/tmp/martlet-relay.txt}")
scenarios=${SCENARIOS:-d1 d10 d100 d100-delay50 d100-delay2000}
servers=${SERVERS:-martlet postfix opensmtpd}
bin=$(realpath "${BIN_DIR:-.build/release}")
bench=$bin/martlet-bench martlet=$bin/martlet
folder=$(mktemp -d -t martlet-relay-XXXXXX)
SINK=
end_sink() { if [ -n "$SINK" ]; then kill -TERM "$SINK" 2>/dev/null; wait "$SINK" 2>/dev/null; fi; SINK=; }
trap 'stop_peer; end_sink; rm -rf "$folder"' EXIT
ulimit -n 200000 2>/dev/null || ulimit -n "$(ulimit -Hn)"

# Connections allowed: in all, and to each destination.
connections_max=${CONNECTIONS:-1000}
each_max=${EACH_MAX:-50}
each() { local n=$((connections_max / $1)); echo $((n > each_max ? each_max : n)); }

eval "$(declare -f configure | sed '1s/configure/configure_usual/')"
configure() { # as the bundle does, then one destination for each domain
    configure_usual "$@"
    local i P=$PEERS/$1
    case $1 in
    postfix)
        for ((i = 0; i < DESTINATIONS; i++)); do echo "d$i.test smtp:[127.1.0.$i]:$SINK_PORT"; done \
            >"$P/etc/postfix/transport"
        { echo "transport_maps = texthash:/etc/postfix/transport"
          echo "initial_destination_concurrency = $CONNS"
          echo "default_destination_concurrency_limit = $CONNS"
          echo "default_process_limit = $((connections_max + 100))"
          echo "in_flow_delay = 0"; } >>"$P/etc/postfix/main.cf" ;;
    opensmtpd)
        sed -i "/^action/d; /^match/d; s/^\(mta limit max-conn-per-[a-z]*\) .*/\1 $CONNS/" "$P/etc/smtpd.conf"
        for ((i = 0; i < DESTINATIONS; i++)); do
            echo "action \"r$i\" relay host smtp://127.1.0.$i:$SINK_PORT helo mx.bench.test"
            echo "match from any for domain \"d$i.test\" action \"r$i\""
        done >>"$P/etc/smtpd.conf" ;;
    esac
}

configure_martlet() {
    python3 - "$folder" "$DESTINATIONS" "$SINK_PORT" "$CONNS" <<'PY'
import json, sys
folder, destinations, port, connections = sys.argv[1], *map(int, sys.argv[2:])
json.dump({
    "server": {"hostname": "mx.bench.test"},
    "smtp": {"listeners": [{"address": "127.0.0.1:2525", "kind": "mx", "tls": "none"}], "max_connections": 12000,
             "max_connections_per_ip": 12000, "relay_networks": ["127.0.0.0/8"]},
    "delivery": {"max_connections_per_destination": connections,
                 "routes": [{"domain": f"d{i}.test", "to": f"127.1.0.{i}", "port": port, "protocol": "smtp",
                             "tls": "none"} for i in range(destinations)]},
    "store": {"path": folder + "/data"}, "metrics": {"listen": "127.0.0.1:9154"},
}, open(folder + "/config.json", "w"))
PY
    printf '#!/bin/bash\nrm -rf "%s/data"\nexec "%s" serve --config "%s/config.json" 2>"%s/log"\n' \
        "$folder" "$martlet" "$folder" "$folder" >"$folder/serve"
    chmod +x "$folder/serve"
    export CUSTOM_CMD="$folder/serve" CUSTOM_PORT=2525
    PORTS[custom]=2525
}

taken() { tail -n 2 "$folder/sink.out" | grep -o '"messages":[0-9]*' | tail -1 | cut -d: -f2; }
peak() { tail -n 2 "$folder/sink.out" | grep -o '"open_max":[0-9]*' | tail -1 | cut -d: -f2; }

one() { # SCENARIO SERVER
    local scenario=$1 server=$2 script='' n want b c0 c1 t0 t1 i got accepted peer=$2
    DESTINATIONS=$(sed 's/^d\([0-9]*\).*/\1/' <<<"$scenario")
    CONNS=$(each "$DESTINATIONS")
    n=6000
    # What takes less than a second cannot be timed by a count that is read ten times a second.
    case $server-$scenario in martlet-*-*) ;; martlet-*) n=30000 ;; opensmtpd-*) n=1500 ;; esac
    case $scenario in
    *-delay*) local s; s=$(awk "BEGIN{print ${scenario##*-delay}/1000}"); script="dot delay $s" ;;
    *-every*) local s; s=$(awk "BEGIN{print ${scenario##*-every}/1000}")
        script="mail delay $s; rcpt delay $s; data delay $s; dot delay $s" ;;
    esac
    n=$(awk "BEGIN{print int($n*${SCALE:-1})}")
    : >"$folder/sink.out"
    "$bench" sink --listen "0.0.0.0:$SINK_PORT" --json --interval 0.1 ${script:+--script "$script"} \
        >"$folder/sink.out" 2>/dev/null &
    SINK=$!
    wait_port "$SINK_PORT" || return 1
    [ "$server" = martlet ] && { configure_martlet; peer=custom; }
    start_peer "$peer" relay || { end_sink; return 1; }
    local to=(--to-template 'u@d%d.test' --users "$DESTINATIONS" --size 4k --concurrency 50)
    "$bench" load "127.0.0.1:$PEER_PORT" "${to[@]}" --messages $((DESTINATIONS * 4 + 200)) >/dev/null 2>&1
    want=$((DESTINATIONS * 4 + 200))
    for ((i = 0; i < 600; i++)); do got=$(taken); [ "${got:-0}" -ge "$want" ] && break; sleep 0.1; done
    sleep 1
    b=$(taken); b=${b:-0}
    c0=$(cpu_us) t0=$(now_us)
    accepted=$("$bench" load "127.0.0.1:$PEER_PORT" "${to[@]}" --messages "$n" --json 2>/dev/null)
    t1=$(now_us)
    local accept_rate; accept_rate=$(awk "BEGIN{printf \"%.1f\", $n*1e6/($t1-$t0)}")
    local limit=$((${LIMIT_SECONDS:-120} * 20))
    for ((i = 0; i < limit; i++)); do got=$(taken); [ $((${got:-0} - b)) -ge "$n" ] && break; sleep 0.05; done
    t1=$(now_us)
    # What is settled after the sink's reply counts too.
    sleep 0.3
    c1=$(cpu_us)
    read -r pss _ <<<"$(mem_kb)"
    awk -v n=$((${got:-0} - b)) -v t=$((t1 - t0)) -v cpu=$((c1 - c0)) -v s="relay-$scenario" -v p="$server" -v w="$n" \
        -v a="$accept_rate" -v o="$(peak)" -v m="$pss" -v k="$CONNS" -v l="$(cut -d' ' -f1 /proc/loadavg)" \
        'BEGIN{printf "scenario=%s peer=%s mode=relay ok=%d failed=%d secs=%.3f rate=%.1f/s accept_rate=%s/s srv_cpu_us=%.1f connections=%d allowed_each=%d pss_mb=%d load1=%s\n", s,p,n,w-n,t/1e6,n/(t/1e6),a,n?cpu/n:0,o,k,m/1024,l}'
    [ -n "$accepted" ] || echo "no report of the generator" >&2
    stop_peer
    end_sink
}

: >"$out"
for ((round = 0; round < rounds; round++)); do
    for scenario in $scenarios; do
        for server in $servers; do one "$scenario" "$server" 2>>"$out.err" | tee -a "$out"; done
    done
done
python3 "$tools/summarize.py" "$out" rate accept_rate srv_cpu_us connections pss_mb failed
echo "raw lines: $out" >&2

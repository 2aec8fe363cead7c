#!/usr/bin/env bash
# Martlet beside other servers on this machine, in interleaved rounds. Needs the measuring bundle (run.sh, compare.sh,
# summarize.py; PEERS_TOOLS names its folder) set up on this machine, and root for its namespaces.
#   tools/compare.sh [ROUNDS] [OUT]         SCENARIOS and SLOW choose what is run, SERVERS who takes part
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=${PEERS_TOOLS:-../shared/peers}
[ -x "$tools/run.sh" ] || { echo "SKIPPED: no measuring bundle at $tools (set PEERS_TOOLS)" >&2; exit 75; }
# Where the bundle was unpacked: as it says itself.
export PEERS=${PEERS:-$(sed -n 's/^PEERS=${PEERS:-\(.*\)}$/\1/p' "$tools/lib.sh")}
rounds=${1:-5}
out=$(realpath -m "${2:-/tmp/martlet-compare.txt}")
scenarios=${SCENARIOS:-accept-c50 accept-c200 session-c10 session-c50 session-c200 pipe-c50 rcpt10-c10 size64k size1m \
tls-hs tls-session tls-resume latency-r200}
slow=${SLOW:-accept-c50 session-c50}
servers=${SERVERS:-postfix ideal:sqlite custom}
martlet=$PWD/.build/release/martlet
folder=$(mktemp -d -t martlet-compare-XXXXXX)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/config.json" <<JSON
{"server": {"hostname": "mx.bench.test"},
 "smtp": {"listeners": [{"address": "127.0.0.1:2525", "kind": "mx", "tls": "starttls"}], "max_connections": 12000,
          "max_connections_per_ip": 12000},
 "store": {"path": "$folder/data"}, "metrics": {"listen": "127.0.0.1:9154"},
 "auth": {"enabled": ${CHECKS:-false}}}
JSON
"$martlet" domain add bench.test --config "$folder/config.json" >/dev/null
for i in 0 1 2 3 4 5 6 7 8 9; do
    echo "bench-password-$i" | "$martlet" account add "u$i@bench.test" --password-stdin --config "$folder/config.json" >/dev/null
done
mv "$folder/data" "$folder/template"

# Each run begins with an empty store, as the other servers' do.
cat >"$folder/serve" <<SH
#!/bin/bash
rm -rf "$folder/data" && cp -a "$folder/template" "$folder/data"
if [ "\${SYNC_DELAY_US:-0}" -gt 0 ]; then
    export SLOWSYNC_US=\$SYNC_DELAY_US LD_PRELOAD=$PEERS/bin/slowsync.so
fi
exec "$martlet" serve --config "$folder/config.json" 2>"$folder/log"
SH
chmod +x "$folder/serve"
export CUSTOM_CMD="$folder/serve" CUSTOM_PORT=2525

: >"$out"
[ "$scenarios" = none ] || bash "$tools/compare.sh" "$rounds" "$scenarios" "$servers" "$out"
if [ "$slow" != none ]; then SYNC_DELAY_US=1000 bash "$tools/compare.sh" "$rounds" "$slow" "$servers" "$out.slow"; fi

#!/usr/bin/env bash
# What to type next, printed before `make run` starts to serve. Ports are those of the config's listeners.
set -euo pipefail
config=${1:-config.dev.json}

port() {
    grep -oE '"address"[^}]*"kind"[[:space:]]*:[[:space:]]*"'"$1"'"' "$config" | grep -oE ':[0-9]+"' | tr -dc '0-9\n' | head -n 1
}
mx=$(port mx || true)
submission=$(port submission || true)

cat <<TEXT

Martlet serves the demo domain martlet.localhost with the accounts
alice@martlet.localhost and bob@martlet.localhost, password martlet-demo.

Send a message from outside:
  swaks --server 127.0.0.1:${mx:-2525} --from you@example.org --to bob@martlet.localhost

Send one as alice, over TLS:
  swaks --server 127.0.0.1:${submission:-2587} -tls --auth-user alice@martlet.localhost --auth-password martlet-demo \\
    --from alice@martlet.localhost --to bob@martlet.localhost

Read it:
  .build/release/martlet mailbox list bob@martlet.localhost --config $config
  .build/release/martlet mailbox read bob@martlet.localhost ID --config $config

TEXT

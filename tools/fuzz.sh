#!/usr/bin/env bash
# tools/fuzz.sh TARGET SECONDS: builds Tests/Fuzz/TARGET.swift with libFuzzer and AddressSanitizer and runs it.
# Without a target every one runs, SECONDS each. Base and Protocols have no C in them, so swiftc alone builds them; the
# checks of MailAuth use Crypto, which is built with its C modules; the ledger stands on those.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${1:-}
seconds=${2:-60}
out=.build-fuzz
mkdir -p "$out"

flags=(
    -O -g -wmo -parse-as-library -swift-version 6 -package-name martlet
    -sanitize=fuzzer,address -use-ld=lld -I "$out"
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature MemberImportVisibility
    -enable-upcoming-feature InternalImportsByDefault
)

module() { # name, extra flags -- sources
    local name=$1
    shift
    local extra=()
    while [ "$1" != "--" ]; do extra+=("$1"); shift; done
    shift
    local newest
    newest=$(find "$@" "$0" -newer "$out/$name.o" -print -quit 2>/dev/null || true)
    if [ ! -e "$out/$name.o" ] || [ -n "$newest" ]; then
        swiftc "${flags[@]}" "${extra[@]}" -module-name "$name" -emit-module -emit-module-path "$out/$name.swiftmodule" \
            -c -o "$out/$name.o" "$@"
    fi
}

mapfile -d '' base < <(find Sources/Base -name '*.swift' -print0 | sort -z)
mapfile -d '' protocols < <(find Sources/Protocols -name '*.swift' -print0 | sort -z)
mapfile -d '' crypto < <(find Sources/Crypto -name '*.swift' -print0 | sort -z)
mapfile -d '' policy < <(find Sources/Policy -name '*.swift' -print0 | sort -z)
mapfile -d '' handoff < <(find Sources/Handoff -name '*.swift' -print0 | sort -z)
mapfile -d '' ledger < <(find Sources/Ledger -name '*.swift' -print0 | sort -z)
mapfile -d '' mailauth < <(find Sources/MailAuth -name '*.swift' -print0 | sort -z)
# The part of the configuration that reads bytes.
config=(Sources/Server/Configuration/ConfigParser.swift Sources/Server/Configuration/ConfigText.swift)

# C modules as Crypto sees them, and what to link for them.
libraries=()
checks() {
    local name file
    local imports=(-I Sources/CIDN2 -I Sources/CCrypt)
    for name in CEpoll COpenSSL; do
        mkdir -p "$out/$name"
        echo "module $name { umbrella header \"$PWD/Sources/$name/include/$name.h\" export * }" \
            > "$out/$name/module.modulemap"
        imports+=(-I "$out/$name")
        for file in Sources/"$name"/*.c; do
            clang -O1 -g -I "Sources/$name/include" -c -o "$out/$name/$(basename "$file" .c).o" "$file"
        done
        objects+=("$out/$name"/*.o)
    done
    flags+=("${imports[@]}")
    module Crypto -- "${crypto[@]}"
    module MailAuth -- "${mailauth[@]}"
    objects+=("$out/Crypto.o" "$out/MailAuth.o")
    libraries=(-lssl -lcrypto -lidn2 -lcrypt)
}

run() {
    local name=$1
    local flags=("${flags[@]}")
    [ -f "Tests/Fuzz/$name.swift" ] || { echo "no Tests/Fuzz/$name.swift" >&2; exit 64; }
    local sources=("Tests/Fuzz/$name.swift")
    local objects=("$out/Base.o")
    module Base -enable-experimental-feature Lifetimes -- "${base[@]}"
    if [ "$name" = FuzzConfig ]; then
        sources+=("${config[@]}")
    else
        case $name in FuzzSession* | FuzzCommand) sources+=(Tests/Fuzz/Support/*.swift) ;; esac
        module Protocols -- "${protocols[@]}"
        objects+=("$out/Protocols.o")
        if grep -qE '^import (MailAuth|Ledger)' "${sources[0]}"; then checks; fi
        if grep -qE '^import (Ledger|Policy)' "${sources[0]}"; then
            module Policy -- "${policy[@]}"
            objects+=("$out/Policy.o")
        fi
        if grep -q '^import Ledger' "${sources[0]}"; then
            module Handoff -enable-experimental-feature Lifetimes -- "${handoff[@]}"
            module Ledger -- "${ledger[@]}"
            objects+=("$out/Handoff.o" "$out/Ledger.o")
        fi
    fi
    # Unoptimised, so that a broken property says which one it was.
    swiftc "${flags[@]}" -Onone -module-name "$name" -emit-executable \
        -emit-module-path "$out/$name.swiftmodule" -o "$out/$name" "${sources[@]}" "${objects[@]}" \
        "${libraries[@]}"
    mkdir -p "$out/corpus/$name"
    echo "$name: $seconds s"
    # Swift's own crash handler reads freed memory, which AddressSanitizer would report instead of the cause.
    SWIFT_BACKTRACE=enable=no "$out/$name" "$out/corpus/$name" "Tests/Fuzz/corpus/$name" -max_total_time="$seconds" -max_len=16384 \
        -rss_limit_mb=1024 -timeout=30 -print_final_stats=1 -artifact_prefix="$out/" \
        > "$out/$name.log" 2>&1 || { tail -n 40 "$out/$name.log"; echo "$name FAILED" >&2; exit 1; }
    grep -E 'number_of_executed_units|peak_rss_mb' "$out/$name.log"
}

if [ -n "$target" ]; then
    run "$target"
else
    for file in Tests/Fuzz/Fuzz*.swift; do run "$(basename "$file" .swift)"; done
fi

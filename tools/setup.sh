#!/usr/bin/env bash
# Installs the Debian packages that are missing; silent when there are none.
set -euo pipefail

packages=(
    libssl-dev libsqlite3-dev libunbound-dev libidn2-dev zlib1g-dev libcurl4-openssl-dev libcrypt-dev
    swaks curl python3
)

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "Installing ${missing[*]}" >&2
root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Run as root: apt-get install ${missing[*]}" >&2; exit 77; }
    root=(sudo)
fi
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

#!/usr/bin/env bash
# Installs what `make test` needs and nothing that is there already: a browser, Prometheus and node_exporter to talk to,
# cargo-nextest, npm packages. Prometheus and node_exporter are unpacked below target/peers, not installed: their Debian
# packages would start services on the ports that Cairn and its tests use.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
updated=
update_once() { [ -n "$updated" ] || as_root apt-get update -qq; updated=1; }

packages=()
command -v chromium >/dev/null || packages+=(chromium fonts-dejavu-core)
command -v cc >/dev/null || packages+=(gcc libc6-dev)
command -v curl >/dev/null || packages+=(curl)
if [ ${#packages[@]} -gt 0 ]; then
  update_once
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

peers=target/peers
mkdir -p "$peers/deb"
for package in prometheus prometheus-node-exporter; do
  [ -x "$peers/usr/bin/$package" ] && continue
  apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [0-9]' || update_once
  # _apt may not write here: as root, apt-get falls back to downloading without its sandbox and says so.
  (cd "$peers/deb" && apt-get download -qq "$package" 2>/dev/null)
  dpkg -x "$peers"/deb/"$package"_*.deb "$peers"
done

rustup component add rustfmt clippy >/dev/null 2>&1 || true
cargo nextest --version >/dev/null 2>&1 || cargo install cargo-nextest --locked --quiet

[ web/node_modules/.package-lock.json -nt web/package-lock.json ] || (cd web && npm ci --no-audit --no-fund --loglevel=error)

#!/usr/bin/env bash
# Unpacks Debian's Prometheus and VictoriaMetrics below target/peers, installing nothing. Debian's testing suites have newer
# ones than stable: SUITE=sid (the default) is asked through the mirror that apt uses already.
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=$PWD/target/peers
apt=$peers/apt-${SUITE:=sid}
mkdir -p "$peers/deb" "$apt/lists/partial" "$apt/archives/partial"
mirror=$(grep -hoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 | tr -d ' ')
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} $SUITE main" >"$apt/sources.list"
options=(-qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$apt/lists"
         -o "Dir::Cache=$apt" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update
for package in prometheus victoria-metrics; do
  (cd "$peers/deb" && apt-get "${options[@]}" download "$package")
  dpkg -x "$(ls -t "$peers/deb/${package}"_*.deb | head -n 1)" "$peers"
done
"$peers/usr/bin/prometheus" --version 2>&1 | head -n 1
"$peers/usr/bin/victoria-metrics" -version 2>&1 | head -n 1

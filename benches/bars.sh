#!/usr/bin/env bash
# Measures the release binary against the bars of the first day and prints each figure; fails over a bar.
#   size            the stripped binary                                       <= 30 MiB
#   start           from exec to 200 on /-/ready, empty directory, median     <= 100 ms
#   idle memory     RSS, one node_exporter at 5 s, home page open in Chromium <= 30 MB
# Usage: benches/bars.sh [seconds to idle, default 60]. Needs target/release/cairn, tests/deps.sh run before.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=target/release/cairn
idle=${1:-60}
work=$(mktemp -d)
pids=()
cleanup() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
over=0
say() { # name, figure, unit, bar
  local mark=ok
  if awk "BEGIN{exit !($2 > $4)}"; then mark=OVER; over=1; fi
  printf '%-14s %8s %-4s bar %6s  %s\n' "$1" "$2" "$3" "$4" "$mark"
}

say size "$(awk "BEGIN{printf \"%.1f\", $(stat -c %s "$bin") / 1048576}")" MiB 30

# One connection attempt every two milliseconds, from a process that is running already.
cat > "$work/start.mjs" <<'JS'
import { spawn } from 'node:child_process'
import http from 'node:http'
const [bin, dir, port] = process.argv.slice(2)
const ready = () => new Promise((done) => {
  http.get({ host: '127.0.0.1', port, path: '/-/ready', agent: false }, (r) => { r.resume(); done(r.statusCode === 200) }).on('error', () => done(false))
})
const began = process.hrtime.bigint()
const child = spawn(bin, [`--web.listen-address=127.0.0.1:${port}`, `--storage.tsdb.path=${dir}`], { stdio: 'ignore' })
while (!(await ready())) await new Promise((next) => setTimeout(next, 2))
console.log(Number(process.hrtime.bigint() - began) / 1e6)
child.kill('SIGTERM')
JS
starts=()
for run in 1 2 3 4 5; do starts+=("$(node "$work/start.mjs" "$bin" "$work/start$run" $((19300 + run)))"); done
say start "$(printf '%s\n' "${starts[@]}" | sort -n | sed -n 3p | awk '{printf "%.0f", $1}')" ms 100

exporter=target/peers/usr/bin/prometheus-node-exporter
[ -x "$exporter" ] || exporter=$(command -v prometheus-node-exporter)
"$exporter" --web.listen-address=127.0.0.1:19310 --log.level=error >/dev/null 2>&1 & pids+=($!)
cat > "$work/prometheus.yml" <<'YAML'
global: {scrape_interval: 5s}
scrape_configs:
- job_name: node
  static_configs: [{targets: ['127.0.0.1:19310']}]
YAML
"$bin" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/idle" --web.listen-address=127.0.0.1:19311 >/dev/null 2>&1 & cairn=$!
pids+=("$cairn")
sleep 1
chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update \
  --disable-sync --user-data-dir="$work/profile" --remote-debugging-port=0 http://127.0.0.1:19311/ >/dev/null 2>&1 & pids+=($!)
sleep "$idle"
say "idle memory" "$(awk '/VmRSS/{printf "%.1f", $2 * 1024 / 1e6}' "/proc/$cairn/status")" MB 30
exit "$over"

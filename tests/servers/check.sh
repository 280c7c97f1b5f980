#!/usr/bin/env bash
# Runs served.srlm against llama.cpp's own server; see README.md. PYTHON has xllamacpp and gguf, SRLM is the program.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$(realpath -s "${PYTHON:-python3}")
srlm=$(realpath "${SRLM:-target/release/srlm}")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
cp "$here"/*.srlm .
export SRLM_CHECK_KEY=sk-check-4f1d27 NO_COLOR=1
fail() { echo "FAILED: $1"; exit 1; }

"$srlm" run make.srlm > made.log 2>&1
"$srlm" save make.srlm tiny model > saved.log
"$python" "$here/to_gguf.py" model tiny.gguf
"$python" "$here/serve.py" tiny.gguf "$SRLM_CHECK_KEY" 4 > server.out 2> server.log &
server=$!
for _ in $(seq 300); do [ -s server.out ] && break; sleep 0.1; done
[ -s server.out ] || { cat server.log; fail "the server does not start"; }
url="url=\"$(cat server.out)/v1\""
run() { "$srlm" run served.srlm -p "$url" "$@"; }

for target in here there own told drawn taught; do run --target $target --json >> events.jsonl 2>> run.log; done
"$srlm" save served.srlm own own -p "$url" > saved.log
"$srlm" save served.srlm told told -p "$url" >> saved.log
cmp own/data.jsonl told/data.jsonl || fail "the server's greedy completions are not srlm's own"
echo "greedy completions equal to srlm's own, to the byte: $(wc -l < told/data.jsonl)"
accuracies=$(grep -o '"sums.accuracy":[0-9.e-]*' events.jsonl | sort -u)
[ "$(echo "$accuracies" | wc -l)" = 1 ] || fail "the two accuracies differ: $accuracies"
echo "the accuracy of both: ${accuracies#*:}"

answers() { cat .srlm/answers/*/answers.jsonl | wc -l; }
before=$(answers)
run --target told --target drawn > again.log 2>&1
[ "$(answers)" = "$before" ] || fail "a second run asked again"

"$srlm" run served.srlm -p "$url" -p more=400 --target long > stopped.log 2>&1 &
long=$!
until [ "$(answers)" -ge $((before + 200)) ]; do sleep 0.02; done
kill -INT "$long"
wait "$long" && fail "the run was not stopped" || [ $? = 130 ] || fail "a stopped run ends with another code than 130"
kept=$(($(answers) - before))
run -p more=400 --target long --json > resumed.jsonl
asked=$(grep -o '"requests":[0-9.]*' resumed.jsonl | head -1 | cut -d: -f2)
echo "stopped after $kept of 3200 answers; the same command asked ${asked%.*} more"
[ $((kept + ${asked%.*})) = 3200 ] || fail "something was asked twice"

refused() { if "$@" > refused.log 2>&1; then fail "it was not refused"; fi; cat refused.log | grep -m1 -E "\([0-9]{3}\)"; }
refused env SRLM_CHECK_KEY=sk-wrong-99 "$srlm" run served.srlm -p "$url" -p more=3 --target long
if grep -rlE "sk-check-4f1d27|sk-wrong-99" .srlm *.log *.jsonl | grep -v server.log; then fail "a key was written"; fi
echo "no file holds a key"

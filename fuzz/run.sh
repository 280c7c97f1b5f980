#!/usr/bin/env bash
# Runs a fuzz target from the repository's own programs: run.sh check|fmt|grade SECONDS
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1 seconds=$2 corpus=fuzz/corpus/$1
mkdir -p "$corpus"
if [ "$target" = grade ]; then
  # The examples of the page, one a file: the gold answer, then the answer on a line of its own.
  grep -E '  !?~  ' docs/grading.md | sed -E 's/  !?~  /\n/; s/  [a-z]+$//' | split -l 2 - "$corpus/seed-"
fi
find tests/spec stdlib pipelines -name '*.srlm' -print0 | while IFS= read -r -d '' file; do
  cp "$file" "$corpus/seed-$(echo "$file" | tr / -)"
done
# These rooms have no `unsafe`, so an address sanitizer would only make each run twenty times slower.
cargo +nightly fuzz run --sanitizer none "$target" "$corpus" -- \
  -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=4096 -dict=fuzz/srlm.dict -print_final_stats=1

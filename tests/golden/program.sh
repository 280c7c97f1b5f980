# Takes the rows whose number is odd, and says in a file of its own how many.
test "$(cat inputs/more/data.jsonl | wc -l)" -gt 0 || exit 1
awk 'NR % 2 == 1' input/data.jsonl > out/data.jsonl
wc -l < out/data.jsonl | tr -d ' ' > out/count

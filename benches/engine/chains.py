"""Writes the same graph, N chains of 4 programs, as a file of srlm, of dvc and of snakemake.

    python3 benches/engine/chains.py FOLDER N

makes FOLDER/chains.srlm, FOLDER/dvc.yaml, FOLDER/Snakefile, and the script and the rows that all three of them use.
Each notation says it as its users would: a sweep, `foreach`, wildcards.
"""

import pathlib
import sys

STEPS = 4

SCRIPT = """\
# Adds a row to those of the step before. usage: step.sh CHAIN STEP FROM TO
cat "$3" > "$4"
printf '{"id":"%s.%s","messages":[{"role":"user","content":"%s"}]}\\n' "$1" "$2" "$1" >> "$4"
"""

ROW = '{"id":"0.0","messages":[{"role":"user","content":"0"}]}\n'

SRLM = """\
# {n} chains of 4 programs.
recipe start(chain: Int) -> Dataset = exec {{
  cmd:  ["sh", "step.sh", "${{chain}}", "1", "in.jsonl", "out/data.jsonl"]
  code: ["step.sh", "in.jsonl"]
}}

recipe link(rows: Dataset, chain: Int, number: Int) -> Dataset = rows |> exec {{
  cmd:   ["sh", "step.sh", "${{chain}}", "${{number}}", "input/data.jsonl", "out/data.jsonl"]
  code:  ["step.sh"]
  takes: "dataset"
}}

sweep chains {{
  over chain in 1..{n}
  return start(chain) |> link(chain, 2) |> link(chain, 3) |> link(chain, 4)
}}
"""


def srlm(n):
    return SRLM.format(n=n)


def dvc(n):
    chains = ", ".join(str(chain) for chain in range(1, n + 1))
    stage = """\
  step{step}:
    foreach: [{chains}]
    do:
      cmd: sh step.sh ${{item}} {step} {source} made/${{item}}.{step}.jsonl
      deps: [step.sh, "{source}"]
      outs: ["made/${{item}}.{step}.jsonl"]
"""
    sources = ["in.jsonl"] + [f"made/${{item}}.{step}.jsonl" for step in range(1, STEPS)]
    stages = [stage.format(step=step, chains=chains, source=source) for step, source in enumerate(sources, 1)]
    return "stages:\n" + "".join(stages)


def snakemake(n):
    rule = """
rule step{step}:
    input: script="step.sh", rows="{source}"
    output: "made/{{chain}}.{step}.jsonl"
    shell: "sh {{input.script}} {{wildcards.chain}} {step} {{input.rows}} {{output}}"
"""
    sources = ["in.jsonl"] + [f"made/{{chain}}.{step}.jsonl" for step in range(1, STEPS)]
    rules = [rule.format(step=step, source=source) for step, source in enumerate(sources, 1)]
    head = f'rule all:\n    input: expand("made/{{chain}}.{STEPS}.jsonl", chain=range(1, {n} + 1))\n'
    return head + "".join(rules)


def write(folder, n):
    """Writes the three notations of N chains into a folder, which is made."""
    folder = pathlib.Path(folder)
    (folder / "made").mkdir(parents=True, exist_ok=True)
    files = {"step.sh": SCRIPT, "in.jsonl": ROW, "chains.srlm": srlm(n), "dvc.yaml": dvc(n), "Snakefile": snakemake(n)}
    for name, text in files.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]))

"""Measures srlm beside dvc and snakemake on the same chains of programs, and prints the tables of docs/performance.md.

    python3 benches/engine/compare.py                      # everything, in sizes that each engine can finish
    python3 benches/engine/compare.py --part noop --sizes 25 --work FOLDER

`--work` keeps the built projects, so that parts can be measured one by one on a quiet machine. $SRLM names another
program than this repository's release build, $PEERS the folder of the virtual environment with dvc and snakemake.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import chains
from engines import Engine, engines, fresh, timed

# The largest number of chains that an engine builds by running every program. Beyond it the results are made by a plain
# loop, and the engine is told that they are its own: it would take too long otherwise.
BUILDS = {"srlm": 2500, "dvc": 25, "snakemake": 250}
# The largest that is measured at all.
MEASURED = {"srlm": 2500, "dvc": 250, "snakemake": 2500}
ADOPT = {"dvc": ["commit", "-f", "-q"], "snakemake": ["--touch", "-q", "--cores", "2"]}


def project(engine: Engine, n, work):
    """A built project of N chains, with the seconds of its first build; none where that is not done by running."""
    folder = work / f"{engine.name}-{n}"
    note = folder / "first.json"
    if note.exists():
        return folder, json.loads(note.read_text())
    chains.write(fresh(folder), n)
    engine.prepare(folder)
    first = None
    if n <= BUILDS[engine.name]:
        ended = engine.ask(engine.run, folder)
        assert ended.code == 0, f"{engine.name} does not build {n} chains"
        first = ended.seconds
    else:
        loop(folder, n)
        ended = engine.ask(ADOPT[engine.name], folder, quiet=False)
        assert ended.code == 0, ended.out
    note.write_text(json.dumps(first))
    return folder, first


def loop(folder, n):
    """Runs every program of N chains one after the other, without an engine; the seconds of it."""
    lines = []
    for chain in range(1, n + 1):
        sources = ["in.jsonl"] + [f"made/{chain}.{step}.jsonl" for step in range(1, chains.STEPS)]
        lines += [f"sh step.sh {chain} {step} {source} made/{chain}.{step}.jsonl" for step, source in enumerate(sources, 1)]
    script = folder / "loop.sh"
    script.write_text("set -e\n" + "\n".join(lines) + "\n")
    ended = timed(["sh", "loop.sh"], folder)
    assert ended.code == 0
    return ended.seconds


def noop(args, work):
    """No-op times: rounds of all commands in turn, so that what else the machine does falls on all of them alike."""
    print("\n| chains | stages | engine | nothing to do: plan | run | run ÷ plan | memory of run |\n|---|---|---|---|---|---|---|")
    for n in args.sizes:
        asked = [engine for engine in engines(args.engines) if n <= MEASURED[engine.name]]
        built = {engine.name: project(engine, n, work)[0] for engine in asked}
        seen = {(engine.name, what): [] for engine in asked for what in ("plan", "run")}
        until = time.monotonic() + args.seconds
        while min(map(len, seen.values())) < 3 or (time.monotonic() < until and len(next(iter(seen.values()))) < 25):
            for engine in asked:
                for what in ("plan", "run"):
                    ended = engine.ask(getattr(engine, what), built[engine.name])
                    assert ended.code == 0, (engine.name, what)
                    seen[engine.name, what].append(ended)
        for engine in asked:
            plan, run = seen[engine.name, "plan"], seen[engine.name, "run"]
            ratio = statistics.median(b.seconds / a.seconds for a, b in zip(plan, run))
            memory = max(ended.peak_mib for ended in run)
            cells = [n, n * chains.STEPS, engine.name, milliseconds(plan), milliseconds(run), f"{ratio:.2f}", f"{memory:.0f} MiB"]
            row(cells)


def first(args, work):
    """First builds with one job at a time, beside the same programs in a plain loop: what an engine adds to a stage."""
    print("\n| chains | stages | engine | first build | programs alone | an engine's share of a stage |\n|---|---|---|---|---|---|")
    for n in args.sizes:
        for engine in engines(args.engines, jobs=1):
            if n > BUILDS[engine.name]:
                continue
            builds, alone = [], []
            for turn in range(args.turns):
                folder = fresh(work / f"first-{engine.name}-{n}")
                chains.write(folder, n)
                alone.append(loop(folder, n))
                shutil.rmtree(folder / "made")
                (folder / "made").mkdir()
                engine.prepare(folder)
                ended = engine.ask(engine.run, folder)
                assert ended.code == 0
                builds.append(ended.seconds)
                shutil.rmtree(folder)
            stages = n * chains.STEPS
            share = statistics.median((build - plain) / stages for build, plain in zip(builds, alone))
            build, plain = statistics.median(builds), statistics.median(alone)
            row([n, stages, engine.name, f"{build:.2f} s", f"{plain:.2f} s", f"{share * 1e3:.1f} ms"])


def version(args, work):
    """How long it takes to say a version: what a process costs at the least."""
    print("\n| engine | `--version` | memory |\n|---|---|---|")
    for engine in engines(args.engines):
        seen = [engine.ask(engine.version, work) for _ in range(15)]
        row([engine.name, milliseconds(seen), f"{max(ended.peak_mib for ended in seen):.0f} MiB"])


def files(args, work):
    """Hashing a large file, beside b3sum where that is installed, and 100,000 small ones."""
    [srlm] = engines(["srlm"])
    folder = fresh(work / "files")
    script = 'pipeline p = exec {{ cmd: ["true"], code: ["{}"] }}\n'
    (folder / "large.srlm").write_text(script.format("large"))
    (folder / "none.srlm").write_text(script.format("none"))
    (folder / "small.srlm").write_text(script.format("small"))
    (folder / "none").write_text("")
    with open(folder / "large", "wb") as large:
        block = os.urandom(1 << 20)
        for _ in range(1 << 10):
            large.write(block)
    subprocess.run(["sync"], check=True)
    print("\n| 1 GiB, in the page cache | seconds | GiB/s |\n|---|---|---|")
    asked = {"srlm plan, less a plan of nothing": None, "b3sum": shutil.which("b3sum")}
    for name, program in asked.items():
        seen = []
        for _ in range(7):
            if program is None:
                # A changed time: what is known of the file must not help.
                os.utime(folder / "large")
                nothing = srlm.ask(["plan", "none.srlm"], folder).seconds
                seen.append(srlm.ask(["plan", "large.srlm"], folder).seconds - nothing)
            else:
                seen.append(timed([program, "large"], folder).seconds)
            if not program and name == "b3sum":
                break
        if name == "b3sum" and not program:
            continue
        seconds = statistics.median(seen)
        row([name, f"{seconds:.3f}", f"{1 / seconds:.2f}"])
    os.unlink(folder / "large")
    (folder / "small").mkdir()
    for index in range(100_000):
        if index % 1000 == 0:
            inner = folder / "small" / f"{index // 1000:03}"
            inner.mkdir()
        (inner / f"{index}.txt").write_text(f"file {index}\n")
    subprocess.run(["sync"], check=True)
    time.sleep(3)
    print("\n| 100,000 small files | seconds |\n|---|---|")
    row(["first", f"{srlm.ask(['plan', 'small.srlm'], folder).seconds:.2f}"])
    srlm.ask(["run", "small.srlm"], folder)
    again = [srlm.ask(["plan", "small.srlm"], folder).seconds for _ in range(5)]
    row(["again, after a run", f"{statistics.median(again):.2f}"])
    shutil.rmtree(folder)


def publish(args, work):
    """From the end of a program that made 1 GiB to the end of the run, beside `cp` and `sync` of the same bytes."""
    [srlm] = engines(["srlm"])
    folder = fresh(work / "publish")
    with open(folder / "source", "wb") as source:
        for _ in range(1 << 10):
            source.write(os.urandom(1 << 20))
    script = f"cp '{folder}/source' out/blob; true > out/data.jsonl"
    (folder / "one.srlm").write_text(f'pipeline p = exec {{ cmd: ["sh", "-c", "{script}"], code: [] }}\n')
    published, copied = [], []
    for _ in range(args.turns):
        subprocess.run(["sync"], check=True)
        ended = timed(["sh", "-c", "cp source copy && sync copy"], folder)
        copied.append(ended.seconds)
        os.unlink(folder / "copy")
        subprocess.run(["sync"], check=True)
        ended = srlm.ask(["run", "one.srlm", "--json"], folder, quiet=False)
        events = {event["event"]: event for event in map(json.loads, ended.out.splitlines())}
        published.append(events["run_finished"]["seconds"] - events["stage_finished"]["seconds"])
        shutil.rmtree(folder / ".srlm")
    shutil.rmtree(folder)
    print("\n| 1 GiB | seconds | ÷ cp and sync |\n|---|---|---|")
    ratio = statistics.median(ours / theirs for ours, theirs in zip(published, copied))
    row(["`cp` and `sync`", f"{statistics.median(copied):.2f}", "1"])
    row(["published by srlm", f"{statistics.median(published):.2f}", f"{ratio:.2f}"])


def milliseconds(seen):
    times = sorted(ended.seconds * 1e3 for ended in seen)
    digits = 1 if times[len(times) // 2] < 100 else 0
    return f"{statistics.median(times):.{digits}f} ms ({len(times)})"


def row(cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


PARTS = {"version": version, "noop": noop, "first": first, "files": files, "publish": publish}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--part", choices=PARTS, action="append", help="what to measure; everything without it")
    options.add_argument("--sizes", default="2,25,250,2500", help="numbers of chains")
    options.add_argument("--engines", default="srlm,dvc,snakemake")
    options.add_argument("--work", type=pathlib.Path, help="where projects are built and kept")
    options.add_argument("--seconds", type=float, default=40, help="time for the rounds of one size")
    options.add_argument("--turns", type=int, default=3, help="first builds of one size")
    args = options.parse_args()
    args.sizes = [int(size) for size in args.sizes.split(",")]
    args.engines = args.engines.split(",")
    with tempfile.TemporaryDirectory() as temporary:
        work = (args.work or pathlib.Path(temporary)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        for part in args.part or PARTS:
            PARTS[part](args, work)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Generation beside transformers: greedy, f32, random weights of one shape, the same threads, runs in turn.

    cargo build --release && python3 benches/peers/generate.py

The first run makes a Python environment from PyPI in target/peers (some gigabytes). Nothing else is downloaded.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ["torch==2.15.0", "transformers==5.23.0"]


def environment(folder):
    """The Python of the environment, made where it is not there yet."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


class Peer:
    """transformers in a process of its own, which stays between runs."""

    def __init__(self, python, shape, args):
        command = [python, HERE / "hf_generate.py", "--shape", shape, "--prompt", args.prompt, "--new", args.new,
                   "--threads", args.threads]
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def run(self, batch):
        self.process.stdin.write(f"{batch}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["tokens_per_second"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def ours(shape, batch, args):
    command = [args.srlm, "bench", "generate", "--shape", shape, "--batch", batch, "--prompt", args.prompt, "--new", args.new,
               "--repeats", 1, "--json"]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(args.threads)}
    made = subprocess.run([str(part) for part in command], env=environment, check=True, capture_output=True, text=True)
    return json.loads(made.stdout)["tokens_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="B,C", help="of A, B, C (default: B,C)")
    parser.add_argument("--batches", default="8,32,64")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--srlm", type=Path, default=ROOT / "target/release/srlm")
    parser.add_argument("--environment", type=Path, default=ROOT / "target/peers")
    args = parser.parse_args()
    python = environment(args.environment)
    print("| shape | batch | transformers tok/s | srlm tok/s | median of ratios | lowest and highest |\n|---|---|---|---|---|---|")
    for shape in args.shapes.split(","):
        peer = Peer(python, shape, args)
        for batch in map(int, args.batches.split(",")):
            peer.run(batch)  # not counted
            rounds = [(peer.run(batch), ours(shape, batch, args)) for _ in range(args.rounds)]
            theirs, us = (statistics.median(side) for side in zip(*rounds))
            ratios = sorted(us / theirs for theirs, us in rounds)
            print(f"| {shape} | {batch} | {theirs:.0f} | {us:.0f} | {statistics.median(ratios):.2f} "
                  f"| {ratios[0]:.2f}, {ratios[-1]:.2f} |", flush=True)
        peer.close()


if __name__ == "__main__":
    main()

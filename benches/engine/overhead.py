"""Tells what srlm's own process takes for each stage, apart from workers and their programs.

    python3 benches/engine/overhead.py            # 250 chains of 4 programs, one at a time
    python3 benches/engine/overhead.py 25 FOLDER  # 25 chains, below FOLDER: on the disk that it lies on

The kernel counts a process and the children it has waited for apart (/proc/PID/stat); the last look before the process
ends is told. $SRLM names another program than this repository's release build.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import chains

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOOK_EVERY = 0.01


def seconds(pid):
    """Processor time so far in seconds: of the process itself, and of its children that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    user, system, of_children, system_of_children = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15])
    return user + system, of_children + system_of_children


def measured(program, folder):
    """Runs the chains of a folder on an empty store: wall time, own and children's processor time, all in seconds."""
    command = [program, "run", folder / "chains.srlm", "--store", folder / "store", "--jobs", "1"]
    start, taken = time.perf_counter(), (0.0, 0.0)
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None:
        try:
            taken = seconds(child.pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(LOOK_EVERY)
    if child.returncode != 0:
        sys.exit(f"srlm ended with {child.returncode}")
    return time.perf_counter() - start, *taken


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 250
    program = os.environ.get("SRLM") or ROOT / "target/release/srlm"
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        folder = pathlib.Path(folder)
        chains.write(folder, count)
        stages = count * chains.STEPS
        wall, own, children = (1e3 * taken / stages for taken in measured(program, folder))
    print(f"{stages} stages, ms a stage: {wall:.1f} from end to end; processor time {own:.2f} of srlm's own process,")
    print(f"{children:.2f} of its workers and their programs")


if __name__ == "__main__":
    main()

"""The three engines: where their programs are, what they are asked, and how a process is timed."""

import os
import pathlib
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
PEERS = pathlib.Path(os.environ.get("PEERS") or CACHE / "srlm-peers")
# What docs/performance.md tells was seen with these versions.
PACKAGES = ["dvc==3.67.1", "snakemake==9.27.1"]


@dataclass
class Ended:
    """A process that has ended."""

    seconds: float
    peak_mib: float
    code: int
    out: str


def timed(command, folder, environment=None, quiet=True):
    """Runs a command to its end; its output is dropped where `quiet`."""
    sink = subprocess.DEVNULL if quiet else subprocess.PIPE
    start = time.perf_counter()
    errors = subprocess.DEVNULL if quiet else subprocess.STDOUT
    child = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=errors)
    out = "" if quiet else child.stdout.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    return Ended(seconds, usage.ru_maxrss / 1024, child.returncode, out)


@dataclass
class Engine:
    """An engine, and how it is asked for what all three can do."""

    name: str
    program: str
    file: str
    plan: list
    run: list
    version: list
    setup: list = field(default_factory=list)
    environment: dict = field(default_factory=dict)

    def command(self, arguments):
        return [self.program, *arguments]

    def env(self):
        return {**os.environ, **self.environment}

    def prepare(self, folder):
        """Whatever it needs in a new project."""
        for command in self.setup:
            done = timed(command, folder, self.env(), quiet=False)
            assert done.code == 0, (command, done.out)

    def ask(self, arguments, folder, quiet=True):
        return timed(self.command(arguments), folder, self.env(), quiet)


def engines(names, jobs=2):
    """The engines of these names; the peers are installed from PyPI where they are not yet."""
    found = []
    for name in names:
        if name == "srlm":
            found.append(srlm(jobs))
        elif name == "dvc":
            found.append(dvc(peer("dvc")))
        else:
            found.append(snakemake(peer("snakemake"), jobs))
    return found


def srlm(jobs):
    program = os.environ.get("SRLM") or str(built())
    run = ["run", "chains.srlm", "--jobs", str(jobs)]
    environment = {"NO_COLOR": "1", "SRLM_STORE": ""}
    return Engine("srlm", program, "chains.srlm", ["plan", "chains.srlm"], run, ["--version"], [], environment)


def dvc(program):
    setup = [["git", "init", "-q", "."], [program, "init", "-q"]]
    environment = {"DVC_NO_ANALYTICS": "1"}
    return Engine("dvc", program, "dvc.yaml", ["status", "-q"], ["repro", "-q"], ["--version"], setup, environment)


def snakemake(program, jobs):
    run = ["-q", "--cores", str(jobs)]
    return Engine("snakemake", program, "Snakefile", ["-n", *run], run, ["--version"])


def built():
    """This repository's release build."""
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return target / "release" / "srlm"


def peer(name):
    """A program of a virtual environment outside the repository, in the folder that $PEERS names."""
    program = PEERS / "venv" / "bin" / name
    if not program.exists():
        PEERS.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", PEERS / "venv"], check=True)
        subprocess.run([PEERS / "venv" / "bin" / "pip", "install", "--quiet", *PACKAGES], check=True)
    return str(program)


def fresh(folder):
    """An empty folder in the place of whatever was there."""
    shutil.rmtree(folder, ignore_errors=True)
    pathlib.Path(folder).mkdir(parents=True)
    return pathlib.Path(folder)

"""Runs parsers under fire: ``python -m tests.fuzz.run [TARGET …] [--runs N] [--seconds S]``.

With atheris the run is guided by coverage and grows a corpus (``.fuzz/<target>``, not committed); where it can not be
installed, hypothesis mutates the seeds. A finding ends the run with its input on disk.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

CORPUS = Path(".fuzz")
INPUT_SECONDS = 20
"""Seconds after which one input counts as a hang: a document of these sizes takes milliseconds."""

MEMORY_MIB = 2_048
"""Resident memory beyond which a run ends: what a parser takes for one small input stays far below."""

INSTRUMENTED = ["exchange", "exchange_hj212", "exchange_sheets", "exchange_forms"]


def main() -> int:
    """Run targets one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="parsers; all of them when none is named")
    parser.add_argument("--runs", type=int, default=100_000, help="executions of each")
    parser.add_argument("--seconds", type=int, default=0, help="end each after this long; 0 means never")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations; 0 takes the clock")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        return _one(asked.targets[0], asked)
    from tests.fuzz.targets import TARGETS

    failed = []
    for name in asked.targets or TARGETS:
        begun = time.monotonic()
        options = ["--runs", str(asked.runs), "--seconds", str(asked.seconds), "--seed", str(asked.seed)]
        done = subprocess.run([sys.executable, "-m", "tests.fuzz.run", name, "--here", *options], check=False)
        print(f"{name}: {'ok' if done.returncode == 0 else 'FINDING'} in {time.monotonic() - begun:.0f} s", flush=True)
        if done.returncode:
            failed.append(name)
    return 1 if failed else 0


def _one(name: str, asked: argparse.Namespace) -> int:
    if importlib.util.find_spec("atheris") is None:
        return _hypothesis(name, asked)
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import SEEDS, TARGETS
    target = TARGETS[name]
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        str(corpus),
        str(SEEDS / name),
        f"-runs={asked.runs}",
        f"-max_total_time={asked.seconds}",
        f"-seed={asked.seed}",
        f"-max_len={target.max_bytes}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-artifact_prefix={CORPUS}/{name}-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup(arguments, target.run, enable_python_coverage=True)
    atheris.Fuzz()
    return 0


def _hypothesis(name: str, asked: argparse.Namespace) -> int:
    from hypothesis import HealthCheck, Phase, given, settings

    from tests.fuzz.mutating import mutated
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    check = given(mutated(target))(target.run)
    limits = settings(
        max_examples=asked.runs,
        deadline=INPUT_SECONDS * 1000,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    limits(check)()
    return 0


if __name__ == "__main__":
    sys.exit(main())

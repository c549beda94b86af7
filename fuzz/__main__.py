"""`python -m fuzz [TARGET ...] [--runs N] [--seconds S]`: fuzzes all targets, or those named, each in its own process.

Exit code 1 if an input was found that crashes a reader, takes longer than five seconds or more than 4 GB; the input is
kept in `fuzz/found`, and `python -m fuzz TARGET --input FILE` runs it once more.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.target import Target

TARGETS = {
    "message": "requests:MESSAGE",
    "pair": "requests:PAIR",
    "body": "requests:BODY",
    "connection": "connections:CONNECTION",
    "image": "images:IMAGE",
    "tiff": "pictures:TIFF",
    "avif": "pictures:AVIF",
    "heic": "pictures:HEIC",
    "state_dict": "checkpoints:STATE_DICT",
    "model_file": "checkpoints:MODEL_FILE",
    "sam_file": "models:SAM_FILE",
    "embedding": "models:EMBEDDING",
    "tensormask_file": "models:TENSORMASK_FILE",
    "mmdet_file": "models:MMDET_FILE",
    "config": "texts:CONFIG",
    "image_text": "texts:IMAGE_TEXT",
    "answer": "answers:ANSWER",
    "redis": "answers:REDIS",
}
INSTRUMENTED = [
    "maskworks", "dextr", "maskworks_sam", "tensormask", "maskworks_tensormask", "maskworks_mmdet", "yaml", "PIL",
    "tifffile",
]  # fmt: skip
FOUND = Path(__file__).parent / "found"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--runs", type=int, default=20_000, help="inputs for each target (default: %(default)s)")
    parser.add_argument("--input", type=Path, metavar="FILE", help="only run this input")
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.disable(logging.WARNING)  # readers warn of each broken file
    unknown = [name for name in args.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; expected some of {', '.join(TARGETS)}")
    if args.input is not None:
        target(args.targets[0]).run(args.input.read_bytes())
        return 0
    if args.corpus is not None:
        fuzz(args.targets[0], args.runs, args.corpus)
    failed = [name for name in args.targets or TARGETS if not fuzzed(name, args.runs)]
    print(f"failed: {', '.join(failed)}; see {FOUND}" if failed else "no crash, no hang")
    return 1 if failed else 0


def target(name: str) -> Target:
    """The target of this name; only now what it reads with is imported."""
    module, _, attribute = TARGETS[name].partition(":")
    found: Target = getattr(importlib.import_module(f"fuzz.{module}"), attribute)
    return found


def fuzzed(name: str, runs: int) -> bool:
    """Runs one target in a process of its own; False if it found something."""
    print(f"{name} ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for index, seed in enumerate(target(name).seeds()):
            target(name).run(seed)
            (Path(folder) / str(index)).write_bytes(seed)
        command = [sys.executable, "-W", "ignore", "-m", "fuzz", name, "--runs", str(runs), "--corpus", folder]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    if done.returncode:
        print("\n".join(line for line in done.stderr.splitlines() if not line.startswith("INFO")))
        return False
    print("  " + ", ".join(line.partition("::")[2] for line in done.stderr.splitlines() if line.startswith("stat::")))
    return True


def fuzz(name: str, runs: int, corpus: Path) -> None:
    """Runs one target in this process, and ends it."""
    import atheris

    # What is imported under `instrument_imports` reports its coverage; torch would be too much of it.
    importlib.import_module("torch")
    with atheris.instrument_imports(include=INSTRUMENTED):
        run = target(name).run
    FOUND.mkdir(exist_ok=True)
    libfuzzer = [
        f"-runs={runs}", "-timeout=5", "-rss_limit_mb=4096", f"-max_len={target(name).longest}",
        f"-artifact_prefix={FOUND}/{name}-", "-print_final_stats=1", "-verbosity=0",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *libfuzzer, str(corpus)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())

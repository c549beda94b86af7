"""`python -m benchmarks [NAME ...]`: runs all benchmarks, or those that are named."""

from __future__ import annotations

import importlib
import platform
import sys
from pathlib import Path

from benchmarks.harness import table

_NOT_BENCHMARKS = {
    "redis_workers",
    "http_workers",
    "__init__",
    "__main__",
    "harness",
    "original_dextr",
    "original_training",
    "sam_side",
}


def main(names: list[str]) -> int:
    """Prints a table per benchmark. Returns the exit code: 2 if a name is not known."""
    known = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - _NOT_BENCHMARKS)
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; expected {', '.join(known)}", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()} on {_processor()}")
    for name in names or known:
        benchmark = importlib.import_module(f"benchmarks.{name}")
        print(f"\n## {name}\n\n{benchmark.__doc__.strip()}\n", flush=True)
        print(table(benchmark.run()), flush=True)
    return 0


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``python -m tests.benchmarks [--small]`` runs all, and writes results.json and RESULTS.md beside itself."""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.command import table

HERE = Path(__file__).parent
TIMED = ("flow_overhead", "sketching")
COUNTED = ("bytes_per_verdict", "worker_memory")  # may run side by side


def main() -> None:
    """Each benchmark in a process of its own; a small run writes nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    small = parser.parse_args().small
    results = {name: measured(name, small) for name in TIMED}
    with ThreadPoolExecutor() as pool:
        results |= zip(COUNTED, pool.map(lambda name: measured(name, small), COUNTED), strict=True)
    report = {"machine": facts(), "benchmarks": results}
    if not small:
        (HERE / "results.json").write_text(json.dumps(report, indent=1) + "\n")
        (HERE / "RESULTS.md").write_text(text(report))
    print(text(report))


def measured(name: str, small: bool) -> list[dict[str, Any]]:
    """The figures of one benchmark."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--json", *(["--small"] if small else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    figures: list[dict[str, Any]] = json.loads(done.stdout)
    return figures


def facts() -> dict[str, str]:
    """What the figures depend on; no name of a machine."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": str(os.cpu_count()),
        "load at the end": f"{os.getloadavg()[0]:.1f}",
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def text(report: dict[str, Any]) -> str:
    """The results to read: what each benchmark is, and its table."""
    parts = ["# Benchmarks", ", ".join(f"{name} {value}" for name, value in report["machine"].items()) + "."]
    for name, figures in report["benchmarks"].items():
        about = importlib.import_module(f"tests.benchmarks.{name}").__doc__ or ""
        parts += [f"## {name}", about.strip(), table(figures).strip()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()

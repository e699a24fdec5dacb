"""The command line of every benchmark, and the table they fill."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tests.benchmarks.figures import Figure

Benchmark = Callable[[bool], list[Figure]]  # of ``small``: the figures


def run(benchmark: Benchmark, about: str | None) -> None:
    """Measure and print, as a table or with --json as JSON."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(
        "--small", action="store_true", help="in seconds, to see that it works; the figures mean little"
    )
    parser.add_argument("--json", action="store_true", help="JSON in place of a table")
    arguments = parser.parse_args()
    figures = [asdict(figure) for figure in benchmark(arguments.small)]
    print(json.dumps(figures, indent=1) if arguments.json else table(figures))


def table(figures: list[dict[str, Any]]) -> str:
    """Figures in Markdown: what was counted, one line a name, then what was timed with its range."""
    counts = [each for each in figures if each["repeats"] == 1]
    timed = [each for each in figures if each["repeats"] > 1]
    return "\n".join(line for lines in (_counts(counts), _timed(timed)) if lines for line in [*lines, ""])


def _counts(figures: list[dict[str, Any]]) -> list[str]:
    units = list(dict.fromkeys(each["unit"] for each in figures))
    rows: dict[str, dict[str, str]] = {}
    for each in figures:
        rows.setdefault(each["name"], {"": each["note"]})[each["unit"]] = _text(each, "median")
    noted = [""] if any(row[""] for row in rows.values()) else []
    lines = [[name, *(row.get(unit, "") for unit in [*units, *noted])] for name, row in rows.items()]
    return _lines([["", *units, *noted], *lines]) if rows else []


def _timed(figures: list[dict[str, Any]]) -> list[str]:
    rows = [
        [each["name"], _text(each, "median"), f"{_text(each, 'least')} to {_text(each, 'most')}", str(each["repeats"])]
        for each in figures
    ]
    return _lines([["", "median", "range", "repeats"], *rows]) if rows else []


def _lines(rows: list[list[str]]) -> list[str]:
    texts = [f"| {' | '.join(row)} |" for row in rows]
    return [texts[0], "|---" * len(rows[0]) + "|", *texts[1:]]


def _text(each: dict[str, Any], field: str) -> str:
    value, unit = each[field], each["unit"]
    if unit == "bytes":
        return f"{value / 1e6:,.3f} MB" if value < 1e7 else f"{value / 1e6:,.1f} MB"
    if unit == "requests" or unit.endswith("MiB"):
        return f"{value:,.0f}"
    if unit == "share":
        return f"{value:.2%}"
    return f"{value:.3g}" if unit == "ratio" else f"{value:.3g} {unit}"

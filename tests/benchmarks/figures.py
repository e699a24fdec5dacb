"""What a benchmark yields: figures, each a median with its range; speeds only as ratios within one run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time


@dataclass(frozen=True)
class Figure:
    """One number of a benchmark's table. Units: ratio, share, seconds, milliseconds, GB/s, bytes, requests, MiB."""

    name: str
    unit: str
    median: float
    least: float
    most: float
    repeats: int
    note: str = ""


def figure(name: str, unit: str, values: Sequence[float]) -> Figure:
    """The median and the range of repeated measurements."""
    return Figure(name, unit, median(values), min(values), max(values), len(values))


def counted(name: str, unit: str, value: float, note: str = "") -> Figure:
    """A count, the same every time."""
    return Figure(name, unit, value, value, value, 1, note)


def ratios(name: str, over: Sequence[float], under: Sequence[float]) -> Figure:
    """The ratio of measurements taken side by side."""
    return figure(name, "ratio", [a / b for a, b in zip(over, under, strict=True)])


Times = dict[str, list[float]]


def interleaved(actions: Mapping[str, Callable[[], object]], repeats: int, processor: bool = False) -> Times:
    """Seconds of each action, taken in turns after one unmeasured round of all.

    ``processor``: this process's processor time in place of the clock's, for work that never waits: so
    the ratios hold on a machine that others use as well.
    """
    now = process_time if processor else perf_counter
    times: Times = {name: [] for name in actions}
    for number in range(repeats + 1):
        for name, action in actions.items():
            start = now()
            action()
            if number:
                times[name].append(now() - start)
    return times

"""What Prefect, Ray and the database add to each repository, beside a plain loop over the same repositories.

A thousand made-up repositories of some 50 kB, so small that nothing hides the overhead, in groups: loop and flow
take turns on each group, from a folder (the on-demand scan) and from the hub simulator (the nightly one; the
simulator is a process of its own). What is paid once, not once a repository, stands apart.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from flows.settings import Settings
from tests.benchmarks.command import run
from tests.benchmarks.figures import Figure, counted, figure, ratios
from tests.benchmarks.models import TINY, write

# What imports Prefect is imported late: the settings must first have said where its files belong.
HUB = "hf://"
BUDGET: Final = "quick"


class Homes:
    """A new home for every run, so that no outcome is known from an earlier one."""

    def __init__(self, place: Path) -> None:
        self.place, self.url, self.number = place, "http://127.0.0.1:1", 0
        self.settings = self.next()
        self._register()

    def next(self) -> Settings:
        """The settings of a copy of the first home; the environment names it, so flows and workers find it."""
        settings = Settings(home=self.place / f"home-{self.number}", hf_endpoint=self.url, budget=BUDGET)
        if self.number:
            shutil.copytree(self.place / "home-0", settings.home, ignore=shutil.ignore_patterns("prefect", "ray*"))
        settings.export()
        self.number += 1
        return settings

    def _register(self) -> None:
        """One model and its snapshot in the first home."""
        from flows.examine import enrol_fingerprint
        from flows.wiring import Home, open_source

        home = Home(self.settings)
        source = open_source(self.settings, (self.place / "registered").as_uri())
        subject = source.resolve("registered")
        home.register.add("registered", "owner", "protected", enrol_fingerprint(subject, source, home.schemes))
        home.snapshot()

    def seconds(self, action: Callable[..., object], *arguments: object) -> float:
        """How long an action takes in a home of its own."""
        self.settings = self.next()
        start = perf_counter()
        action(*arguments)
        return perf_counter() - start

    def loop(self, root: str) -> None:
        """List and look, one repository after the other, and keep nothing."""
        from flows.examine import examine
        from flows.wiring import Home, open_source, snapshot_at

        home, source = Home(self.settings), open_source(self.settings, root)
        snapshot = snapshot_at(home.snapshot())
        for subject in list(source.revisions()):
            examine(subject, source, snapshot, home.schemes, BUDGET)


def benchmark(small: bool) -> list[Figure]:
    """Ratios of a flow to a loop, and milliseconds a repository."""
    groups, size = (1, 6) if small else (5, 200)
    with tempfile.TemporaryDirectory() as place:
        trees = [Path(place) / f"group-{group}" for group in range(groups)]
        for seed, folder in enumerate(tree / f"owner/tiny-{n}" for tree in trees for n in range(size)):
            write(folder, replace(TINY, layers=1), seed)
        write(Path(place) / "registered", replace(TINY, layers=1), seed=groups * size)
        workers = [1] if small else sorted({1, os.cpu_count() or 1})
        return list(_measured(Homes(Path(place)), trees, size, workers))


@contextmanager
def _serving(tree: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.hub_simulator", "--root", str(tree), "--exit-with-parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def _measured(homes: Homes, trees: list[Path], size: int, workers: list[int]) -> Iterator[Figure]:
    from flows.cluster import session
    from flows.on_demand import scan

    single = str(trees[0] / "owner/tiny-0")
    for count in workers:
        start = perf_counter()
        with session(homes.settings.model_copy(update={"workers": count})):
            yield counted(f"once a session: Ray, workers: {count}", "seconds", perf_counter() - start)
            if count == 1:
                first = homes.seconds(scan, [single])
                yield counted("once a process: Prefect's API, with a first scan", "seconds", first)
            once = [homes.seconds(scan, [single]) for _ in range(3)]
            yield figure(f"once a flow: a scan of one repository, workers: {count}", "seconds", once)
            yield from _folders(homes, trees, size, count, median(once))
            if count == 1:
                yield from _hubs(homes, trees, size, median(once))


def _folders(homes: Homes, trees: list[Path], size: int, workers: int, once: float) -> Iterator[Figure]:
    from flows.on_demand import scan

    pairs = []
    for tree in trees:
        loop = homes.seconds(homes.loop, tree.as_uri())
        pairs.append((loop, homes.seconds(scan, [str(tree)])))
    yield from _figures(f"folder, workers: {workers}", pairs, size, once)


def _hubs(homes: Homes, trees: list[Path], size: int, once: float) -> Iterator[Figure]:
    from flows.nightly import nightly

    pairs = []
    for tree in trees:
        with _serving(tree) as homes.url:
            pairs.append((homes.seconds(homes.loop, HUB), homes.seconds(nightly)))
    yield from _figures("hub, workers: 1", pairs, size, once)


def _figures(name: str, pairs: list[tuple[float, float]], size: int, once: float) -> Iterator[Figure]:
    """Of seconds of (loop, flow): what is left when a flow's own cost is taken off."""
    loops, flows = [loop for loop, _ in pairs], [flow - once for _, flow in pairs]
    yield ratios(f"flow / loop, {name}", flows, loops)
    yield figure(
        f"added to each repository, {name}", "ms", [1000 * (f - p) / size for f, p in zip(flows, loops, strict=True)]
    )
    yield figure(f"each repository in the loop, {name}", "ms", [1000 * loop / size for loop in loops])


def main() -> None:
    """``python -m tests.benchmarks.flow_overhead``."""
    run(benchmark, __doc__)


if __name__ == "__main__":
    main()

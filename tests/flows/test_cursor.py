"""A night begins where the last whole one began, and forgets nobody it could not reach."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from flows import cursor
from index.catalog import Catalog
from scanners.errors import Reason
from scanners.records import Outcome, RepoRevision
from tests.flows.subjects import acquittal, revision, skipped

HUB = "http://127.0.0.1:1"
MODELS = [revision(f"owner/model-{number}") for number in range(3)]


@pytest.fixture
def catalog(engine: Engine) -> Catalog:
    return Catalog(engine)


def night(catalog: Catalog, outcomes: dict[RepoRevision, Outcome], finish: bool = True, **asked: Any) -> int:
    parameters = {"hub": HUB, "since": None, "limit": None, **asked}
    run_id = catalog.start_run("nightly", parameters, MODELS)
    for subject, outcome in outcomes.items():
        catalog.record(run_id, subject, outcome)
    if finish:
        catalog.finish_run(run_id)
    return run_id


def all_seen() -> dict[RepoRevision, Outcome]:
    return {subject: acquittal(subject) for subject in MODELS}


def test_the_first_night_lists_everything(catalog: Catalog) -> None:
    assert cursor.since(catalog, HUB) is None
    assert cursor.again(catalog, HUB) == []


def test_the_next_night_begins_where_the_last_one_did(catalog: Catalog) -> None:
    before = datetime.now(UTC)
    night(catalog, all_seen())
    since = cursor.since(catalog, HUB)
    assert since is not None
    assert before - cursor.OVERLAP <= since < before


@pytest.mark.parametrize("asked", [{"limit": 3}, {"since": "2026-01-01T00:00:00"}, {"hub": "http://127.0.0.1:2"}])
def test_a_night_that_saw_a_part_moves_nothing(catalog: Catalog, asked: dict[str, Any]) -> None:
    night(catalog, all_seen(), **asked)
    assert cursor.since(catalog, HUB) is None


def test_a_limit_that_cut_nothing_off_is_no_limit(catalog: Catalog) -> None:
    night(catalog, all_seen(), limit=4)
    assert cursor.since(catalog, HUB) is not None


def test_an_interrupted_night_moves_nothing(catalog: Catalog) -> None:
    night(catalog, {}, finish=False)
    assert cursor.since(catalog, HUB) is None


def test_what_was_out_of_reach_is_tried_again(catalog: Catalog) -> None:
    busy, gated, fine = MODELS
    outcomes: dict[RepoRevision, Outcome] = {
        busy: skipped(busy, Reason.RATE_LIMITED),
        gated: skipped(gated, Reason.GATED),
        fine: acquittal(fine),
    }
    night(catalog, outcomes)
    assert [subject.uri for subject in cursor.again(catalog, HUB)] == [busy.uri]

"""The night's work: what changed on the hub since the last night, looked at and summed up."""

from datetime import datetime
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, State

from flows import cursor
from flows.audit import carry_out, order
from flows.places import HUB
from flows.settings import Budget, Settings
from flows.wiring import Home, open_source
from index.summary import RunSummary
from scanners.records import RepoRevision


@flow(name="nightly")
def nightly(
    since: datetime | None = None, limit: int | None = None, budget: Budget | None = None, root: str = HUB
) -> State[int]:
    """List, plan, scan, sum up; the state's data is the run's id.

    An interrupted night with the same parameters is carried on instead of a new one, and the next night
    lists from where the last whole one began.
    """
    home = Home(Settings())
    hub = home.settings.hf_endpoint if root == HUB else root
    asked = since.isoformat() if since else None
    what = order(home, "nightly", root, budget, hub=hub, since=asked, limit=limit)
    run_id = home.catalog.unfinished_run(what.kind, what.parameters)
    if run_id is None:
        subjects = list_hub(root, since or cursor.since(home.catalog, hub), limit)
        missed = [] if since else cursor.again(home.catalog, hub)
        run_id = home.catalog.start_run(what.kind, what.parameters, [*subjects, *missed])
    carry_out(home, run_id, what)
    return summarise(run_id)


@task(name="list_hub", retries=2, retry_delay_seconds=10)
def list_hub(root: str, since: datetime | None, limit: int | None) -> list[RepoRevision]:
    """Every revision that changed since a moment, newest first, at most ``limit`` of them."""
    return list(open_source(Settings(), root).revisions(since, limit))


def summarise(run_id: int) -> State[int]:
    """A table for the operator's page, and a state that says whether there are gaps."""
    summary = Home(Settings()).catalog.summary(run_id)
    create_table_artifact(table=_rows(summary), key="nightly", description=f"Run {run_id}")
    return Completed(name=None if summary.complete else "CompletedWithGaps", data=run_id)


def _rows(summary: RunSummary) -> list[dict[str, Any]]:
    counts = {"findings": summary.findings, "independent": summary.independent, **summary.skipped_by_reason}
    return [{"outcome": name, "revisions": count} for name, count in counts.items()]

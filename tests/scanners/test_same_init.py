"""One initialisation trained twice is its own label: neither a copy nor a stranger."""

import pytest

from scanners.calibration import shipped
from scanners.finding import judge
from scanners.records import Comparison, Evidence, Verdict


def evidence(frame: str, agreeing: int, similarity: float, log10_p: float) -> Evidence:
    detail: dict[str, float | int | str] = {
        "kind": f"{frame} gated",
        "strongest layer agreeing": agreeing,
        "strongest layer units": 128,
        "held": 1.0,
        "similarity": similarity,
        "trials": 50,
    }
    return Evidence(f"units agreement, {frame} frame", agreeing, 128, "", log10_p, detail)


def verdict(*found: Evidence) -> Verdict:
    return judge(Comparison(1, "base", found, (), 0.3, -50.0), shipped(), 1).verdict


NO_TOKENS_AGREE = evidence("anchored", 0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("similarity", "expected"),
    [(0.55, Verdict.WEAK), (0.70, Verdict.WEAK), (0.78, Verdict.STRONG), (1.0, Verdict.STRONG)],
)
def test_coordinates_alone_accuse_only_where_they_kept_their_numbers(similarity: float, expected: Verdict) -> None:
    assert verdict(NO_TOKENS_AGREE, evidence("identity", 100, similarity, -150.0)) is expected


def test_what_the_tokens_confirm_is_no_common_initialisation() -> None:
    confirmed = evidence("anchored", 100, 0.6, -150.0)
    assert verdict(confirmed, evidence("identity", 100, 0.55, -150.0)) is Verdict.STRONG


def test_without_tokens_to_ask_the_coordinates_speak() -> None:
    assert verdict(evidence("identity", 100, 0.55, -150.0)) is Verdict.STRONG


def test_a_stranger_is_not_called_a_common_initialisation() -> None:
    assert verdict(NO_TOKENS_AGREE, evidence("identity", 3, 0.5, -0.7)) is Verdict.INDEPENDENT

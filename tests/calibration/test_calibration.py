"""The stored thresholds and rates belong to the models in the repository; a full refit is the module's command."""

import json

from scanners.calibration import shipped, upper_bound
from tests.calibration.__main__ import RATES, THRESHOLDS
from tests.calibration.cohort import CALIBRATION, EVALUATION, digest, members


def test_the_thresholds_were_fitted_on_the_calibration_models_as_they_are() -> None:
    stored = json.loads(THRESHOLDS.read_text())
    assert stored["cohort"]["digest"] == digest(CALIBRATION) == shipped().digest
    assert stored["cohort"]["members"] == len(list(members(CALIBRATION)))


def test_the_published_rates_are_of_these_thresholds_and_the_evaluation_models() -> None:
    stored = json.loads(RATES.read_text())
    assert stored["models"] == digest(EVALUATION)
    assert stored["thresholds"] == shipped().digest
    assert stored["derived"] == sum(member.derived for member in members(EVALUATION))


def test_no_model_is_in_both_sets() -> None:
    weights = {
        models.folder: {p.read_bytes() for p in models.path("").rglob("*.safetensors")}
        for models in (CALIBRATION, EVALUATION)
    }
    assert not weights["calibration"] & weights["evaluation"]


def test_a_rate_without_events_is_bounded_by_the_rule_of_three() -> None:
    assert abs(upper_bound(0, 125) - 3 / 125) < 0.001
    assert upper_bound(0, 0) == upper_bound(5, 5) == 1.0

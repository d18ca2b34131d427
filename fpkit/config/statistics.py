"""Statistics: of each what it is taken of. The function of its name is in `fpkit.claims.statistics`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Statistic:
    """A number for each member, made of arrays of its spectra.

    `needs`: these arrays; every measure whose spectra hold them has the statistic. `passage`: the one of them in which
    a frequency that was never captured is NaN, and counted.
    """

    needs: tuple[str, ...]
    passage: str | None = None


STATISTICS = {
    "first_order": Statistic(("first_passage",), passage="first_passage"),
    "hold_order": Statistic(("hold_passage",), passage="hold_passage"),
    "area_order": Statistic(("area", "first_passage")),
    "low_advantage": Statistic(("low_error", "high_error")),
    "signal_before_best": Statistic(("first_passage", "clean_amplitude", "loss_validation")),
    "noise_after_best": Statistic(("first_passage", "clean_amplitude", "loss_validation")),
    "overfitting": Statistic(("loss_test", "loss_validation")),
    "test_accuracy": Statistic(("accuracy_test",)),
    "rate_correlation": Statistic(("predicted_rate", "measured_rate")),
    "rate_slope": Statistic(("predicted_rate", "measured_rate")),
    "kernel_change": Statistic(("kernel_change",)),
}

"""Statistics: of each what it is taken of. The function of its name is in `fpkit.claims.statistics`."""

from __future__ import annotations

from dataclasses import dataclass

# What no null changes, and so has no control: a null starts where the network starts.
UNCHANGED = ("initial_energy",)


@dataclass(frozen=True)
class Statistic:
    """A number for each member, made of arrays of its spectra.

    `needs`: these arrays; every measure whose spectra hold them has the statistic. `counted`: the one of them in which
    a followed frequency that is left out, as never captured or not measured, is NaN, and counted.
    """

    needs: tuple[str, ...]
    counted: str | None = None

    @property
    def controlled(self) -> tuple[str, ...]:
        """Those of `needs` that a null replaces."""
        return tuple(array for array in self.needs if array not in UNCHANGED)


STATISTICS = {
    "lead": Statistic(("remaining", "initial_energy")),
    "first_order": Statistic(("first_passage",), counted="first_passage"),
    "hold_order": Statistic(("hold_passage",), counted="hold_passage"),
    "area_order": Statistic(("area", "first_passage")),
    "passage_exponent": Statistic(("first_passage",), counted="first_passage"),
    "captured": Statistic(("first_passage",), counted="first_passage"),
    "low_advantage": Statistic(("low_error", "high_error")),
    "signal_before_best": Statistic(("first_passage", "clean_amplitude", "loss_validation"), counted="first_passage"),
    "noise_after_best": Statistic(("first_passage", "clean_amplitude", "loss_validation"), counted="first_passage"),
    "overfitting": Statistic(("loss_test", "loss_validation")),
    "train_accuracy": Statistic(("accuracy_train",)),
    "test_accuracy": Statistic(("accuracy_test",)),
    "predicted_order": Statistic(("predicted_rate",), counted="predicted_rate"),
    "rate_correlation": Statistic(("predicted_rate", "measured_rate"), counted="measured_rate"),
    "rate_slope": Statistic(("predicted_rate", "measured_rate"), counted="measured_rate"),
    "violations_seen": Statistic(("predicted_rate", "measured_rate"), counted="measured_rate"),
    "kernel_change": Statistic(("kernel_change",)),
}

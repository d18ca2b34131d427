"""What the statistics of `fpkit.claims` are taken of: for whoever checks a configuration, and for whoever judges it."""

# The measures, by statistic.
STATISTIC_MEASURES = {
    "first_order": ("fft", "projection", "radial"),
    "hold_order": ("fft", "projection", "radial"),
    "area_order": ("fft", "projection", "radial"),
    "low_advantage": ("filtering",),
    "signal_before_best": ("fft",),
    "noise_after_best": ("fft",),
    "overfitting": ("fft", "projection"),
    "test_accuracy": ("projection", "walsh"),
    "rate_correlation": ("ntk",),
    "rate_slope": ("ntk",),
}
# The arrays of their spectra.
STATISTIC_ARRAYS = {
    "first_order": ("first_passage",),
    "hold_order": ("hold_passage",),
    "area_order": ("area", "first_passage"),
    "low_advantage": ("low_error", "high_error"),
    "signal_before_best": ("first_passage", "clean_amplitude", "loss_validation"),
    "noise_after_best": ("first_passage", "clean_amplitude", "loss_validation"),
    "overfitting": ("loss_test", "loss_validation"),
    "test_accuracy": ("accuracy_test",),
    "rate_correlation": ("predicted_rate", "measured_rate"),
    "rate_slope": ("predicted_rate", "measured_rate"),
}

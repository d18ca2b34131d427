"""Names and limits that the configuration shares with what is computed: a job that needs them waits for no schema."""

# What an error may be replaced with, to see what a statistic says where nothing was learned in an order; in words.
NULLS = {"share": "equal shares", "paces": "paces dealt out"}
# Of every run: the spectra of all measures hold them.
LOSSES = ("loss_train", "loss_validation", "loss_test")
# Of classes, in the spectra of all measures, too.
ACCURACIES = ("accuracy_train", "accuracy_validation", "accuracy_test")
# The kernel of so many is held, in double precision, for every member.
MOST_KERNEL_SAMPLES = 3000
REMAINING = ("remaining", "initial_energy")
# Of every measure along a basis.
PASSAGES = (
    *("first_passage", "hold_passage", "area", *REMAINING),
    *("remaining_first_passage", "remaining_hold_passage", "remaining_area"),
)

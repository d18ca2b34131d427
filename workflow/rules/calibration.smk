# TAKES    figures of kind calibration in config.yaml
# MAKES    results/calibration/{figure}.csv
# STEPS    make dynamics of known truth, measure and judge them as trainings are, count the verdicts
CALIBRATIONS = [
    name for name, figure in CONFIG.figures.items() if figure.kind == "calibration"
]


rule calibrate:
    """Judge made dynamics, whose truth is known, by the measures and statistics that judge trainings."""
    output:
        table="results/calibration/{figure}.csv",
    log:
        "results/logs/calibration/{figure}.log",
    benchmark:
        "results/benchmarks/calibration/{figure}.tsv"
    # Before figures, so that the last jobs are many small ones.
    priority: 1
    conda:
        "../envs/fpkit.yaml"
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 2000),
        runtime=growing("runtime", 15),
        gpu=0,
    params:
        ensembles=lambda w: ensembles(w.figure),
        code=lambda w: code_of("calibrate.py"),
    script:
        "../scripts/calibrate.py"

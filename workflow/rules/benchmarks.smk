# TAKES    the code, and for `pipeline` the results of a full run
# MAKES    results/benchmarks/{training,spectra,pipeline}.csv and .svg
# STEPS    fpkit and its peers in turn, medians, ratios, goals; a picture of each table
BENCHMARKS = ["training", "spectra", "pipeline"]
SPEED_FILES = expand(
    "results/benchmarks/{benchmark}.{ending}",
    benchmark=BENCHMARKS,
    ending=["csv", "svg"],
)


rule benchmarks:
    """Speed against named peers: run it alone (`--cores 1`), on a machine that does nothing else."""
    input:
        expand("results/benchmarks/{benchmark}.svg", benchmark=BENCHMARKS),


rule measure_speed:
    """Run one benchmark; of the pipeline, on the results of a full run."""
    input:
        lambda w: (
            FIGURE_FILES + ["results/claims.csv"] if w.benchmark == "pipeline" else []
        ),
    output:
        table="results/benchmarks/{benchmark}.csv",
    log:
        "results/logs/benchmarks/{benchmark}.log",
    wildcard_constraints:
        benchmark="|".join(BENCHMARKS),
    conda:
        "../envs/fpkit.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
        gpu=0,
    script:
        "../scripts/measure_speed.py"


rule draw_speed:
    """Draw one benchmark's table."""
    input:
        table="results/benchmarks/{benchmark}.csv",
    output:
        picture="results/benchmarks/{benchmark}.svg",
    log:
        "results/logs/benchmarks/{benchmark}_drawing.log",
    wildcard_constraints:
        benchmark="|".join(BENCHMARKS),
    conda:
        "../envs/fpkit.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
        gpu=0,
    script:
        "../scripts/draw_speed.py"

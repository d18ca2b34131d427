# TAKES    results/claims.csv; results/replication/{number}/results/claims.csv of each replication that `make replicate` made
# MAKES    results/replication.csv, results/figures/replication.svg, .pdf, .png
# STEPS    verdict beside verdict; counts and values of each replication against those of the run
REPLICATIONS = {
    int(path.parts[-3]): str(path)
    for path in sorted(Path(RESULTS).glob("replication/[0-9]*/results/claims.csv"))
}
REPLICATION_FILES = [
    "results/replication.csv",
    *expand("results/figures/replication.{format}", format=FORMATS),
]


rule replication:
    """Lay the verdicts of all replications beside those of the run."""
    input:
        claims="results/claims.csv",
    output:
        table="results/replication.csv",
        pictures=expand("results/figures/replication.{format}", format=FORMATS),
    log:
        "results/logs/replication.log",
    benchmark:
        "results/benchmarks/replication.tsv"
    conda:
        "../envs/fpkit.yaml"
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 1000),
        runtime=growing("runtime", 5),
        gpu=0,
    params:
        rows=CLAIM_ROWS,
        recipe=CLAIMS_RECIPE,
        # Made by runs of their own, whose files are no inputs here: compared by what is in them.
        replications={
            number: [path, hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]]
            for number, path in REPLICATIONS.items()
        },
        code=code_of(
            "replication.py",
            "fpkit.claims.replication",
            "fpkit.figures.kinds.replication",
        ),
    script:
        "../scripts/replication.py"


# Its pictures are no figure of the configuration.
ruleorder: replication > plot

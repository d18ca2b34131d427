# TAKES    the spectra that the claims are about; claims: in config.yaml
# MAKES    results/claims.csv
# STEPS    statistic per member, median and exact interval, verdict
CLAIM_SPECTRA = {name: claim_spectra(claim) for name, claim in CONFIG.claims.items()}
JUDGED_SPECTRA = sorted(
    {
        path
        for rows in CLAIM_SPECTRA.values()
        for paths in rows.values()
        for path in paths
    }
)
CLAIM_ROWS = sum(map(len, CLAIM_SPECTRA.values()))
CLAIMS_RECIPE = digest(
    fpconfig.plain(CONFIG.claims),
    spectra_recipes(JUDGED_SPECTRA),
    code_of("judge_claims.py"),
)


rule judge_claims:
    """Judge every claim on every variant of its experiment, or on those that it pools as one."""
    input:
        JUDGED_SPECTRA,
    output:
        claims="results/claims.csv",
    log:
        "results/logs/claims.log",
    benchmark:
        "results/benchmarks/claims.tsv"
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
        claims=fpconfig.plain(CONFIG.claims),
        # By their place among the inputs, which may be local copies of files in remote storage.
        spectra={
            name: {
                variant: [JUDGED_SPECTRA.index(path) for path in paths]
                for variant, paths in rows.items()
            }
            for name, rows in CLAIM_SPECTRA.items()
        },
        recipes=spectra_recipes(JUDGED_SPECTRA),
        code=code_of("judge_claims.py"),
    script:
        "../scripts/judge_claims.py"

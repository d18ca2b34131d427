# TAKES    all figures, results/claims.csv, the configuration; templates in workflow/report/
# MAKES    results/report/: overview.html, claims.html, config.html, animations/{figure}.html; `snakemake --report`: one file
# STEPS    findings for the captions, verdicts at a glance, claims as a table, configuration resolved, animations on pages
from fpkit.claims.findings import judged_claims

# Captions see `config`, and no job's params do: what is found never makes a job run again. Plain text only, since the
# configuration is pickled into jobs.
JUDGED = judged_claims(place("results/claims.csv"))
config["captions"] = {
    name: {
        "shows": fpconfig.FIGURES[figure.kind].shows,
        "look": fpconfig.FIGURES[figure.kind].look,
        "found": findings(figure, JUDGED),
    }
    for name, figure in CONFIG.figures.items()
}
# The description of the workflow is the overview, where one was made.
OVERVIEW = "results/report/overview.html"
config["overview"] = place(OVERVIEW) if os.path.exists(place(OVERVIEW)) else ""
CLAIMS_PICTURES = [
    name for name, figure in CONFIG.figures.items() if figure.kind == "claims"
]
REPORT_FILES = [
    OVERVIEW,
    "results/report/claims.html",
    "results/report/config.html",
    *expand("results/report/animations/{figure}.html", figure=ANIMATIONS),
]


report: "../report/workflow.rst"


rule overview_page:
    """Write the first page of the report: the picture of the claims, the verdicts, the way to every figure."""
    input:
        claims="results/claims.csv",
        picture=expand("results/figures/{figure}.svg", figure=CLAIMS_PICTURES[:1]),
    output:
        page=OVERVIEW,
    log:
        "results/logs/report/overview.log",
    benchmark:
        "results/benchmarks/report/overview.tsv"
    conda:
        "../envs/fpkit.yaml"
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 1000),
        runtime=growing("runtime", 5),
        gpu=0,
    params:
        figures=shown_figures(),
        pages={
            "claims": place("results/report/claims.html"),
            "config": place("results/report/config.html"),
        },
        rows=CLAIM_ROWS,
        recipe=CLAIMS_RECIPE,
        code=code_of_page("overview_page"),
    script:
        "../scripts/overview_page.py"


rule claims_page:
    """Write all claims as a table."""
    input:
        claims="results/claims.csv",
    output:
        page=report(
            "results/report/claims.html",
            category="Claims",
            labels={"shows": "table of all claims"},
        ),
    log:
        "results/logs/report/claims.log",
    benchmark:
        "results/benchmarks/report/claims.tsv"
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
        code=code_of_page("claims_page"),
    script:
        "../scripts/claims_page.py"


rule config_page:
    """Write the configuration with all variants and defaults filled in."""
    output:
        page=report(
            "results/report/config.html",
            category="Configuration",
            labels={"shows": "resolved configuration"},
        ),
    log:
        "results/logs/report/config.log",
    benchmark:
        "results/benchmarks/report/config.tsv"
    conda:
        "../envs/fpkit.yaml"
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 1000),
        runtime=growing("runtime", 5),
        gpu=0,
    params:
        tables={
            "variants": {
                "/".join(place): fpconfig.plain(vars(variant))
                for place, variant in VARIANTS.items()
            },
            **{
                table: {name: fpconfig.plain(entry) for name, entry in entries.items()}
                for table, entries in (
                    ("datasets", DATASETS),
                    ("claims", CONFIG.claims),
                    ("figures", CONFIG.figures),
                )
            },
        },
        absent=sorted(ABSENT),
        code=code_of_page("config_page"),
    script:
        "../scripts/config_page.py"


rule animation_page:
    """Put an animation on a page of its own: Snakemake's report shows no GIF."""
    input:
        animation="results/figures/{figure}.gif",
    output:
        page=report(
            "results/report/animations/{figure}.html",
            caption="../report/figure.rst",
            category=figure_category,
            labels={"shows": "{figure}"},
        ),
    log:
        "results/logs/report/animations/{figure}.log",
    benchmark:
        "results/benchmarks/report/animations/{figure}.tsv"
    conda:
        "../envs/fpkit.yaml"
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 1000),
        runtime=growing("runtime", 5),
        gpu=0,
    params:
        recipe=lambda w: digest(figure_params(w), figure_recipes(w), figure_code(w)),
        code=code_of_page("animation_page"),
    script:
        "../scripts/animation_page.py"

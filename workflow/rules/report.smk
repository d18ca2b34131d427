# TAKES    all figures, results/claims.csv, the configuration
# MAKES    results/report/: claims.html, config.html, animations/{figure}.html; `snakemake --report` puts all in one file
# STEPS    findings in words for the captions, claims as a table, configuration resolved, animations on pages
from collections import Counter

from fpkit.claims.findings import counts, finding, judged_claims


def findings(figure, judged):
    """The findings of the claims about a figure's experiments, of the measures that it shows if there are any."""
    shown = []
    if figure.kind == "claims":
        shown = list(CONFIG.claims)
    for experiment in figure.experiments:
        about = {
            name: claim
            for name, claim in CONFIG.claims.items()
            if claim.experiment == experiment
        }
        measures = fpconfig.FIGURES[figure.kind].measures
        shown += [name for name in about if about[name].measure in measures] or about
    return [
        finding(CONFIG.claims[name].statement, judged[name])
        for name in shown
        if name in judged
    ]


# Captions see `config`, and no job's params do: what is found never makes a job run again. Plain text only, since the
# configuration is pickled into jobs.
JUDGED = judged_claims("results/claims.csv")
config["captions"] = {
    name: {
        "shows": fpconfig.FIGURES[figure.kind].shows,
        "look": fpconfig.FIGURES[figure.kind].look,
        "found": findings(figure, JUDGED),
    }
    for name, figure in CONFIG.figures.items()
}
config["verdicts"] = (
    counts([row for rows in JUDGED.values() for row in rows]) if JUDGED else ""
)


REPORT_FILES = [
    "results/report/claims.html",
    "results/report/config.html",
    *expand("results/report/animations/{figure}.html", figure=ANIMATIONS),
]


def undone_for_report(dag):
    """Where the report alone is asked for: what is to be done before it, in one line. It shows what is there, and a day's
    results of another configuration are not made anew for it."""
    asked = {job.rule.name for job in dag.jobs}
    if "report_inputs" not in asked or "figures" in asked:
        return None
    undone = Counter(job.rule.name for job in dag.needrun_jobs())
    for name in ("report_inputs", "summarize", "embed_animation"):
        undone.pop(name, None)
    if not undone:
        return None
    order = ["make_dataset", "train", "decompose", "judge_claims", "plot", "animate"]
    counts = ", ".join(f"{name} {undone[name]}" for name in order if name in undone)
    return (
        f"report: {undone.total()} jobs of this configuration are still to be done ({counts}); run `make figures` with it"
        " first, or report on the configuration of what is there (`make report CONFIG=...`)"
    )


report: "../report/workflow.rst"


rule summarize:
    """Write the claims as a table, and the configuration with all variants and defaults filled in."""
    input:
        claims="results/claims.csv",
    output:
        claims=report(
            "results/report/claims.html",
            category="Claims",
            labels={"shows": "table of all claims"},
        ),
        config=report(
            "results/report/config.html",
            category="Configuration",
            labels={"shows": "resolved configuration"},
        ),
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 1000),
        runtime=growing("runtime", 5),
        gpu=0,
    params:
        config={
            table: {name: fpconfig.plain(entry) for name, entry in entries.items()}
            for table, entries in (
                ("datasets", CONFIG.datasets),
                ("claims", CONFIG.claims),
                ("figures", CONFIG.figures),
            )
        },
        variants={
            "/".join(place): fpconfig.plain(vars(variant))
            for place, variant in VARIANTS.items()
        },
        absent=sorted(ABSENT),
        rows=CLAIM_ROWS,
        recipe=CLAIMS_RECIPE,
        code=code_of("summarize.py"),
    script:
        "../scripts/summarize.py"


rule embed_animation:
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
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 1000),
        runtime=growing("runtime", 5),
        gpu=0,
    params:
        recipe=lambda w: digest(figure_params(w), figure_recipes(w), figure_code(w)),
        code=code_of("embed_animation.py"),
    script:
        "../scripts/embed_animation.py"

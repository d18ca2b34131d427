# TAKES    all figures, results/claims.csv, the configuration; workflow/report/captions.yaml
# MAKES    results/report/: claims.html, config.html, animations/{figure}.html; `snakemake --report` puts all in one file
# STEPS    findings in words for the captions, claims as a table, configuration resolved, animations on pages
import csv
import math
import re
from collections import Counter

VERDICTS = ("holds", "undecided", "does not hold")
SHOWN = ("claim", "variant", "statistic", "value", "ci_low", "ci_high", "bound")


def judged_claims():
    """The rows of claims.csv by claim. Only whole ones: a broken file must not keep the workflow from starting."""
    rows = {}
    if os.path.exists("results/claims.csv"):
        with open(
            "results/claims.csv", newline="", encoding="utf-8", errors="replace"
        ) as table:
            for row in csv.DictReader(table):
                whole = all(row.get(column) is not None for column in SHOWN)
                if whole and row.get("verdict") in VERDICTS:
                    rows.setdefault(row["claim"], []).append(row)
    return rows


def number(text):
    try:
        return float(text)
    except ValueError:
        return math.nan


def counts(rows):
    """How often each verdict was given: `holds for 9, undecided for 1 of 10 variants`."""
    given = Counter(row["verdict"] for row in rows)
    parts = [
        f"{verdict} for {given[verdict]}" for verdict in VERDICTS if given[verdict]
    ]
    return f"{', '.join(parts)} of {len(rows)} variants"


def finding(statement, rows):
    """What was found of one claim, in one line of reStructuredText."""
    bound = rows[0]["bound"]
    known = [row for row in rows if math.isfinite(number(row["value"]))]
    # The weakest first: the smallest value where the claim asks for a large one.
    known.sort(key=lambda row: number(row["value"]) * (1 if ">" in bound else -1))
    words = f"{statement.rstrip('.')} ({rows[0]['statistic']} {bound}): "
    words += rows[0]["verdict"] if len(rows) == 1 else counts(rows)
    if known:
        weakest, best = known[0], known[-1]
        words += "; median {value} [{ci_low}, {ci_high}]".format_map(weakest)
        if len(known) > 1:
            words += f" for {weakest['variant']}, the weakest, to {best['value']} for {best['variant']}"
    why_not = next((row["why_not"] for row in rows if row.get("why_not")), "")
    words += f". Where it does not hold: {why_not.rstrip('.')}" if why_not else ""
    words = re.sub(r"([^0-9A-Za-z\s])", r"\\\1", words)  # no character is markup
    return " ".join(words.split()) + "."


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
        measures = fpconfig.FIGURE_MEASURES[figure.kind]
        shown += [name for name in about if about[name].measure in measures] or about
    return [
        finding(CONFIG.claims[name].statement, judged[name])
        for name in shown
        if name in judged
    ]


# Captions see `config`, and no job's params do: what is found never makes a job run again. Plain text only, since the
# configuration is pickled into jobs.
JUDGED = judged_claims()
config["captions"] = {
    name: CAPTIONS[figure.kind] | {"found": findings(figure, JUDGED)}
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
        mem_mb=1000,
        runtime=5,
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
        mem_mb=1000,
        runtime=5,
        gpu=0,
    params:
        code=code_of("embed_animation.py"),
    script:
        "../scripts/embed_animation.py"

# TAKES    the spectra of a figure's experiments, or the claims; figures: in config.yaml
# MAKES    results/figures/{figure}.svg, .pdf, .png; of animations .gif
# STEPS    draw, all variants side by side
FORMATS = ["svg", "pdf", "png"]
ANIMATIONS = [
    name for name, figure in CONFIG.figures.items() if figure.kind == "animation"
]
PICTURES = [name for name in CONFIG.figures if name not in ANIMATIONS]
FIGURE_FILES = [
    *expand("results/figures/{figure}.{format}", figure=PICTURES, format=FORMATS),
    *expand("results/figures/{figure}.gif", figure=ANIMATIONS),
]


def figure_inputs(wildcards):
    figure = CONFIG.figures[wildcards.figure]
    if figure.kind == "claims":
        return "results/claims.csv"
    measures = fpconfig.FIGURES[figure.kind].measures
    return [
        path
        for experiment in figure.experiments
        for measure in measures
        for path in spectra_of(experiment, measure)
    ]


def figure_recipes(wildcards):
    if CONFIG.figures[wildcards.figure].kind == "claims":
        return CLAIMS_RECIPE
    return spectra_recipes(figure_inputs(wildcards))


def figure_params(wildcards):
    params = fpconfig.plain(CONFIG.figures[wildcards.figure])
    return params | {"rows": CLAIM_ROWS} if params["kind"] == "claims" else params


def figure_category(wildcards):
    return fpconfig.FIGURES[CONFIG.figures[wildcards.figure].kind].category


def figure_code(wildcards):
    return code_of("plot.py", f"fpkit.figures.{CONFIG.figures[wildcards.figure].kind}")


rule plot:
    """Draw one figure in all formats."""
    input:
        figure_inputs,
    output:
        report(
            "results/figures/{figure}.svg",
            caption="../report/figure.rst",
            category=figure_category,
            labels={"shows": "{figure}"},
        ),
        "results/figures/{figure}.pdf",
        "results/figures/{figure}.png",
    log:
        "results/logs/figures/{figure}.log",
    benchmark:
        "results/benchmarks/figures/{figure}.tsv"
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 2000),
        runtime=growing("runtime", 15),
        gpu=0,
    params:
        figure=figure_params,
        recipes=figure_recipes,
        code=figure_code,
    script:
        "../scripts/plot.py"


use rule plot as animate with:
    output:
        "results/figures/{figure}.gif",

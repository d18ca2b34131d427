# TAKES    the spectra of a figure's experiments, the claims, or a calibration; figures: in config.yaml
# MAKES    results/figures/{figure}.svg, .pdf, .png; of animations .gif
# STEPS    draw, all variants side by side
FORMATS = ["svg", "pdf", "png"]
ANIMATIONS = [
    name
    for name, figure in CONFIG.figures.items()
    if fpconfig.FIGURES[figure.kind].animated
]
PICTURES = [name for name in CONFIG.figures if name not in ANIMATIONS]
FIGURE_FILES = [
    *expand("results/figures/{figure}.{format}", figure=PICTURES, format=FORMATS),
    *expand("results/figures/{figure}.gif", figure=ANIMATIONS),
]


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
    conda:
        "../envs/fpkit.yaml"
    threads: 1
    resources:
        mem_mb=growing("mem_mb", 2000),
        runtime=growing("runtime", 15),
        gpu=0,
    params:
        figure=figure_params,
        groups=figure_groups,
        recipes=figure_recipes,
        code=figure_code,
    script:
        "../scripts/plot.py"


use rule plot as animate with:
    output:
        "results/figures/{figure}.gif",

# TAKES    the spectra of a figure's experiment; figures: in config.yaml
# MAKES    results/figures/{figure}.svg, .pdf, .png
# STEPS    draw, all variants side by side
FORMATS = ["svg", "pdf", "png"]
FIGURE_FILES = expand(
    "results/figures/{figure}.{format}", figure=CONFIG.figures, format=FORMATS
)


def figure_spectra(wildcards):
    figure = CONFIG.figures[wildcards.figure]
    return spectra_of(figure.experiment, fpconfig.FIGURE_MEASURE[figure.kind])


rule plot:
    """Draw one figure in all formats."""
    input:
        spectra=figure_spectra,
    output:
        expand("results/figures/{{figure}}.{format}", format=FORMATS),
    log:
        "results/logs/figures/{figure}.log",
    benchmark:
        "results/benchmarks/figures/{figure}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
        gpu=0,
    params:
        figure=lambda w: fpconfig.plain(CONFIG.figures[w.figure]),
        code=lambda w: code_of(
            "plot.py", f"fpkit.figures.{CONFIG.figures[w.figure].kind}"
        ),
    script:
        "../scripts/plot.py"

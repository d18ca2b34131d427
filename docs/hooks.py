"""Pages of the site that are made and not written: README as its first page, notebooks, changes, gallery, API."""

from __future__ import annotations

import html
import os
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

from fpkit.claims.findings import finding, judged_claims
from fpkit.config import FIGURES, MEASURES, load, read_yaml
from fpkit.measures.taking import function_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
PUBLIC = {
    "Recorder": "fpkit.recording.recorder.Recorder",
    "open_run": "fpkit.recording.runs.open_run",
    "judge": "fpkit.claims.judging.judge",
    "Verdict": "fpkit.claims.judging.Verdict",
    "mean_frequency": "fpkit.measures.smoothness.mean_frequency",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made."""
    sys.path.append(str(ROOT))  # parts that come with the workflow, which the configuration names
    made = {
        "index.md": (ROOT / "README.md").read_text(encoding="utf-8"),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "gallery.md": _gallery(),
        "api.md": _api(),
    }
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    for notebook in sorted((ROOT / "docs").glob("*.ipynb")):
        named = {"unique_key": notebook.stem, "output_files_dir": f"{notebook.stem}_files"}
        content, resources = MarkdownExporter().from_filename(str(notebook), resources=named)
        files.append(File.generated(config, f"{notebook.stem}.md", content=content))
        for name, picture in resources["outputs"].items():
            files.append(File.generated(config, name, content=picture))
    for picture in sorted((RESULTS / "figures").glob("*")):
        if picture.suffix not in (".png", ".gif"):
            continue
        files.append(File.generated(config, f"figures/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they stand in the repository, as the site has them; of what it does not hold, the name alone."""
    there, folder = {file.src_uri for file in files}, Path(page.file.src_uri).parent

    def link(match: re.Match) -> str:
        text, target = match[1], match[2]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, _, anchor = target.partition("#")
        place = re.sub(r"^(\.\./|docs/)", "", path)
        place = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}.get(place, place)
        place = re.sub(r"\.ipynb$", ".md", place)
        if (folder / place).as_posix() in there:
            return f"[{text}]({place}{'#' * bool(anchor)}{anchor})"
        if place in there:
            return f"[{text}]({os.path.relpath(place, folder)}{'#' * bool(anchor)}{anchor})"
        return text

    return re.sub(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)", link, _pictures(markdown))


def _pictures(markdown: str) -> str:
    # What draws such a chart would be loaded from elsewhere.
    markdown = markdown.replace("```mermaid", "```text")
    return re.sub(r"!\[([^\]]*)\]\((?:docs/|\.\./)([^)]+)\)", r"![\1](\2)", markdown)


def _gallery() -> str:
    """Each figure of the configuration, its caption, and what was found, where `make figures` has made it."""
    config = load(read_yaml(ROOT / "config.yaml"))
    judged = judged_claims(RESULTS / "claims.csv")
    lines = ["# Gallery", "", "The figures that `make figures` draws, what they show, and what was found.", ""]
    if not judged:
        lines += ["Pictures and findings stand here once it has run in this folder.", ""]
    for name, figure in config.figures.items():
        kind = FIGURES[figure.kind]
        lines += [f"## {name}", "", kind.shows, ""]
        ending = "gif" if kind.animated else "png"
        if (RESULTS / f"figures/{name}.{ending}").exists():
            lines += [f"![{kind.shows}](figures/{name}.{ending})", ""]
        lines += [f"*{kind.look}*", ""]
        for claim_id, claim in config.claims.items():
            if claim.experiment in figure.experiments and claim.measure in kind.measures and claim_id in judged:
                found = re.sub(r"\\(.)", r"\1", finding(claim.statement, judged[claim_id]))  # no reStructuredText here
                lines.append(f"- {html.escape(found)}")
        lines.append("")
    return "\n".join(lines)


def _api() -> str:
    """The public names: classes and functions by their docstrings, measures and figures by their entries."""
    lines = [
        "# API",
        "",
        "What `import fpkit` has. Errors that a caller can mend are `fpkit.errors.UserError`, one line.",
    ]
    for path in PUBLIC.values():
        lines += ["", f"::: {path}", "    options: {members: [__call__, append, due, close]}"]
    lines += [
        "",
        "## Measures",
        "",
        "`fpkit.measures.NAME(run)`, or of arrays: `fpkit.measures.NAME(predictions, x, y)`.",
    ]
    for name in MEASURES:
        lines += ["", f"### {name}", "", "```text", function_of(name).__doc__ or "", "```"]
    lines += ["", "## Figures", "", "`fpkit.figures.NAME(spectra)` gives a figure of matplotlib.", ""]
    lines += [
        f"- `{name}`, of {' or '.join(kind.measures) or 'a table'}: {kind.shows}" for name, kind in FIGURES.items()
    ]
    return "\n".join(lines)

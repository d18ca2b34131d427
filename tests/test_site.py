"""The site builds without a warning, and its pages hold what they are to hold."""

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from fpkit.config import FIGURES, MEASURES

ROOT = Path(__file__).parents[1]


pytest.importorskip("mkdocs")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", built]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return built


def text_of(page: Path) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def test_every_document_is_a_page_and_in_the_navigation(site):
    documents = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert documents <= {path.parent.name for path in site.glob("*/index.html")}
    front = (site / "index.html").read_text()
    for name in (*documents, "gallery", "api", "changelog"):
        assert f'href="{name}/"' in front


def test_no_page_links_to_a_file_that_the_site_does_not_have(site):
    for page in site.rglob("index.html"):
        for target in re.findall(r'(?:href|src)="([^"#?]+)', page.read_text()):
            if not re.match(r"[a-z]+:", target):
                place = (page.parent / target).resolve()
                assert place.exists(), f"{page.relative_to(site)}: {target}"


def test_all_measures_and_figures_are_named(site):
    api = text_of(site / "api/index.html")
    assert [name for name in MEASURES if f"\n{name}" not in api] == []
    assert [name for name in FIGURES if name not in api] == []
    for name in ("Recorder", "open_run", "judge", "mean_frequency"):
        assert f".{name}" in api
    gallery = text_of(site / "gallery/index.html")
    assert [kind.shows for kind in FIGURES.values() if kind.shows not in gallery] == []


def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert [one for one in loaded if "canonical" not in one] == [], page
        assert 'class="mermaid"' not in page.read_text(), "whose script is"

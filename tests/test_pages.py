"""Pages of the report, from templates."""

import base64

import pytest
from conftest import REPOSITORY
from jinja2 import UndefinedError

from fpkit.jobs.pages import render

TEMPLATES = REPOSITORY / "workflow/report"
ODD = "<b>bold</b> & 'quoted' {{ braces }}"
ESCAPED = "&lt;b&gt;bold&lt;/b&gt; &amp; &#39;quoted&#39; {{ braces }}"
ROW = {
    "claim": "order", "statement": ODD, "source": ODD, "experiment": "one", "variant": "a+b_c",
    "statistic": "first_order", "value": "0.9", "ci_low": "0.8", "ci_high": "1", "control": "", "bound": ">= 0.8",
    "verdict": "does not hold", "members": "3 of 3", "censored": "",
    "level": "0.97", "reached": "", "given": ODD, "explains": "", "conjecture": ODD, "remark": ODD,
}  # fmt: skip


def test_whatever_is_filled_in_is_escaped():
    claims = {"claims": [[ROW]], "given": {"does not hold": 1}, "by_chance": ODD}
    links = {"figures": {ODD: {ODD: "figure.svg"}}, "pages": {"claims": "claims.html", "config": "config.html"}}
    pages = {
        "claims_page": render(TEMPLATES / "claims_page.html.jinja", **claims),
        "overview_page": render(TEMPLATES / "overview_page.html.jinja", **claims, **links, picture=None),
        "config_page": render(TEMPLATES / "config_page.html.jinja", tables={ODD: {ODD: {"a": ODD}}}, absent=[ODD]),
    }
    assert {name: page.count(ESCAPED) for name, page in pages.items()} == {
        "claims_page": 6, "overview_page": 3, "config_page": 4,
    }  # fmt: skip
    for page in pages.values():
        assert "<b>" not in page
        assert page.startswith("<!doctype html>")


def test_a_page_in_anothers_script_does_not_end_it():
    """Snakemake writes the overview into a script of its page."""
    closing = ROW | {"statement": "</script><!--", "variant": "</script>"}
    page = render(
        TEMPLATES / "overview_page.html.jinja", claims=[[closing]], given={}, picture=None,
        figures={"</script>": {}}, pages={"claims": "claims.html", "config": "config.html"},
    )  # fmt: skip
    assert "</script" not in page
    assert "<!--" not in page


def test_picture_is_in_the_page(tmp_path):
    (tmp_path / "moving.gif").write_bytes(b"GIF89a, more or less")
    page = render(TEMPLATES / "animation_page.html.jinja", figure="moving", animation=tmp_path / "moving.gif")
    data = page.partition("data:image/gif;base64,")[2].partition('"')[0]
    assert base64.b64decode(data) == b"GIF89a, more or less"


def test_value_that_is_missing_is_told():
    with pytest.raises(UndefinedError, match="'tables' is undefined"):
        render(TEMPLATES / "config_page.html.jinja", absent=[])


def test_scripts_write_no_html():
    scripts = list((REPOSITORY / "workflow/scripts").glob("*.py"))
    assert {script.stem for script in scripts} >= {
        path.name.split(".")[0] for path in TEMPLATES.glob("*_page.html.jinja")
    }
    assert [script.name for script in scripts if "</" in script.read_text()] == []

"""Findings in words, from rows of claims.csv."""

import pytest

from fpkit.claims import findings


def row(variant="base", value="0.9", verdict="holds", bound=">= 0.8", **more) -> dict[str, str]:
    columns = {"claim": "order", "variant": variant, "statistic": "first_order", "value": value, "ci_low": "0.7"}
    return columns | {"ci_high": "1", "bound": bound, "verdict": verdict} | more


def plain(text: str) -> str:
    return text.replace("\\", "")


def test_single_row_is_said_with_its_verdict_and_interval():
    said = plain(findings.finding("Low first.", [row()]))
    assert said == "Low first (first_order >= 0.8): holds; median 0.9 [0.7, 1]."


@pytest.mark.parametrize(("bound", "weakest"), [(">= 0.8", "a"), ("<= 0.8", "b")])
def test_several_rows_are_counted_and_the_weakest_comes_first(bound, weakest):
    rows = [row("a", "0.1", "does not hold", bound, why_not="Too small."), row("b", "0.95", bound=bound, why_not="")]
    said = plain(findings.finding("Low first", rows))
    assert "holds for 1, does not hold for 1 of 2 variants" in said
    assert f"for {weakest}, the weakest, to" in said
    assert said.endswith("Where it does not hold: Too small.")


def test_unknown_value_is_left_out():
    assert plain(findings.finding("Low first", [row(value="", verdict="undecided")])).endswith("undecided.")


def test_table_is_read_by_claim_and_broken_rows_are_passed_over(tmp_path):
    assert findings.judged_claims(tmp_path / "none.csv") == {}
    rows = [row(), row("other"), row(verdict="perhaps")]
    lines = [",".join(rows[0]), *(",".join(values.values()) for values in rows), "order,cut short"]
    (tmp_path / "claims.csv").write_text("\n".join(lines))
    (found,) = findings.judged_claims(tmp_path / "claims.csv").values()
    assert [values["variant"] for values in found] == ["base", "other"]


def test_rows_stand_together_by_claim_and_verdicts_are_counted_in_their_order():
    rows = [row(verdict="does not hold"), row("other"), row(claim="area"), row(claim="area", variant="other")]
    assert findings.by_claim(rows) == [rows[:2], rows[2:]]
    assert list(findings.given(rows).items()) == [("holds", 3), ("does not hold", 1)]

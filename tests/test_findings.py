"""Findings in words, from rows of claims.csv."""

import pytest

from fpkit.claims import findings


def row(variant="base", value="0.9", verdict="holds", bound=">= 0.8", **more) -> dict[str, str]:
    columns = {"claim": "order", "variant": variant, "statistic": "first_order", "value": value, "ci_low": "0.7"}
    return columns | {"ci_high": "1", "level": "0.97", "bound": bound, "verdict": verdict} | more


def plain(text: str) -> str:
    return text.replace("\\", "")


def test_single_row_is_said_with_its_verdict_and_interval():
    said = plain(findings.finding("Low first.", [row()]))
    assert said == "Low first (first_order >= 0.8): holds; median 0.9 [0.7, 1]."


@pytest.mark.parametrize(("bound", "weakest"), [(">= 0.8", "a"), ("<= 0.8", "b"), ("in [0, 0.6]", "b")])
def test_several_rows_are_counted_and_the_weakest_comes_first(bound, weakest):
    rows = [row("a", "0.3", "does not hold", bound, conjecture="Too small."), row("b", "0.95", bound=bound)]
    said = plain(findings.finding("Low first", rows))
    assert "holds for 1, does not hold for 1 of 2 variants" in said
    assert f"for {weakest}, the weakest, to" in said
    assert said.endswith("Conjecture, not tested: Too small.")


def test_a_lead_is_said_in_decades_and_where_it_is_a_lower_bound():
    rows = [row(statistic="lead"), row("b", statistic="lead", remark="a lower bound: the run ends (6 of 8 members)")]
    said = plain(findings.finding("Low first", rows))
    assert "median 0.9 [0.7, 1] decades of training for base" in said
    assert "A lower bound for 1 of 2: the run ends before the high half is learned." in said
    assert "Undecided" not in said  # what is decided is not undecided for having a remark


def test_a_control_is_said_with_its_permutation_test():
    name = "lead - lead under paces"
    rows = [row(statistic=name, reached="0 of 20"), row("b", statistic=name, reached="3 of 20")]
    assert "; reached by 0 of 20 draws of paces (p = 0.048)." in plain(findings.finding("Low first", rows[:1]))
    assert "; reached by at most 3 of 20 draws of paces (p = 0.19)." in plain(findings.finding("Low first", rows))


def test_an_explanation_names_the_claim_that_it_explains():
    said = plain(findings.finding("Small batches disturb", [row(explains="algorithms_order_hold")]))
    assert said.endswith("Tested as the explanation of where algorithms_order_hold does not hold.")


def test_how_many_rows_chance_would_turn_is_the_sum_of_what_their_levels_leave():
    said = findings.by_chance(["0.95"] * 60 + [0.9] * 10 + ["", float("nan")])
    assert said.startswith("Of 70 rows with an interval, 4.0 at most are expected to miss the true value")


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

"""A job beside what was planned: the same, or not."""

import json
import os
import time

import pytest

from fpkit.errors import UserError
from fpkit.jobs import plans, provenance

WILDCARDS = ("short", "base")


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "train.py"
    path.write_text("import math\n")
    return path


@pytest.fixture
def params(script) -> dict:
    return {"training": {"steps": 3, "learning_rate": 0.1}, "code": provenance.code_hashes(script)}


@pytest.fixture
def planned(params, script, tmp_path, monkeypatch):
    monkeypatch.setenv(plans.VARIABLE, "")  # what is set is gone after the test
    states = {script: provenance.STATES[script]}
    plans.write(tmp_path / "plans", [("train", WILDCARDS, params)], {(str(script),): params["code"]}, states)
    for function in vars(provenance).values():  # as in another process, which remembers nothing
        getattr(function, "cache_clear", lambda: None)()


def edit(path, text: str) -> None:
    path.write_text(text)
    later = time.time() + 5
    os.utime(path, (later, later))


def test_what_was_planned_is_done(planned, params):
    plans.check("train", WILDCARDS, params)
    plans.check("train", WILDCARDS, json.loads(json.dumps(dict(reversed(params.items())))))


@pytest.mark.parametrize("training", [{"steps": 4, "learning_rate": 0.1}, {"steps": 3}, {"steps": 0.1}])
def test_another_configuration_refuses(planned, params, training):
    with pytest.raises(UserError, match=r"^config\.yaml, or a file laid over it, was edited after .*, run again$"):
        plans.check("train", WILDCARDS, params | {"training": training})


@pytest.mark.parametrize("job", [("train", ("short", "other")), ("decompose", WILDCARDS)])
def test_a_job_that_was_not_planned_refuses(planned, params, job):
    with pytest.raises(UserError, match="was edited after"):
        plans.check(*job, params)


def test_code_that_was_read_again_and_is_another_refuses(planned, params):
    with pytest.raises(UserError, match=r"^its code was edited after .*, run again$"):
        plans.check("train", WILDCARDS, params | {"code": ["train.py@000000000000"]})


def test_code_that_would_be_loaded_now_and_is_another_refuses(planned, params, script):
    edit(script, "import math\nEDITED = True\n")
    with pytest.raises(UserError, match=r"^its code was edited after .*, run again$"):
        plans.check("train", WILDCARDS, params)


@pytest.mark.parametrize("text", ["import math\n", "# a comment\nimport math\n"], ids=["a date", "a comment"])
def test_dates_and_comments_are_no_edit(planned, params, script, text):
    edit(script, text)
    plans.check("train", WILDCARDS, params)


def test_a_plan_that_all_jobs_are_done_with_leaves_nothing(planned, params, tmp_path):
    plans.forget()
    assert list((tmp_path / "plans").iterdir()) == []
    plans.check("train", WILDCARDS, params)

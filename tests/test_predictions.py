"""The prediction store, read back with xarray and compared with plain lists."""

import errno
import json
import os
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fpkit.errors import UserError
from fpkit.store import arrays
from fpkit.store import predictions as store
from fpkit.store.predictions import Writer, diverged, open_predictions

SCORES = ["loss_train", "loss_test", "accuracy_train", "accuracy_test"]
MEMBERS = [1000, 1001]


def record(step: int, members: int = 2, samples: int = 3, outputs: int = 2) -> tuple[np.ndarray, dict]:
    """A record whose every number follows from its step, so that it is known again."""
    rng = np.random.default_rng(step)
    prediction = rng.standard_normal((members, samples, outputs)).astype(np.float32)
    return prediction, {name: rng.standard_normal(members).astype(np.float32) for name in SCORES}


def fill(path, steps, members=MEMBERS) -> Writer:
    writer = Writer(path, members, 3, 2, SCORES)
    for step in steps:
        prediction, scores = record(step, len(members))
        writer.append(step, prediction, **scores)
    writer.flush()
    return writer


def assert_holds(path, steps: list[int]) -> None:
    """xarray alone, without fpkit's reader, finds these records."""
    with xr.open_zarr(path, consolidated=False, chunks=None) as found:
        assert found["step"].to_numpy().tolist() == steps
        assert found["prediction"].shape == (len(steps), 2, 3, 2)
        for index, step in enumerate(steps):
            prediction, scores = record(step)
            assert np.array_equal(found["prediction"][index].to_numpy(), prediction)
            for name, values in scores.items():
                assert np.array_equal(found[name][index].to_numpy(), values)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 7)),
        st.tuples(st.just("flush"), st.just(0)),
        st.tuples(st.just("truncate"), st.floats(0, 1)),
        st.tuples(st.just("reopen"), st.booleans()),
    ),
    max_size=12,
)


@given(operations=OPERATIONS, per_shard=st.integers(1, 5))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_operations_equals_the_same_on_a_list(tmp_path, operations, per_shard):
    path = tmp_path / "sequence.zarr"
    shutil.rmtree(path, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "SHARD_STEPS", per_shard)  # few, so that short sequences cross shards
        writer = Writer(path, MEMBERS, 3, 2, SCORES)
        held, written, clock = [], 0, 0
        for operation, value in operations:
            if operation == "append":
                for _ in range(value):
                    clock += 1
                    prediction, scores = record(clock)
                    writer.append(clock, prediction, **scores)
                    held.append(clock)
                    if len(held) % per_shard == 0:
                        written = len(held)
            elif operation == "flush":
                writer.flush()
                written = len(held)
            elif operation == "truncate":
                # As a resumed training does: to records that were flushed when its checkpoint was written.
                keep = int(value * written)
                writer.truncate(keep)
                held, written = held[:keep], keep
            else:
                if value:
                    writer.flush()
                    written = len(held)
                held = held[:written]  # a process that dies loses what it has not flushed, and nothing else
                writer = Writer(path, MEMBERS, 3, 2, SCORES)
            assert writer.records == len(held)
        writer.flush()
    assert_holds(path, held)


def test_flush_that_was_cut_short_leaves_nothing_to_find(tmp_path):
    path = tmp_path / "a.zarr"
    fill(path, [0, 1, 2])
    # Killed while flushing: predictions and one score are longer already, `step`, which is written last, is not.
    for name in ("prediction", "loss_train"):
        array = zarr.open_array(path / name, mode="r+")
        array.resize((5, *array.shape[1:]))
        array[3:] = 99
    assert fill(path, [3]).records == 4
    assert_holds(path, [0, 1, 2, 3])


@pytest.mark.parametrize(("small", "members"), [(2**18, 2), (0, 1)], ids=["small", "large"])
def test_one_step_of_one_member_or_of_all_is_a_chunk_and_steps_share_a_file(tmp_path, monkeypatch, small, members):
    monkeypatch.setattr(store, "SMALL_STEP_BYTES", small)
    fill(tmp_path / "a.zarr", range(70))
    array = zarr.open_array(tmp_path / "a.zarr" / "prediction", mode="r")
    assert array.chunks == (1, members, 3, 2)
    assert array.shards[1:] == (2, 3, 2)
    assert array.shards[0] > 16
    assert array.metadata.zarr_format == 3


def test_three_hundred_records_take_a_few_dozen_files(tmp_path):
    fill(tmp_path / "a.zarr", range(300))
    assert sum(file.is_file() for file in (tmp_path / "a.zarr").rglob("*")) <= 40
    assert_holds(tmp_path / "a.zarr", list(range(300)))


def test_shard_of_large_predictions_stays_within_its_bytes(tmp_path):
    writer = Writer(tmp_path / "a.zarr", range(10), 10_000, 10, ["loss_train"])
    array = zarr.open_array(tmp_path / "a.zarr" / "prediction", mode="r")
    assert writer.records == 0
    assert 1 <= array.shards[0] * 4 * 10 * 10_000 * 10 / 2**20 <= 64


def test_every_variable_has_units_and_a_long_name(tmp_path):
    fill(tmp_path / "a.zarr", range(3))
    found = open_predictions(tmp_path / "a.zarr")
    assert {"step", "member", "sample", "output", "prediction", *SCORES} == set(found.variables)
    for name, variable in found.variables.items():
        assert variable.attrs["units"], name
        assert variable.attrs["long_name"], name
    assert found["member"].to_numpy().tolist() == MEMBERS
    assert found["prediction"].dtype == np.float32


def test_large_predictions_open_lazily_in_chunks_of_a_shard(tmp_path, monkeypatch):
    fill(tmp_path / "a.zarr", range(70))
    assert open_predictions(tmp_path / "a.zarr")["prediction"].chunks is None
    monkeypatch.setattr(store, "LARGE_BYTES", 0)
    found = open_predictions(tmp_path / "a.zarr")
    shard = zarr.open_array(tmp_path / "a.zarr" / "prediction", mode="r").shards[0]
    assert found["prediction"].chunks[0][0] == shard
    assert np.array_equal(found["prediction"].sel(step=33, member=1001).to_numpy(), record(33)[0][1])


def test_attributes_are_texts_numbers_or_json(tmp_path):
    writer = fill(tmp_path / "a.zarr", range(2))
    writer.describe(device="cpu", wall_seconds=1.5, recipe={"steps": [1, None]})
    attrs = open_predictions(tmp_path / "a.zarr").attrs
    assert (attrs["device"], attrs["wall_seconds"]) == ("cpu", 1.5)
    assert json.loads(attrs["recipe"]) == {"steps": [1, None]}


# --- broken stores ----------------------------------------------------------------------------------------------------


def assert_unreadable(path) -> None:
    with pytest.raises(UserError, match="; record it anew, or leave it out") as error:
        open_predictions(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_missing_store_is_told_in_one_line(tmp_path):
    assert_unreadable(tmp_path / "nothing.zarr")


def test_empty_folder_is_told_in_one_line(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    assert_unreadable(tmp_path / "a.zarr")


@pytest.mark.parametrize("text", ["", "{", '{"zarr_format": 9}', "\x00\x01"])
@pytest.mark.parametrize("file", ["zarr.json", "prediction/zarr.json", "step/zarr.json"])
def test_store_with_broken_metadata_is_told_in_one_line(tmp_path, file, text):
    fill(tmp_path / "a.zarr", range(3))
    (tmp_path / "a.zarr" / file).write_text(text)
    assert_unreadable(tmp_path / "a.zarr")


def test_store_without_predictions_is_told_in_one_line(tmp_path):
    fill(tmp_path / "a.zarr", range(3))
    shutil.rmtree(tmp_path / "a.zarr" / "prediction")
    assert_unreadable(tmp_path / "a.zarr")


@pytest.mark.parametrize("text", ["", "{", "{}"])
@pytest.mark.parametrize("file", ["zarr.json", "prediction/zarr.json", "step/zarr.json", "loss_test/zarr.json"])
def test_writer_begins_anew_where_the_store_is_broken(tmp_path, file, text):
    fill(tmp_path / "a.zarr", range(3))
    (tmp_path / "a.zarr" / file).write_text(text)
    writer = Writer(tmp_path / "a.zarr", MEMBERS, 3, 2, SCORES)
    # Either nothing is taken from it, or all of it; never a store that fails later.
    kept = list(range(writer.records))
    assert_kept(tmp_path / "a.zarr", beside=not kept)
    prediction, scores = record(7)
    writer.append(7, prediction, **scores)
    writer.flush()
    assert_holds(tmp_path / "a.zarr", [*kept, 7])


def test_writer_begins_anew_where_the_store_has_another_shape(tmp_path):
    fill(tmp_path / "a.zarr", range(3), members=[1, 2, 3])
    assert Writer(tmp_path / "a.zarr", MEMBERS, 3, 2, SCORES).records == 0
    assert_kept(tmp_path / "a.zarr", beside=True)


def assert_kept(path, beside: bool) -> None:
    """The three records that were there are so still, under another name."""
    folder = path.with_name(f"{path.name}.kept-1") if beside else path
    shards = [file for file in (folder / "prediction/c").rglob("*") if file.is_file()]
    assert shards
    assert all(file.stat().st_size > 3 * 3 * 2 * 4 for file in shards)


def test_what_was_kept_is_kept_when_it_happens_again(tmp_path, capsys):
    path = tmp_path / "a.zarr"
    for count in (1, 2, 3):
        fill(path, range(count))
        (path / "zarr.json").write_text("")
        assert Writer(path, MEMBERS, 3, 2, SCORES).records == 0
        assert f"begun anew, what it held is in {path}.kept-{count}\n" in capsys.readouterr().out
    for count in (1, 2, 3):
        kept = path.with_name(f"a.zarr.kept-{count}")
        (kept / "zarr.json").write_bytes((path / "zarr.json").read_bytes())
        assert_holds(kept, list(range(count)))


FOREIGN = (".ipynb_checkpoints", "lost+found", "prediction/.ipynb_checkpoints", "step/c/@eaDir")
FOREIGN_FILES = (".DS_Store", ".nfs000000000012", ".ipynb_checkpoints/zarr-checkpoint.json", "prediction/._zarr.json")


def leave_foreign(path) -> None:
    """What desktops, notebooks and file systems leave in folders."""
    for name in FOREIGN:
        (path / name).mkdir()
    for name in FOREIGN_FILES:
        (path / name).write_text("{}")


def foreign(path) -> set[str]:
    return {name for name in (*FOREIGN, *FOREIGN_FILES) if (path / name).exists()}


def test_foreign_files_and_folders_in_a_store_are_passed_over(tmp_path):
    path = tmp_path / "a.zarr"
    fill(path, range(3))
    leave_foreign(path)
    assert fill(path, [3]).records == 4, "appended to"
    found = open_predictions(path)
    assert {"step", "member", "sample", "output", "prediction", *SCORES} == set(found.variables)
    assert found["step"].to_numpy().tolist() == [0, 1, 2, 3]
    with store.reading(path):
        assert np.array_equal(found["prediction"][3], record(3)[0])
    arrays.copy(path, tmp_path / "copy.zarr")
    assert_holds(tmp_path / "copy.zarr", [0, 1, 2, 3])
    assert foreign(tmp_path / "copy.zarr") == set()
    writer = Writer(path, MEMBERS, 3, 2, SCORES)
    writer.drop_damaged()
    writer.truncate(2)
    assert open_predictions(path)["step"].to_numpy().tolist() == [0, 1]
    assert foreign(path) == {*FOREIGN, *FOREIGN_FILES}, "and nobody deletes them"


def test_foreign_files_outlive_a_store_that_is_begun(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / ".DS_Store").write_text("{}")
    fill(path, range(3))
    assert open_predictions(path).sizes["step"] == 3
    assert (path / ".DS_Store").exists()


def test_a_copy_without_links_and_modes_is_plain(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    fill(tmp_path / "a.zarr", range(3))
    for name in ("link", "chmod", "utime"):
        monkeypatch.setattr(os, name, refuse)
    arrays.copy(tmp_path / "a.zarr", tmp_path / "copy.zarr")
    fill(tmp_path / "copy.zarr", [3])
    assert_holds(tmp_path / "copy.zarr", [0, 1, 2, 3])
    assert_holds(tmp_path / "a.zarr", [0, 1, 2])


def test_flipped_bit_in_a_shard_is_noticed(tmp_path):
    fill(tmp_path / "a.zarr", range(3))
    (shard,) = (tmp_path / "a.zarr" / "prediction" / "c").rglob("0/0/0/0")
    content = bytearray(shard.read_bytes())
    content[5] ^= 1
    shard.write_bytes(content)
    with pytest.raises(Exception, match=r"(?i)checksum"):
        open_predictions(tmp_path / "a.zarr")["prediction"].load()


# --- divergence -------------------------------------------------------------------------------------------------------


def losses(rows: list[list[float]]) -> xr.Dataset:
    return xr.Dataset(
        {"loss_train": (("step", "member"), np.asarray(rows, np.float32))},
        coords={"step": np.arange(len(rows)), "member": np.arange(len(rows[0])) + 5},
    )


def test_member_that_was_ever_not_finite_or_a_thousand_times_worse_has_diverged():
    rows = [
        [1.0, 1.0, 1.0, 1.0, np.nan, 2.0, 1.0],
        [0.5, np.nan, np.inf, 1001.0, 1.0, 1999.0, 999.0],
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
    ]
    found = diverged(losses(rows))
    assert found.dims == ("member",)
    assert found.to_numpy().tolist() == [False, True, True, True, True, False, False]


@given(
    st.lists(
        st.lists(st.floats(0, 1e6) | st.just(np.nan) | st.just(np.inf), min_size=2, max_size=2), min_size=1, max_size=6
    )
)
@settings(deadline=None)
def test_divergence_equals_a_naive_loop(rows):
    expected = []
    for member in range(2):
        column = [np.float32(row[member]) for row in rows]
        expected.append(any(not np.isfinite(value) or value > 1000 * column[0] for value in column))
    assert diverged(losses(rows)).to_numpy().tolist() == expected

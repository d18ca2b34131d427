"""Nearest neighbours by all pairs, against the distances themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpkit.datasets import neighbours


def assert_nearest(x, count):
    """By distance, as of those that are equally far any may be taken."""
    found = neighbours.nearest(x, count)
    rows = np.arange(len(x))
    assert (found != rows[:, np.newaxis]).all(), "no neighbour of its own"
    assert all(len(set(row)) == count for row in found)
    exact = x.astype(float)
    distances = np.stack([((exact - one) ** 2).sum(axis=1) for one in exact])
    distances[rows, rows] = np.inf
    wanted = np.sort(distances, axis=1)[:, :count]
    np.testing.assert_allclose(np.sort(np.take_along_axis(distances, found, axis=1)), wanted, rtol=1e-9, atol=1e-300)


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(3, 700),
    features=st.integers(1, 30),
    share=st.floats(0, 1),
    seed=st.integers(0, 10**6),
    kind=st.sampled_from([np.float32, np.float64]),
)
def test_the_nearest_are_found_whatever_the_shapes(samples, features, share, seed, kind):
    x = np.random.default_rng(seed).standard_normal((samples, features)).astype(kind)
    assert_nearest(x, 1 + int(share * min(samples - 2, 100)))


@pytest.mark.parametrize("far", [1e3, 1e6])
def test_clusters_whose_distance_hides_those_within_are_looked_at_in_double_precision(far, monkeypatch):
    """Single precision knows no distances within a cluster: any of it are as good to it as others."""
    rng = np.random.default_rng(0)
    x = np.concatenate([1e-2 * rng.standard_normal((300, 4)) + shift for shift in (0, far, -far)])
    kinds = []
    made = neighbours._Compared.__init__
    monkeypatch.setattr(
        neighbours._Compared, "__init__", lambda self, x, kind: (kinds.append(kind), made(self, x, kind))[0]
    )
    assert_nearest(x, 5)
    assert kinds == [np.float32, np.float64], "and where that is none, too, by differences"


def test_single_precision_is_enough_for_images(monkeypatch):
    from sklearn.datasets import load_digits

    monkeypatch.setattr(neighbours, "ROWS", 100)
    made = neighbours._Compared.__init__

    def single(self, x, kind):
        assert kind == np.float32
        made(self, x, kind)

    monkeypatch.setattr(neighbours._Compared, "__init__", single)
    assert_nearest(load_digits().data.astype(np.float32) / 16, 10)


@pytest.mark.parametrize("copies", [2, 12, 40])
def test_copies_are_neighbours_of_each_other(copies):
    x = np.tile(np.random.default_rng(0).standard_normal((30, 3)), (copies, 1))
    assert_nearest(x, 9)

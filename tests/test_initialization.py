"""Initial parameters: their spread, and that a member's follow from its seed alone."""

import math

import numpy as np
import pytest

from fpkit.training.initialization import dense, initialize

SHAPES = [(400, 300), (300, 200), (16, 8, 5, 5)]
# (fan_in, fan_out) of each shape: of a convolution, channels times kernel area.
FANS = [(400, 300), (300, 200), (8 * 25, 16 * 25)]


@pytest.mark.parametrize("initialization", ["scaled", "gaussian", "xavier", "he"])
def test_initial_weights_and_biases_have_the_documented_spread(initialization):
    parameters = initialize(SHAPES, initialization, 0.3, range(20))
    for (fan_in, fan_out), weight, bias in zip(FANS, parameters[::2], parameters[1::2], strict=True):
        weight_std, bias_std = {
            "scaled": (1 / math.sqrt(fan_in), 1),
            "gaussian": (0.3, 0.3),
            "xavier": (math.sqrt(2 / (fan_in + fan_out)), 0),
            "he": (math.sqrt(2 / fan_in), 0),
        }[initialization]
        for values, std in ((weight, weight_std), (bias, bias_std)):
            # Six standard errors of the sample's deviation and mean: far, but any wrong factor is farther.
            assert float(values.std()) == pytest.approx(std, rel=6 / math.sqrt(2 * values.size))
            assert abs(float(values.mean())) <= 6 * std / math.sqrt(values.size)
        assert abs(float((weight**4).mean()) / weight_std**4 - 3) < 0.2  # normal, not uniform


def test_initial_parameters_are_stacked_float32_with_one_bias_per_unit():
    parameters = initialize([(4, 3), (5, 2, 3, 3)], "scaled", 0.1, [7, 8])
    assert [tuple(p.shape) for p in parameters] == [(2, 4, 3), (2, 3), (2, 5, 2, 3, 3), (2, 5)]
    assert {p.dtype for p in parameters} == {np.dtype(np.float32)}


def test_initial_values_of_a_member_do_not_depend_on_the_others():
    ensemble = initialize(SHAPES[1:], "gaussian", 0.1, [3, 4, 5])
    for place, seed in enumerate([3, 4, 5]):
        alone = initialize(SHAPES[1:], "gaussian", 0.1, [seed])
        for stacked, single in zip(ensemble, alone, strict=True):
            assert np.array_equal(stacked[place], single[0])
    assert not np.array_equal(ensemble[0][0], ensemble[0][1])


def test_initialization_leaves_the_global_generator_alone():
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.rand(3)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    initialize([(4, 3)], "he", 0.1, [0])
    assert np.array_equal(np.random.rand(3), expected)  # noqa: NPY002


def test_shapes_of_dense_layers():
    assert dense((1, 7, 9), [6, 4], 2) == [(63, 6), (6, 4), (4, 2)]

"""Graph modes against scikit-learn's and scipy's, dense and by Lanczos, and what the measure makes of them."""

import numpy as np
import pytest
import xarray as xr
from scipy.sparse.csgraph import laplacian
from sklearn.manifold import spectral_embedding
from sklearn.neighbors import kneighbors_graph

from fpkit import config
from fpkit.bases import graph
from fpkit.config.measures import Graph
from fpkit.datasets import digits, kernel, parity
from fpkit.errors import UserError
from fpkit.measures.kinds.graph import decompose
from fpkit.store.predictions import Writer, open_predictions


def data_of(x: np.ndarray, y: np.ndarray | None = None) -> xr.Dataset:
    y = np.arange(len(x))[:, None] % 3 if y is None else y
    return xr.Dataset(
        {"x_train": (("sample_train", "feature"), x.astype(np.float32)),
         "y_train": (("sample_train", "output"), y.astype(np.float32))}
    )  # fmt: skip


def cloud(samples: int, features: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((samples, features)).astype(np.float32)


def built(dataset: xr.Dataset, **options) -> graph.Graph:
    recipe = dict(Graph(**options).basis)
    return graph.build(dataset, "train", **{name: value for name, value in recipe.items() if name != "kind"})


def one_line(error) -> bool:
    return "\n" not in str(error.value)


def kernel_of(x: np.ndarray, width: float) -> np.ndarray:
    """By its definition, pair by pair."""
    distance = np.linalg.norm(x[:, None].astype(float) - x[None].astype(float), axis=-1)
    unit = np.median(distance[np.triu_indices(len(x), 1)])
    return np.exp(-(distance**2) / (2 * (width * unit) ** 2))


def subspaces_agree(one: np.ndarray, other: np.ndarray) -> float:
    """Largest distance of a column of `one` from the span of `other`, whose columns are orthonormal."""
    return float(np.linalg.norm(one - other @ (other.T @ one), axis=0).max())


def test_dense_modes_are_those_of_scipy_and_scikit_learn():
    """Both leave out the links of samples to themselves; of two copies, each linked to the other alone, none is."""
    dataset = digits.build(limit=200)
    x = dataset["x_train"].to_numpy().reshape(200, -1)
    affinity = kernel_of(x, 0.25)
    cover = np.block([[np.zeros_like(affinity), affinity], [affinity, np.zeros_like(affinity)]])
    theirs, vectors = np.linalg.eigh(laplacian(cover, normed=True))
    basis = built(dataset)
    ours, root = kernel.normalised(kernel.gaussian(x, 0.25))
    frequencies, modes = kernel.modes(ours, root)
    assert basis.bands.frequency.size == 10
    np.testing.assert_allclose(frequencies, theirs[1:200], atol=1e-12)
    np.testing.assert_array_equal(basis.frequencies, frequencies)
    halves = vectors[:200, 1:200] * np.sqrt(2)
    apart = np.diff(frequencies).min()
    assert apart > 1e-7
    np.testing.assert_allclose(np.abs((modes * halves).sum(axis=0)), 1, atol=1e-9)
    embedded = spectral_embedding(
        cover, n_components=20, eigen_solver="arpack", drop_first=False, random_state=0, eigen_tol=1e-12
    )[:200, 1:]
    embedded = embedded * np.sqrt(affinity.sum(axis=1))[:, None]
    embedded /= np.linalg.norm(embedded, axis=0)
    np.testing.assert_allclose(np.abs((modes[:, :19] * embedded).sum(axis=0)), 1, atol=1e-9)


def test_lanczos_modes_of_neighbours_are_those_of_the_dense_graph_and_of_scikit_learn():
    dataset = digits.build(limit=300)
    x = dataset["x_train"].to_numpy().reshape(300, -1)
    linked = kneighbors_graph(x, 8)
    affinity = (linked + linked.T) / 2
    whole, vectors = np.linalg.eigh(laplacian(affinity.toarray(), normed=True))
    few = built(dataset, neighbours=8, dense_limit=299, modes=30)
    many = built(dataset, neighbours=8)
    assert (few.bands.of.size, many.bands.of.size) == (30, 299)
    np.testing.assert_allclose(few.frequencies, whole[1:31], atol=1e-11)
    np.testing.assert_allclose(many.frequencies, whole[1:], atol=1e-11)
    centred = vectors[:, 1:31] - vectors[:, 1:31].mean(axis=0)
    np.testing.assert_allclose(np.abs((few.vectors * centred).sum(axis=0)), (centred**2).sum(axis=0), atol=1e-5)
    embedded = spectral_embedding(affinity, n_components=10, drop_first=False, random_state=0, eigen_tol=1e-12)
    embedded *= np.sqrt(np.asarray(affinity.sum(axis=1)))
    embedded /= np.linalg.norm(embedded, axis=0)
    np.testing.assert_allclose(np.abs((embedded * vectors[:, :10]).sum(axis=0)), 1, atol=1e-8)
    # Neighbours are asked for, or there are too many samples for a kernel.
    assert np.allclose(
        built(dataset, dense_limit=299, modes=5).frequencies, built(dataset, neighbours=10).frequencies[:5]
    )


def test_all_modes_hold_the_whole_energy_but_that_of_the_constant_one():
    """Parseval, of centred values; and the constant mode alone is none of them."""
    x = cloud(80)
    basis = built(data_of(x))
    values = xr.DataArray(np.random.default_rng(1).standard_normal((80, 2)) + 3, dims=("sample", "output"))
    degree = kernel_of(x, 0.25).sum(axis=1)
    root = np.sqrt(degree / degree.sum())
    centred = values.to_numpy() - values.to_numpy().mean(axis=0)
    own = (basis.coefficients(values) ** 2).sum("function")
    np.testing.assert_allclose(own, (centred**2).sum(axis=0) - (root @ centred) ** 2, rtol=1e-5)
    by_band = basis.bands.energy(basis.coefficients(values)).sum("frequency")
    np.testing.assert_allclose(by_band, own, rtol=1e-12)


def test_bands_are_spaced_by_the_logarithm_of_rank_and_named_by_mean_frequency():
    basis = built(data_of(cloud(101)), bands=4)
    np.testing.assert_array_equal(basis.first_rank, [1, 3, 10, 32])
    np.testing.assert_array_equal(basis.last_rank, [2, 9, 31, 100])
    means = [basis.frequencies[first:last].mean() for first, last in ((0, 2), (2, 9), (9, 31), (31, 100))]
    np.testing.assert_allclose(basis.bands.frequency, means)
    assert basis.bands.frequency["frequency"].attrs["units"] == "1"


def test_modes_of_all_sign_vectors_are_walsh_functions_and_no_band_parts_a_degree():
    """The kernel is a product over bits: mu = tanh^degree of half the exponent, equal for all sets of a degree."""
    dataset = parity.build(dimensions=6, train_fraction=0.5)
    x = np.concatenate([dataset["x_train"], dataset["x_test"]])
    basis = built(data_of(x), width=0.6)
    unit = np.median(np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(64, 1)])
    mu = np.tanh(1 / (0.6 * unit) ** 2)
    degrees = np.repeat(np.arange(1, 7), [6, 15, 20, 15, 6, 1])
    np.testing.assert_allclose(basis.frequencies, 1 - mu**degrees, atol=1e-6)
    for first, last in zip(basis.first_rank.to_numpy(), basis.last_rank.to_numpy(), strict=True):
        assert first == 1 or degrees[first - 1] != degrees[first - 2]
        assert last == 63 or degrees[last - 1] != degrees[last]


def test_parts_of_a_graph_make_modes_of_frequency_0_that_are_constant_on_each():
    x = np.concatenate([cloud(30), cloud(40, seed=1) + 1000, cloud(20, seed=2) - 1000])
    for options in ({"neighbours": 5}, {"neighbours": 5, "dense_limit": 50, "modes": 6}):
        basis = built(data_of(x), **options)
        np.testing.assert_allclose(basis.frequencies[:2], 0, atol=1e-12)
        assert basis.frequencies[2] > 1e-3
        affinity = graph.nearest(x, 5)
        root = np.sqrt(np.asarray(affinity.sum(axis=1)).ravel())
        parts = np.zeros((90, 3))
        parts[:30, 0], parts[30:70, 1], parts[70:, 2] = root[:30], root[30:70], root[70:]
        parts /= np.linalg.norm(parts, axis=0)
        # Together with the constant mode, from which they are told apart.
        constant = root / np.linalg.norm(root)
        similarity, own = kernel.normalised(affinity)
        first = graph.leading(similarity, own, 2)[1]
        assert subspaces_agree(first, parts) < 1e-9
        assert np.abs(constant @ first).max() < 1e-9


def test_copies_of_inputs_add_differences_between_copies_alone():
    """Modes alike on both copies, at the same frequencies, and differences between them at 1."""
    x = cloud(40)
    one = kernel.modes(*kernel.normalised(kernel_of(x, 0.3)))[0]
    twice = kernel.modes(*kernel.normalised(np.tile(kernel_of(x, 0.3), (2, 2))))[0]
    np.testing.assert_allclose(np.sort(twice), np.sort(np.concatenate([one, np.ones(40)])), atol=1e-12)
    basis = built(data_of(np.concatenate([x, x])))
    assert np.isfinite(basis.vectors).all()
    for options in ({"neighbours": 3}, {"neighbours": 3, "dense_limit": 50, "modes": 8}):
        assert np.isfinite(built(data_of(np.concatenate([x, x])), **options).vectors).all()


def test_mean_frequency_is_the_rayleigh_quotient():
    x = cloud(70)
    values = np.random.default_rng(2).standard_normal((70, 3))
    linked = kneighbors_graph(x, 6)
    affinity = ((linked + linked.T) / 2).toarray()
    degree = affinity.sum(axis=1)
    root = np.sqrt(degree / degree.sum())
    v = values - values.mean(axis=0)
    v = v - np.outer(root, root @ v)
    expected = np.trace(v.T @ laplacian(affinity, normed=True) @ v) / (v**2).sum()
    array = xr.DataArray(values, dims=("sample", "output"))
    for options in ({}, {"dense_limit": 60, "modes": 10}):
        basis = built(data_of(x), neighbours=6, **options)
        assert float(basis.mean_frequency(basis.coefficients(array), array)) == pytest.approx(expected, rel=1e-5)
    assert basis.mean_frequency(basis.coefficients(array)) is None
    # Of a mode, its own.
    all_modes = built(data_of(x), neighbours=6)
    mode = np.linalg.eigh(laplacian(affinity, normed=True))[1][:, [9]]
    assert (mode - mode.mean()).std() > 0
    one = np.zeros((69, 1))
    one[8] = 1
    of_it = all_modes.mean_frequency(xr.DataArray(one, dims=("function", "output")))
    assert float(of_it) == pytest.approx(all_modes.frequencies[8])


def test_measure_tells_bands_shares_and_frequencies(tmp_path):
    x = cloud(60)
    y = np.stack([x[:, 0], np.sign(x[:, 1])], axis=1)
    dataset = data_of(x, y)
    writer = Writer(tmp_path / "p.zarr", [1, 2], 60, 2, ["loss_train"])
    noise = np.random.default_rng(0).standard_normal((2, 60, 2)).astype(np.float32)
    for step, part in ((0, 0.0), (1, 0.5), (3, 1.0)):
        writer.append(step, part * y + (1 - part) * noise, loss_train=np.zeros(2, np.float32))
    writer.flush()
    entry = Graph(bands=5, nulls=[])
    options = {name: value for name, value in config.plain(entry).items() if name != "null_draws"}
    spectra = decompose(open_predictions(tmp_path / "p.zarr"), dataset, split="train", **options)
    assert bool(spectra["followed"].all())
    np.testing.assert_allclose(spectra["relative_error"].sel(step=3), 0, atol=1e-5)
    np.testing.assert_allclose(
        spectra["relative_error"].sel(step=1), 0.5 * spectra["relative_error"].sel(step=0), rtol=1e-4
    )
    np.testing.assert_allclose(
        spectra["mean_frequency_output"].sel(step=3), spectra["mean_frequency_target"], rtol=1e-4
    )
    np.testing.assert_allclose(
        spectra["mean_frequency_residual"].sel(step=1), spectra["mean_frequency_residual"].sel(step=0), rtol=1e-4
    )
    assert 0.5 < float(spectra["mode_share"]) <= 1
    assert int(spectra["band_last_rank"][-1]) == 59
    for name, values in spectra.variables.items():
        assert {"long_name", "units"} <= set(values.attrs) or name in ("step", "member"), name


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (cloud(2), {}, "three samples"),
        (np.ones((9, 2)), {}, "alike"),
        (np.ones((9, 2)), {"neighbours": 3}, "alike"),
        (cloud(9), {"neighbours": 9}, "graph.neighbours: 9 samples have 8 neighbours at most, not 9; lower it"),
    ],
)
def test_graph_says_what_it_needs(x, options, message):
    with pytest.raises(UserError, match=message) as error:
        built(data_of(x), **options)
    assert one_line(error)

"""The neural tangent kernel (NTK) of networks: J J^T, J the Jacobian of outputs by parameters (Jacot et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fpkit.training import activations
from fpkit.training.networks import Network

# Of a Jacobian that is held at a time.
JACOBIAN_BYTES = 2**28
# Relative error of an eigenvalue.
EIGENVALUE_ERROR = 1e-3


def kernel(model: dict, network: Network, parameters: Sequence[Tensor], x: Tensor) -> np.ndarray:
    """A member's kernel (sample, sample), the mean over outputs o of J_o J_o^T, summed in double precision.

    Args:
        model: the config `model` entry of the network. parameters: the member's, without a member dimension.
        x: (sample, *feature).
    """
    if model["kind"] == "mlp":
        return _by_layers(activations.build(model["activation"]), parameters, x).numpy(force=True)
    return _by_jacobian(network, parameters, x).numpy(force=True)


def largest_eigenvalue(network: Network, parameters: Sequence[Tensor], x: Tensor) -> float:
    """Of a member's whole kernel, over samples and outputs, by Lanczos; neither the kernel nor J is ever held."""
    member = [parameter[None].clone().requires_grad_() for parameter in parameters]
    # J u is the derivative of J^T v by v, along u: v is of no account.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # the other attentions have one derivative alone
        value = network.forward(member, x)
        direction = torch.zeros_like(value, requires_grad=True)
        pulled = torch.autograd.grad(value, member, direction, create_graph=True, materialize_grads=True)

    def product(vector: np.ndarray) -> np.ndarray:
        cotangent = torch.from_numpy(vector.astype(np.float32)).view(value.shape).to(value.device)
        gradient = torch.autograd.grad(value, member, cotangent, retain_graph=True, materialize_grads=True)
        (pushed,) = torch.autograd.grad(pulled, direction, gradient, retain_graph=True)
        return pushed.flatten().numpy(force=True).astype(np.float64)

    size = value.numel()
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)
    return float(eigsh(operator, k=1, v0=start, tol=EIGENVALUE_ERROR, return_eigenvectors=False)[0])


def _by_layers(activation, parameters: Sequence[Tensor], x: Tensor) -> Tensor:
    """Of fully connected layers: the sum over them of (D D^T) * (A A^T + 1), A (sample, input) what a layer is given, D
    (sample, unit) the gradient of an output by its sums.
    """
    weights, biases = parameters[::2], parameters[1::2]
    below, slopes = [x.flatten(1)], []
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        with torch.enable_grad():
            sums = torch.addmm(bias, below[-1], weight).detach().requires_grad_()
            values = activation(sums)
            slopes.append(torch.autograd.grad(values.sum(), sums)[0])
        below.append(values.detach())
    inner = [(some.double() @ some.double().T).add_(1) for some in below]
    outputs, total = weights[-1].shape[1], inner[-1].clone()
    for output in range(outputs):
        upstream = weights[-1][:, output].expand_as(below[-1])
        for layer in reversed(range(len(slopes))):
            gradient = upstream * slopes[layer]
            total += (gradient.double() @ gradient.double().T).mul_(inner[layer]).div_(outputs)
            upstream = gradient @ weights[layer].T
    return total


def _by_jacobian(network: Network, parameters: Sequence[Tensor], x: Tensor) -> Tensor:
    """Of any network: J J^T, some rows of J at a time."""
    count = sum(parameter.numel() for parameter in parameters)
    blocks = torch.arange(len(x), device=x.device).split(max(1, JACOBIAN_BYTES // (8 * count)))

    def of_output(output: int, some: Tensor) -> Tensor:
        def value(member: Sequence[Tensor], sample: Tensor) -> Tensor:
            return network.forward([parameter[None] for parameter in member], sample[None])[0, 0, output]

        gradients = torch.func.vmap(torch.func.grad(value), in_dims=(None, 0))(tuple(parameters), x[some])
        return torch.cat([gradient.flatten(1).double() for gradient in gradients], dim=1)

    with torch.no_grad():
        outputs = network.forward([parameter[None] for parameter in parameters], x[:1]).shape[2]
    total = torch.zeros(len(x), len(x), dtype=torch.float64, device=x.device)
    for output in range(outputs):
        for number, some in enumerate(blocks):
            rows = of_output(output, some)
            for others in blocks[: number + 1]:
                part = rows @ (rows if others is some else of_output(output, others)).T / outputs
                total[some[:, None], others] += part
                if others is not some:
                    total[others[:, None], some] += part.T
    return total

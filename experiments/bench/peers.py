"""The same descent as others write it: vmapped JAX, PyTorch. Only for comparison."""

import importlib.util
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

LR = 1e-3
TORCH = importlib.util.find_spec("torch") is not None


def loss(k: int) -> Callable:
    """The population loss of one student up to its constant, by ``jnp.arccos``.

    Cosines are clipped short of ±1, or its gradient would be NaN.
    """

    def of_student(W):
        edge = 1 - 4 * jnp.finfo(W.dtype).eps

        def kernel(cosine):
            theta = jnp.arccos(jnp.clip(cosine, -edge, edge))
            return (jnp.sin(theta) + (jnp.pi - theta) * cosine) / (2 * jnp.pi)

        norms = jnp.linalg.norm(W, axis=-1)
        units = W / norms[:, None]
        cross = jnp.sum(norms * jnp.sum(kernel(units[:, :k]), axis=-1))
        return norms @ kernel(units @ units.T) @ norms / 2 - cross

    return of_student


def autodiff(k: int) -> Callable:
    """Gradient of that loss by ``jax.grad``."""
    return jax.grad(loss(k))


def closed_form(k: int) -> Callable:
    """Closed-form gradient of one student, angles by ``jnp.arccos``."""

    def terms(cosine):
        theta = jnp.arccos(jnp.clip(cosine, -1, 1))
        return jnp.pi - theta, jnp.sin(theta)

    def gradient(W):
        norms = jnp.linalg.norm(W, axis=-1)
        units = W / norms[:, None]
        gap, sine = terms(units @ units.T)
        teacher_gap, teacher_sine = terms(units[:, :k])
        radial = sine @ norms - teacher_sine.sum(-1)
        total = units * radial[:, None] + gap @ W
        return total.at[:, :k].add(-teacher_gap) / (2 * jnp.pi)

    return gradient


def jax_loop(gradient: Callable, steps: int) -> Callable:
    """Plain ``jit`` of vmapped gradient descent, on the default device."""
    batched = jax.vmap(gradient)

    def step(W, _):
        return W - jnp.asarray(LR, W.dtype) * batched(W), None

    return jax.jit(lambda W: jax.lax.scan(step, W, length=steps)[0])


def torch_batched(W: np.ndarray, k: int, steps: int, threads: int) -> Callable:
    """Closed form on batches in PyTorch, no autograd."""
    import torch

    def terms(cosine):
        cosine = cosine.clamp(-1, 1)
        return math.pi - torch.arccos(cosine), torch.sqrt(1 - cosine * cosine)

    @torch.no_grad()
    def descend():
        torch.set_num_threads(threads)
        V = torch.tensor(W, device=_torch_device())
        for _ in range(steps):
            norms = V.norm(dim=-1, keepdim=True)
            units = V / norms
            gap, sine = terms(units @ units.mT)
            teacher_gap, teacher_sine = terms(units[..., :k])
            radial = sine @ norms - teacher_sine.sum(-1, keepdim=True)
            total = units * radial + gap @ V
            total[..., :k] -= teacher_gap
            V -= LR / (2 * math.pi) * total
        return V.cpu().numpy()

    return descend


def torch_serial(W: np.ndarray, k: int, steps: int, threads: int) -> Callable:
    """One student after the other, autograd and ``torch.optim.SGD``."""
    import torch

    edge = 1 - 4 * float(np.finfo(W.dtype).eps)

    def kernel(cosine):
        theta = torch.arccos(cosine.clamp(-edge, edge))
        return (torch.sin(theta) + (math.pi - theta) * cosine) / (2 * math.pi)

    def descend():
        torch.set_num_threads(threads)
        ends = []
        for student in W:
            V = torch.tensor(student, device=_torch_device(), requires_grad=True)
            optimizer = torch.optim.SGD([V], lr=LR)
            for _ in range(steps):
                optimizer.zero_grad()
                norms = V.norm(dim=-1)
                units = V / norms[:, None]
                cross = (norms * kernel(units[:, :k]).sum(-1)).sum()
                loss = norms @ kernel(units @ units.T) @ norms / 2 - cross
                loss.backward()
                optimizer.step()
            ends.append(V.detach().cpu().numpy())
        return np.stack(ends)

    return descend


def _torch_device() -> str:
    """A GPU where JAX computes on one."""
    return "cuda" if jax.default_backend() == "gpu" else "cpu"

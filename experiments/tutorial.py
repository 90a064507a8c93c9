# %% [markdown]
# # From two students to a barrier
# Two students of one teacher, the straight path between them, and what a permutation
# of the hidden neurons does to the loss on it. L = ½ E[(f - f*)²], x ~ N(0, I).

# %%
import functools

import jax

from experiments.lib import plot
from lmc_jax import configure, match_types
from lmc_jax.paths import barrier, path_losses, times
from lmc_jax.students import descent, minima, two_layer

configure()  # float64 for losses, pinned random numbers, every core a device
k, m, d = 3, 8, 3  # teacher neurons, student neurons, inputs
loss = functools.partial(two_layer.loss, k=k)

# %% [markdown]
# Train both students from small weights, with the exact gradient of the population
# loss. A run is that of one student; `vmap` makes it as many as you like.


# %%
def train(key):
    W = two_layer.init(key, m, d, std=0.01)
    return descent.run(W, k, lr=2 / m, steps=4000, tol=1e-8)


keys = jax.random.split(jax.random.key(2))
pair = jax.vmap(train)(keys).weights.astype("float64")  # [2, m, d]
kinds = minima.types(pair, k)
print("losses:", loss(pair), "neurons of each type:", minima.counts(kinds, k), sep="\n")

# %% [markdown]
# Align the second with the first, type by type and largest neurons first (Algorithm
# 1), and walk along both paths.

# %%
[perm], info = match_types(pair[None], k)
print(f"{info.objective}: {info.value[0]:g} of {m} neurons")
ts = times()
paths = {
    "direct": path_losses(loss, pair[0], pair[1], ts),
    "permuted": path_losses(loss, pair[0], pair[1][perm], ts),
}
figure, axes = plot.grid(1, 1)
for name, losses in paths.items():
    print(f"{name} barrier: {barrier(losses, ts):.2e}")
    axes[0, 0].semilogy(ts, losses, marker="o", label=name)
axes[0, 0].set(xlabel="t", ylabel="loss", title=f"k = {k}, m = {m}")
axes[0, 0].legend()
print("files:", *plot.save(figure, "tutorial", "L = ½E[(f-f*)²], x ~ N(0, I)."))

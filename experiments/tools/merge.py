"""Merges the trained networks of a sweep, 2 to 8 at a time: merge OUT.

    python -m experiments.mnist_mlp --widths=16,64 --pairs=16 --save_weights --out=OUT
    python -m experiments.tools.merge OUT

One network in place of several is the mean of their weights: as they are (direct), with
all aligned to the first (reference), and with each aligned to the mean of the others
(cycles; MergeMany, Ainsworth et al. 2022). OUT/merge.csv has mean test losses over n
disjoint sets of independent networks, beside the mean loss of the networks themselves
(single), with 95% bootstrap intervals; gain is the NLL that cycles save.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.lib import command
from experiments.lib.lists import Refusal, refusing
from experiments.lib.table import columns, means, table
from lmc_jax import environment
from lmc_jax.data import datasets
from lmc_jax.networks import Network
from lmc_jax.networks.alignment import align_many
from lmc_jax.networks.alignment.many import CYCLES, mean
from lmc_jax.networks.cell import ALIGN_IMAGES, ClassifierCell, samples
from lmc_jax.networks.evaluation import METRICS, float64, nll_and_error
from lmc_jax.networks.permutations import permute
from lmc_jax.networks.training import Training
from lmc_jax.results import files, store
from lmc_jax.results.selection import kept_pairs

NUMBERS = range(2, 9)  # of networks that are merged
SHOWN = "data width merged n single_nll direct_nll reference_nll cycles_nll gain"

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets.")


def main(out: str) -> None:
    environment.configure()
    cells = store.cell_files(out)
    trained = [path for path in cells if path.with_suffix(store.WEIGHTS).exists()]
    records = [store.read(path) for path in trained]
    records = [one for one in records if "architecture" in one.parameters]
    if not records:
        raise Refusal(f"{out!r} holds no trained networks: sweep with --save_weights")
    rows = [row for record in records for row in merges(record)]
    if not rows:
        raise Refusal(f"{out!r} holds no two networks that did not diverge")
    rows.sort(key=lambda row: (row["data"], row["layers"], row["width"]))
    written = Path(out, "merge.csv")
    files.write_csv(written, rows)
    print(table(columns(rows, SHOWN)))
    print("files:", written, sep="\n  ")


def merges(record: store.Record) -> list[dict[str, Any]]:
    """A row for each number of networks of a cell: test losses."""
    cell, several = cell_of(record), networks(record)
    with refusing():
        data = datasets.load(cell.data, DATA_DIR.value)
    if data.digest != cell.digest:
        raise Refusal(f"{data.name} is not the data set of {str(record.path)!r}")
    network = cell.network(data.train_images.shape[1:])
    train, test = samples(cell, data)
    x = train.inputs(slice(ALIGN_IMAGES), jnp.float64)

    @jax.jit
    def loss(weights, x, test):
        return nll_and_error(network.apply, network.reset(weights, x), test)

    def losses(several: Sequence[Any]) -> np.ndarray:  # [networks, metrics]
        return np.array([loss(float64(weights), x, test) for weights in several])

    alone, rows = losses(several), []
    for number in NUMBERS:
        ends = range(number, len(several) + 1, number)
        ways = [merged(network, several[end - number : end]) for end in ends]
        if not ways:
            break
        single = alone[: number * len(ways)].reshape(len(ways), number, len(METRICS))
        found = {"single": single.mean(1)}
        found |= {how: losses([way[how] for way in ways]) for how in ways[0]}
        values = {
            f"{how}_{metric}": array[:, i]
            for how, array in found.items()
            for i, metric in enumerate(METRICS)
        }
        values["gain"] = values["reference_nll"] - values["cycles_nll"]
        own = {name: getattr(cell, name) for name in ("data", "layers", "width")}
        rows.append({**own, "merged": number, "n": len(ways), **means(values)})
    return rows


def merged(network: Network, several: Sequence[Any]) -> dict[str, Any]:
    """The mean of networks by how they are aligned."""
    found = {"direct": mean(several)}
    for how, cycles in (("reference", 0), ("cycles", CYCLES)):
        left_out = network.statistics
        perms, _ = align_many(several, network.spec, leave_out=left_out, cycles=cycles)
        pairs = zip(several, perms, strict=True)
        found[how] = mean([permute(one, network.spec, perm) for one, perm in pairs])
    return found


def cell_of(record: store.Record) -> ClassifierCell:
    """The cell that a record is of."""
    given = record.parameters
    names = (field.name for field in dataclasses.fields(ClassifierCell))
    own = {name: given[name] for name in names if name in given}
    marks = tuple(given["training"].get("measure_at_looks", ()))
    own["training"] = Training(**given["training"] | {"measure_at_looks": marks})
    return ClassifierCell(**own | {"alignments": tuple(given["alignments"])})


def networks(record: store.Record) -> list[Any]:
    """The trained networks of pairs that did not diverge."""
    assert record.path
    stored = store.read_weights(record.path)
    assert stored
    kept = kept_pairs(record.arrays)
    several: list[Any] = [{} for _ in range(2 * kept.sum())]
    for path, array in stored.arrays.items():
        layer, name = path.split("/")
        each = array[kept].reshape(-1, *array.shape[2:])
        for weights, own in zip(several, each, strict=True):
            weights.setdefault(layer, {})[name] = own
    return several


if __name__ == "__main__":
    command.run(main, "OUT")

"""Barrier against width for multilayer perceptrons on MNIST, and losses along paths.

The paper's Figures 7 and 8 (left): pairs of networks trained independently, direct and
with the hidden units of one permuted, layer by layer, to match the other's.
"""

from typing import Any

from experiments.lib import classifiers, peaks
from experiments.lib.study import Study

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "widths": "2,4,8,16,32,64",
        "train_images": 10_000,
        "test_images": 2_000,
        "pairs": 4,
        "steps": 1_000,
        "looks": 2,
    },
    "paper": {
        "widths": "4,6,8,11,15,20,25,32,40,50,64,80,100",
        "steps": 200_000,
        "looks": 40,
        "until": 1e-4,
        "measure_at_looks": "1000,10000,100000",
    },
}
PAPER_LAYERS = 4  # of weights: three hidden layers

STUDY = Study(
    name="mnist_mlp",
    paper="Figures 7 and 8 (left)",
    presets=PRESETS,
    rows=peaks.rows,
    table=peaks.table,
    figures=peaks.figures("mnist_mlp", "Figure 7", data="mnist", layers=PAPER_LAYERS),
    cells=classifiers.one_curve("mlp"),
    family=classifiers.FAMILY,
)

if __name__ == "__main__":
    STUDY.main()

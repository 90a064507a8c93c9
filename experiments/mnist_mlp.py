"""Barrier against width for multilayer perceptrons on MNIST, and losses along paths.

The paper's Figures 7 and 8 (left): pairs of networks trained independently, direct and
with the hidden units of one permuted, layer by layer, to match the other's.
"""

from typing import Any

from experiments.lib import classifiers, common, peaks

common.define_output("mnist_mlp")
classifiers.define_cells()
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "widths": "2,4,8,16,32,64",
        "train_images": 10_000,
        "test_images": 2_000,
        "pairs": 4,
        "steps": 1_000,
        "looks": 2,
    },
    "paper": {"widths": "15,20,25,30,40,50,64,80,100"},
}
PAPER_LAYERS = 4  # of weights: three hidden layers


def main() -> None:
    setting = classifiers.settings(PRESETS)
    records = classifiers.one_curve(setting, "mlp")
    first = records[0].parameters
    of_paper = (first["data"], first["layers"]) == ("mnist", PAPER_LAYERS)
    peaks.report("mnist_mlp", records, setting, "Figure 7" if of_paper else "")


if __name__ == "__main__":
    common.run(main)

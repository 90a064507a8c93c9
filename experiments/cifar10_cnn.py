"""Barrier against width for small convolutional networks on CIFAR-10.

The paper's Figure 8 (right) and Appendix B.5: whether the permuted barrier has a peak
for a network of another kind on harder data. The width is the number of channels of the
first 3 × 3 convolution; it doubles from one to the next.
"""

from typing import Any

from experiments.claims import networks
from experiments.lib import classifiers, peaks
from experiments.lib.study import Figure, Study

PAPER = "Figure 8, Appendix B.5"
SHARED = {"data": "cifar-10", "layers": "3", "optimizer": "momentum", "lr": 0.02}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "widths": "2,4,8",
        "align": "activations",
        "train_images": 2_000,
        "test_images": 500,
        "pairs": 2,
        "steps": 300,
        "looks": 1,
    },
    "paper": {
        "widths": "2,4,8,12,16,24,32,48,64",
        "steps": 100_000,
        "looks": 40,
        "until": 1e-3,
    },
}

STUDY = Study(
    name="cifar10_cnn",
    paper=PAPER,
    shared=SHARED,
    presets=PRESETS,
    rows=peaks.rows,
    table=peaks.table,
    figures=(
        Figure(
            "cifar10_cnn",
            peaks.draw_barriers,
            peaks.caption,
            networks.of_widths(PAPER, data="cifar-10"),
        ),
        Figure(
            "cifar10_cnn_paths",
            peaks.draw_paths,
            peaks.path_caption,
            networks.of_paths(data="cifar-10"),
        ),
    ),
    cells=classifiers.one_curve("cnn"),
    family=classifiers.FAMILY,
)

if __name__ == "__main__":
    STUDY.main()

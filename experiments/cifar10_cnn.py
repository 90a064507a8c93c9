"""Barrier against width for small convolutional networks on CIFAR-10.

The paper's Figure 8 (right) and Appendix B.5: whether the permuted barrier has a peak
for a network of another kind on harder data. The width is the number of channels of the
first 3 × 3 convolution; it doubles from one to the next.

With ``--architecture=resnet --layers=20 --norm=batch``, or ``--norm=layer``, a standard
ResNet-20 in its place; with ``--repair`` its permuted paths once more with REPAIR.
"""

from typing import Any

from experiments.claims import networks
from experiments.lib import classifiers, peaks
from experiments.lib.settings import Setting, Values
from experiments.lib.study import Figure, Study
from lmc_jax.networks.cell import ClassifierCell

PAPER = "Figure 8, Appendix B.5"
SHARED = {"data": "cifar-10", "layers": "3", "optimizer": "momentum", "lr": 0.02}
SHOWN = {"data": "cifar-10", "architecture": "cnn"}  # by the paper
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

OWN = {"architecture": Setting(str, "Of the networks.", "cnn", ("cnn", "resnet"))}


def cells(setting: Values) -> list[ClassifierCell]:
    """The curve of the architecture that is asked for."""
    return classifiers.one_curve(setting["architecture"])(setting)


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
            networks.of_widths(PAPER, **SHOWN),
        ),
        Figure(
            "cifar10_cnn_paths",
            peaks.draw_paths,
            peaks.path_caption,
            networks.of_paths(**SHOWN),
        ),
    ),
    cells=cells,
    own=OWN,
    family=classifiers.FAMILY,
)

if __name__ == "__main__":
    STUDY.main()

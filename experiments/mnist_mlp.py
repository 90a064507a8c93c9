"""Barrier against width for multilayer perceptrons on MNIST, and losses along paths.

The paper's Figures 7 and 8 (left): pairs of networks trained independently, direct and
with the hidden units of one permuted, layer by layer, to match the other's. A third
figure has the barrier at several moments of the training.
"""

from typing import Any

from experiments.claims import networks
from experiments.lib import classifiers, curves, peaks, plot, widths
from experiments.lib.settings import Values
from experiments.lib.study import Figure, Study

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "widths": "2,4,8,16,32,64",
        "train_images": 10_000,
        "test_images": 2_000,
        "pairs": 4,
        "steps": 1_000,
        "looks": 2,
        "measure_at_looks": "100",
    },
    "paper": {
        "widths": "4,6,8,11,15,20,25,32,40,50,64,80,100",
        "steps": 200_000,
        "looks": 40,
        "until": 1e-4,
        "measure_at_looks": "1000,10000,100000",
    },
}
SHOWN = {"data": "mnist", "layers": 4}  # by the paper: three hidden layers


# --- barriers along the training -----------------------------------------------------


def draw_looks(cells: peaks.Cells):
    """A panel a permuted path, and the training error; a curve a look."""
    shown = {
        curves.NETWORKS[path]["label"]: ((path, "test", "nll"), "barrier")
        for path in peaks.permuted(cells.along)
    }
    shown["networks"] = (("direct", "train", "error"), "end")
    figure, axes = plot.grid(1, len(shown))
    for panel in axes[0, 1:-1]:
        panel.sharey(axes[0, 0])
    looks = plot.ordered(sorted({row["step"] for row in cells.along}))
    fits = first_fit(cells)
    for panel, (title, (which, value)) in zip(axes[0], shown.items(), strict=True):
        for step, style in looks.items():
            own = peaks.curve(classifiers.select(cells.along, step=step), *which)
            label = f"{step:,} steps"
            curves.points(panel, own, value, "width", **style, label=label)
        if fits:
            plot.mark(panel, fits, f"training error below {widths.FITS:.0%}")
        plot.log_axis(panel)
        panel.set(xlabel="width", title=title)
    axes[0, 0].set_ylabel("test NLL barrier [nats]")
    axes[0, -1].set_ylabel("training error")
    axes[0, -1].set_yscale("symlog", linthresh=1e-3)  # it may be zero
    axes[0, -1].set_ylim(-2e-4, 1)
    plot.legend(figure, axes)
    return figure


def first_fit(cells: peaks.Cells) -> int | None:
    """The least width of which networks fit the training images at the end."""
    own = peaks.curve(cells.table, "direct", "train", "error")
    fitting = [row["width"] for row in own if row["end_mean"] < widths.FITS]
    return min(fitting, default=None)


def caption_looks(cells: peaks.Cells, setting: Values) -> str:
    fits = first_fit(cells)
    seen = f"at width {fits} and not at narrower ones" if fits else "at none of these"
    return (
        "Barrier of the test NLL after as many steps as the legend says, of the same "
        f"networks. After the last the mean training error is below {widths.FITS:.0%} "
        f"first {seen}. {peaks.caption(cells, setting)}"
    )


STUDY = Study(
    name="mnist_mlp",
    paper="Figures 7 and 8 (left)",
    presets=PRESETS,
    rows=peaks.rows,
    table=peaks.table,
    figures=(
        Figure(
            "mnist_mlp",
            peaks.draw_barriers,
            peaks.caption,
            networks.of_widths("Figure 7", **SHOWN),
        ),
        Figure(
            "mnist_mlp_paths",
            peaks.draw_paths,
            peaks.path_caption,
            networks.of_paths(**SHOWN),
        ),
        Figure("mnist_mlp_looks", draw_looks, caption_looks, networks.of_looks),
    ),
    cells=classifiers.one_curve("mlp"),
    family=classifiers.FAMILY,
)

if __name__ == "__main__":
    STUDY.main()

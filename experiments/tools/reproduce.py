"""Everything: runs each entrypoint at a preset and writes one report.html.

Every claim of the paper with what was measured and its verdict, then what goes beyond
the paper. Resumable: each entrypoint reuses its finished cells.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from tqdm import tqdm

from experiments.lib import common, report, signals
from lmc_jax import environment
from lmc_jax.results import files, store

common.define_output("reproduce")
ONLY = flags.DEFINE_string("only", None, "Some of them: overlap,sparsity.")
# Figures 10-13 at a size that both presets can afford.
PANELS = [
    *("--k=3,10", "--m_over_k=1,1.6,2,5", "--source=gd,sgd,uniform", "--pairs=20"),
    *("--lr_times_m=2,4", "--steps=20000", "--tol=1e-5", "--batch=64"),
    "--matching=types_index",
]
ENTRYPOINTS = {
    "overlap": ["overlap"],
    "barrier_vs_width": ["barrier_vs_width"],
    "normalized_barrier": ["barrier_vs_width", "--normalize"],
    "barrier_panels": ["barrier_vs_width", *PANELS],
    "barrier_rate": ["barrier_rate"],
    "double_descent": ["double_descent"],
    "sparsity": ["sparsity"],
    "uniformity": ["uniformity"],
    "why_gd_differs": ["why_gd_differs"],
    "matching_gap": ["matching_gap"],
    "planted": ["planted"],
    "mnist_mlp": ["mnist_mlp"],
    "cifar10_cnn": ["cifar10_cnn"],
    "peak_position": ["peak_position"],
}


def main() -> None:
    chosen = list(ENTRYPOINTS)
    if ONLY.value is not None:
        chosen = common.words(ONLY.value, "only", chosen)
    out = Path(common.FLAGS.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise common.Refusal(f"--out={out}: {error.strerror}") from error
    failed: dict[str, str] = {}
    with tqdm(chosen, unit="entrypoint", disable=not sys.stderr.isatty()) as bar:
        for name in bar:
            bar.set_description(name)
            if said := run(name, out / name):
                failed[name] = said
                print(f"warning: {name} failed: {said}", file=sys.stderr)
    found, missing = results(out, failed)
    path = write(out, found, missing)
    rows = [line(statement) for statement in report.statements(found)]
    print(common.table(rows) if rows else "no results")
    print("files:", path, sep="\n  ")
    if failed:
        raise store.StoreError(f"{', '.join(failed)} failed: run the command again")


def run(name: str, out: Path) -> str:
    """Runs one entrypoint; its output goes to OUT/NAME.log. Empty, or its last line."""
    entrypoint, *arguments = ENTRYPOINTS[name]
    command = [sys.executable, "-m", f"experiments.{entrypoint}", *arguments]
    preset = f"--preset={common.FLAGS.preset}"
    root = Path(__file__).resolve().parents[2]
    with out.with_suffix(".log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*command, preset, f"--out={out.absolute()}"],
            cwd=root,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        signals.CHILDREN.append(process)
        status = process.wait()
    if status == 0:
        return ""
    said = out.with_suffix(".log").read_text(encoding="utf-8").splitlines()
    return said[-1] if said else f"exit status {status}"


def results(
    out: Path, failed: dict[str, str]
) -> tuple[list[report.Figure], dict[str, str]]:
    """All figures in OUT, of earlier runs too, and why some entrypoints have none."""
    found: list[report.Figure] = []
    missing = {}
    for name in ENTRYPOINTS:
        if name in failed:
            missing[name] = failed[name]
        elif figures := report.figures(out / name):
            found += figures
        else:
            missing[name] = "not asked for yet, see --only"
    return found, missing


def write(out: Path, found: Sequence[report.Figure], missing: dict[str, str]) -> Path:
    title = "Linear mode connectivity of two-layer networks: claims and measurements"
    environment.configure()
    text = report.page(title, found, missing, environment.provenance())
    path = out / "report.html"
    files.write_atomic(path, text.encode())
    return path


def line(statement: report.Statement) -> dict[str, str]:
    held, judged = sum(statement.judged), len(statement.judged)
    return {
        "paper": statement.paper or "-",
        "statement": statement.text,
        "cases": f"{held}/{judged}",
        "verdict": statement.verdict,
    }


if __name__ == "__main__":
    common.run(main)

"""Everything: runs each study at a preset and writes one report.html.

Every claim of the paper with what was measured and its verdict, then what goes beyond
the paper. Resumable: each study reuses its finished cells.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from tqdm import tqdm

from experiments.__main__ import studies
from experiments.lib import command, report, signals
from experiments.lib.lists import Refusal, words
from experiments.lib.study import Study
from experiments.lib.table import table
from lmc_jax import environment
from lmc_jax.results import files, store

PRESET = flags.DEFINE_enum("preset", "quick", ["quick", "paper"], "Set of defaults.")
OUT = flags.DEFINE_string("out", "results/reproduce", "Folder of all of it.")
flags.register_validator("out", bool, "give a folder")
ONLY = flags.DEFINE_string("only", None, "Some of them: overlap,sparsity.")


def main() -> None:
    every = studies()
    chosen = list(every)
    if ONLY.value is not None:
        chosen = words(ONLY.value, "only", chosen)
    out = Path(OUT.value)
    try:
        with files.or_nothing(out):
            out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"--out={out}: {error.strerror}") from error
    failed: dict[str, str] = {}
    with tqdm(chosen, unit="study", disable=not sys.stderr.isatty()) as bar:
        for name in bar:
            bar.set_description(name)
            if said := run(every[name], out / name):
                failed[name] = said
                print(f"warning: {name} failed: {said}", file=sys.stderr)
    found, missing = results(out, list(every), failed)
    path = write(out, found, missing)
    rows = [line(statement) for statement in report.statements(found)]
    print(table(rows) if rows else "no results")
    print("files:", path, sep="\n  ")
    if failed:
        raise store.StoreError(f"{', '.join(failed)} failed: run the command again")


def run(study: Study, out: Path) -> str:
    """Runs one study; its output goes to OUT/NAME.log. Empty, or its last line."""
    module, *flag = study.line
    where = [*flag, f"--preset={PRESET.value}", f"--out={out.absolute()}"]
    root = Path(__file__).resolve().parents[2]
    with out.with_suffix(".log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"experiments.{module}", *where],
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
    out: Path, names: Sequence[str], failed: dict[str, str]
) -> tuple[list[report.Figure], dict[str, str]]:
    """All figures in OUT, of earlier runs too, and why some studies have none."""
    found: list[report.Figure] = []
    missing = {}
    for name in names:
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


def line(statement: report.Judgement) -> dict[str, str]:
    held, judged = sum(statement.judged), len(statement.judged)
    return {
        "paper": statement.paper or "-",
        "statement": statement.text,
        "cases": f"{held}/{judged}",
        "verdict": statement.verdict,
    }


if __name__ == "__main__":
    command.run(main)

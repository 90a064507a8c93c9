"""Shards of a study as a Slurm array, by submitit: slurm NAME -- its flags.

    python -m experiments.tools.slurm barrier_vs_width --shards=8 -- --k=5,20

Needs the extra `slurm`. Each job is a shard with the flags after `--`.
"""

import sys

from absl import flags

from experiments.__main__ import studies
from experiments.lib import command, compute
from experiments.lib.lists import Refusal
from lmc_jax.results import files, store

SHARDS = flags.DEFINE_integer(
    "shards", 4, "Jobs of the array.", lower_bound=1, upper_bound=1000
)
MINUTES = flags.DEFINE_integer(
    "minutes", 60, "Time limit of a job.", lower_bound=1, upper_bound=1000000
)
PARTITION = flags.DEFINE_string("partition", None, "Slurm's partition.")
GPUS = flags.DEFINE_integer(
    "gpus", 0, "GPUs of a job.", lower_bound=0, upper_bound=1000
)
CORES = flags.DEFINE_integer(
    "cores", 2, "CPU cores of a job.", lower_bound=1, upper_bound=1000
)
LOGS = flags.DEFINE_string("logs", "results/slurm", "Folder of the jobs' logs.")
CLUSTER = flags.DEFINE_enum("cluster", "slurm", ["slurm", "local"], "local: here.")


def main(name: str, *settings: str) -> None:
    known = list(dict.fromkeys(study.line[0] for study in studies().values()))
    if name not in known:
        raise Refusal(f"{name!r}: choose among {', '.join(known)}")
    own = [study for study in studies().values() if study.line[0] == name]
    study, *variants = sorted(own, key=lambda study: len(study.line))
    out = study.check(settings, *variants)
    with files.or_nothing(out / "cells"):
        compute.opened(out)
        try:
            import submitit

            executor = submitit.AutoExecutor(folder=LOGS.value, cluster=CLUSTER.value)
        except ImportError as error:
            raise Refusal(
                "submitit is missing: pip install 'lmc_jax[slurm]'"
            ) from error
        except (RuntimeError, ValueError, OSError) as error:
            raise Refusal(
                f"--cluster={CLUSTER.value} --logs={LOGS.value} cannot be used: {error}"
            ) from error
    executor.update_parameters(
        name=f"lmc_jax.{name}",
        timeout_min=MINUTES.value,
        cpus_per_task=CORES.value,
        gpus_per_node=GPUS.value,
        **({"slurm_partition": PARTITION.value} if PARTITION.value else {}),
    )
    line = [sys.executable, "-m", f"experiments.{name}", *settings]
    with executor.batch():
        jobs = [
            executor.submit(
                submitit.helpers.CommandFunction(
                    [
                        *(*line, "--finish", f"--num_shards={SHARDS.value}"),
                        f"--shard_index={shard}",
                    ]
                )
            )
            for shard in range(SHARDS.value)
        ]
    print("jobs:", *(job.job_id for job in jobs))
    print(f"logs: {LOGS.value}")
    if CLUSTER.value == "local":  # they end with this process
        for job in jobs:
            if job.exception():
                raise store.StoreError(f"job {job.job_id} failed: see {LOGS.value}")


if __name__ == "__main__":
    command.run(main, "NAME", "...")

"""Run `credbench run` on a SLURM cluster, one GPU a job, by dask-jobqueue.

    python3 slurm.py --jobs 100 --partition gpu -- my.yaml --data-dir DIR --results-dir DIR

What stands after -- is for `credbench run`. Every node has to see these folders, and the
environment with credbench[dask] and dask-jobqueue that this runs in. It stays on the login node;
started again, it goes on from what is done.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Have as many jobs as there is work for, run the sweep on them; return its exit code."""
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    asked = _parser().parse_args(ours)
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        print("slurm.py: pip install 'credbench[dask]' dask-jobqueue", file=sys.stderr)
        return 2
    with SLURMCluster(
        queue=asked.partition,
        account=asked.account,
        walltime=asked.time,
        job_cpu=asked.cpus,
        memory=asked.memory,
        job_extra_directives=[f"--gpus={asked.gpus}"] if asked.gpus else [],
        cores=1,  # a worker trains one group at a time
        processes=1,
        # Else a worker could not start the processes that read images from disk.
        job_script_prologue=["export DASK_DISTRIBUTED__WORKER__DAEMON=False"],
    ) as cluster:
        if asked.show:
            print(cluster.job_script())
            return 0
        # Every group of trials is reason enough for a job, however short it may turn out.
        cluster.adapt(minimum_jobs=1, maximum_jobs=asked.jobs, target_duration="1ms")
        command = [str(Path(sys.executable).with_name("credbench")), "run"]
        where = ["--scheduler", cluster.scheduler_address, "--workers", str(asked.jobs)]
        return subprocess.run([*command, *arguments[len(ours) + 1 :], *where]).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=8, help="jobs at most, each one worker")
    parser.add_argument("--partition", help="the partition to submit to")
    parser.add_argument("--account", help="the account to charge")
    parser.add_argument("--time", default="04:00:00", help="of a job; what it cuts off goes on")
    parser.add_argument("--memory", default="16GB", help="of a job")
    parser.add_argument("--cpus", type=int, default=4, help="cores of a job")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs of a job; 0 trains on CPU")
    parser.add_argument("--show", action="store_true", help="print what would be submitted")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

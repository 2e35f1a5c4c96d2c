"""Run `credbench run` on a SLURM cluster, one GPU a job, by dask-jobqueue.

    python3 scripts/slurm.py --jobs 100 --partition gpu --time 04:00:00 -- my.yaml --results-dir DIR

What stands after -- are the arguments of `credbench run`. Needs pip install 'credbench[dask]'
dask-jobqueue in an environment that every node sees. It stays on the login node, and may be
started again at any time: what is done is not run again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Start the jobs, run the sweep on them, end them; return the exit code of the sweep."""
    ours, _, sweep = _split(arguments)
    asked = _parser().parse_args(ours)
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        print("slurm.py: pip install 'credbench[dask]' dask-jobqueue", file=sys.stderr)
        return 2
    cluster = SLURMCluster(
        queue=asked.partition,
        account=asked.account,
        walltime=asked.time,
        cores=1,  # one thread: a worker trains one group at a time
        processes=1,
        job_cpu=asked.cpus,
        memory=asked.memory,
        job_extra_directives=[f"--gpus={asked.gpus}"],
        # Streamed images are read by processes of the worker's own.
        job_script_prologue=["export DASK_DISTRIBUTED__WORKER__DAEMON=False"],
        worker_extra_args=["--lifetime-restart"] if asked.restart else [],
    )
    with cluster:
        if asked.adaptive:
            cluster.adapt(minimum_jobs=1, maximum_jobs=asked.jobs)
        else:
            cluster.scale(jobs=asked.jobs)
        command = [str(Path(sys.executable).with_name("credbench")), "run", *sweep]
        where = ["--scheduler", cluster.scheduler_address, "--workers", str(asked.jobs)]
        return subprocess.run([*command, *where]).returncode


def _split(arguments: list[str]) -> tuple[list[str], str, list[str]]:
    """Return what stands before and after the first --."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], "--", arguments[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=8, help="jobs, each a worker on a GPU")
    parser.add_argument("--adaptive", action="store_true", help="no more jobs than there is work")
    parser.add_argument("--partition", help="the partition to submit to")
    parser.add_argument("--account", help="the account to charge")
    parser.add_argument("--time", default="04:00:00", help="of a job; what it ends goes on")
    parser.add_argument("--memory", default="16GB", help="of a job")
    parser.add_argument("--cpus", type=int, default=4, help="cores of a job")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs of a job; 0 is on CPU")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

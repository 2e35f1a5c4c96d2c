"""Sweeps that are killed, interrupted or refused by the disk: nothing is lost, all is told."""

import multiprocessing
import random
import time
from functools import partial

import pytest
import sweeps

from credbench.store import Store

TIMES = ("seconds", "training_seconds", "compile_seconds", "load", "environment")


@pytest.fixture(scope="module")
def children():
    """A context whose processes start at once, forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sweeps", "credbench.training", "credbench.loading"])
    return context


def untimed(records):
    """Records by id without what a clock says, and where they went on."""
    found = {}
    for id, record in records.items():
        kept = {k: v for k, v in record.items() if k not in (*TIMES, "resumed")}
        if "curve" in kept:
            kept["curve"] = {k: v for k, v in kept["curve"].items() if k != "seconds"}
        found[id] = kept
    return found


class Victim:
    """A sweep in a process of its own, which is killed when it has done something."""

    def __init__(self, children, folder, *arguments, **given):
        self.begun, self.folder = children.Event(), folder
        arguments = (folder, *arguments, self.begun)
        self.process = children.Process(target=sweeps.sweep, args=arguments, kwargs=given)
        self.process.start()

    def kill(self, reached, delay):
        """Kill it some seconds after something is reached."""
        assert self.begun.wait(60)
        deadline = time.monotonic() + 60
        while not reached() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(delay)
        assert self.process.is_alive()
        self.process.kill()
        self.process.join()


def holds(folder, many):
    return len(list(folder.glob("sweep/trials/*.json"))) >= many


def written(folder, before):
    """Whether a checkpoint was written since one of some time was."""
    times = [path.stat().st_mtime_ns for path in folder.glob("sweep/checkpoints/*.pt")]
    return bool(times) and times[0] > before


def test_a_sweep_killed_twenty_times_ends_as_one_that_was_not(children, tmp_path):
    """Trials train in groups, some of which the end finds half written."""
    whole = sweeps.sweep(tmp_path / "whole", sweeps.MANY).trials()
    draw, kept = random.Random(7), {}
    for many in sorted(draw.choices(range(45), k=20)):
        victim = Victim(children, tmp_path / "killed", sweeps.MANY)
        victim.kill(partial(holds, tmp_path / "killed", many), draw.uniform(0.0, 0.03))
        store = Store(tmp_path / "killed", "sweep")
        found = store.trials()
        assert store.problems == [] and all(found[id] == kept[id] for id in kept)
        kept = found
    last = sweeps.sweep(tmp_path / "killed", sweeps.MANY)
    assert 0 < len(kept) < 60 == len(whole)
    assert untimed(last.trials()) == untimed(whole)
    assert all(last.trials()[id] == kept[id] for id in kept)
    assert not list(tmp_path.glob("killed/sweep/unwritten/*.json"))


def test_a_long_trial_killed_in_training_ends_with_the_same_bits(children, tmp_path):
    (whole,) = sweeps.sweep(tmp_path / "whole", sweeps.LONG).trials().values()
    for _ in range(2):
        victim = Victim(children, tmp_path / "killed", sweeps.LONG, every=0.0)
        victim.kill(partial(written, tmp_path / "killed", time.time_ns()), 0.1)
    (record,) = sweeps.sweep(tmp_path / "killed", sweeps.LONG).trials().values()
    assert len(record["resumed"]) == 2 and 0 < record["resumed"][0] < record["resumed"][1] < 30
    assert untimed({0: record}) == untimed({0: whole})

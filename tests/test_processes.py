"""One trial on several processes: what one does alone, from shares of every batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from credbench import environment, processes, together
from credbench.errors import RequestError
from credbench.experiment import make_experiment
from credbench.launch import World, launched
from credbench.learner import Learner
from credbench.running import Options
from credbench.store import Store
from helpers import ALGORITHMS, REGISTRY, make

NETWORKS = (
    ("mlp", (6,), {"hidden": "8x3"}),
    ("mlp", (6,), {"hidden": "8x3", "norm": "batch"}),
    ("res-mlp", (6,), {"hidden": "8x3", "norm": "batch"}),
    ("conv", (2, 8, 8), {"filters": "3c3-4c3s2", "dense": "5", "norm": "batch"}),
    ("resnet", (2, 8, 8), {"depth": 10, "width": 2}),
)
BATCHES = (8, 7, 1)
"""Halves; unequal shares, as of a short last batch; and one that leaves a process without."""


def torchrun(count, *command, cwd):
    """Start a command, or a script, on several processes of this machine."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    return subprocess.run(
        [*launch, str(count), *map(str, command)], cwd=cwd, capture_output=True, text=True,
        timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def refused(algorithm, kind, shape, given):
    recipe = make("network", kind, **given)
    return make("algorithm", algorithm).refuses(recipe, make("activation", "tanh"))


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """How far shares are apart from the whole, by case, on each of two processes."""
    cases = [
        (algorithm, network, batch)
        for algorithm in ALGORITHMS
        for network in NETWORKS
        for batch in BATCHES
        if batch > 1 or "norm" not in network[2]  # the variance of one example is no variance
        if not refused(algorithm, *network)
    ]
    script = Path(__file__).with_name("halves.py")
    ran = torchrun(2, script, json.dumps(cases), cwd=tmp_path_factory.mktemp("halves"))
    assert ran.returncode == 0, ran.stderr
    both = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(both) == 2 and all(len(each) == len(cases) for each in both)
    return [(case, max(pair)) for case, *pair in zip(cases, *both, strict=True)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_two_processes_give_the_updates_of_one(halves, algorithm):
    own = {json.dumps(case): worst for case, worst in halves if case[0] == algorithm}
    assert own
    assert {case: worst for case, worst in own.items() if not worst < 1e-9} == {}


RUN = (
    "run", "-n", "mlp[hidden=32x2],mlp[hidden=32x2,norm=batch]", "-e", "2", "-s", "1",
    "--limit-train", "99", "--device", "cpu", "-a",
)  # fmt: skip
TRAINED = "backprop,dfa,rec-lra,target-prop"


def records(folder):
    (found,) = (folder / "results").glob("*/trials")
    return {p.stem: json.loads(p.read_bytes()) for p in found.glob("*.json")}


def test_a_run_on_two_processes_ends_in_the_records_of_one(credbench, tmp_path):
    alone, two = tmp_path / "alone", tmp_path / "two"
    alone.mkdir(), two.mkdir()
    credbench(*RUN, TRAINED, "--no-timing", cwd=alone)
    ran = torchrun(2, "--no-python", program(), *RUN, TRAINED, cwd=two)
    assert ran.returncode == 0, ran.stderr
    expected, found = records(alone), records(two)
    assert found.keys() == expected.keys() and len(found) == 8
    for id, record in found.items():
        assert record["processes"] == 2 and record["status"] == "done"
        assert record["epoch"] == expected[id]["epoch"]
        assert record["confusion"] == expected[id]["confusion"]
        for key, curve in record["curve"].items():
            if key != "seconds":
                assert curve == pytest.approx(expected[id]["curve"][key], rel=1e-4), key
    assert ran.stdout.count("s/epoch") == 2, "the table's head and its note, once"
    assert "2 processes of 1 thread on one trial at a time" in ran.stdout
    assert "trials' own epochs, on 2 processes" in ran.stdout
    assert "Command: torchrun --standalone --nproc-per-node 2 --no-python credbench" in ran.stdout
    assert [ran.stderr.count(f"{k}/8 ") for k in range(1, 9)] == [1] * 8
    assert not list((two / "results/digits/timings").iterdir())


def program():
    return Path(sys.executable).with_name("credbench")


@pytest.mark.parametrize("count, given, words", [
    (3, ("-a", "dfa"), "batch size 32 on 3 processes: expected one that 3 divides; give "
                       "--batch-size 30 or 33, or another --nproc-per-node"),
    (2, ("-a", "nothing"), "unknown algorithm 'nothing'"),
])  # fmt: skip
def test_one_process_says_what_is_wrong(tmp_path, count, given, words):
    ran = torchrun(count, "--no-python", program(), "run", *given, cwd=tmp_path)
    said = [line for line in ran.stderr.splitlines() if line.startswith("credbench: ")]
    assert ran.returncode != 0 and len(said) == 1 and words in said[0]
    assert "exitcode  : 2" in ran.stderr and not (tmp_path / "results").exists()


FAILING = """
from dataclasses import dataclass

from credbench import Learner
from credbench.processes import current


@dataclass(frozen=True)
class FailsOnAll(Learner):
    name = "fails-on-all"

    def updates(self, step):
        raise ArithmeticError(f"process {current().rank} cannot")


@dataclass(frozen=True)
class FailsOnOne(Learner):
    name = "fails-on-one"

    def updates(self, step):
        if current().rank == 1:
            raise ArithmeticError("the second cannot")
        a = step.forward()
        return step.updates(a, {step.net.depth: step.output_error(a)})
"""


def test_a_failure_of_all_is_a_record_and_that_of_one_ends_the_run(tmp_path):
    plugin = tmp_path / "failing.py"
    plugin.write_text(FAILING)
    both = ("run", "-a", "fails-on-all,fails-on-one", "-s", "1", "-e", "1", "-n", "mlp[hidden=8]")
    ran = torchrun(2, "--no-python", program(), *both, "--plugin", plugin, cwd=tmp_path)
    assert ran.returncode != 0
    (record,) = records(tmp_path).values()
    assert record["status"] == "failed" and "cannot" in record["reason"]
    assert "fails-on-all" in record["trial"]["algorithm"]
    assert "process 1 of 2 failed" in ran.stderr and "the second cannot" in ran.stderr


@pytest.fixture
def among(monkeypatch):
    """Make this process one of several, which are not there."""

    def become(world):
        monkeypatch.setattr(processes._here, "world", world)

    return become


@pytest.mark.parametrize("n", (1, 2, 3, 8, 32))
@pytest.mark.parametrize("size", (1, 2, 3, 5))
def test_shares_take_each_example_once(among, n, size):
    shares = []
    for rank in range(size):
        among(World(rank, size))
        shares.append(processes.share_of(n))
    taken = [k for share in shares if share.weight for k in range(share.start, share.stop)]
    assert taken == list(range(n)) and sum(share.weight for share in shares) == pytest.approx(1)
    assert all(0 <= share.start < share.stop <= n for share in shares)


def test_alone_a_mean_is_what_it_is_given():
    own = torch.rand(3)
    assert processes.mean_over(own) is own and processes.total(own) is own
    assert processes.whole(7) == 7 and processes.tell("x") == "x"


def experiment(**given):
    return make_experiment(REGISTRY, {"algorithm": "dfa", "seeds": "1", **given}).trials


@pytest.mark.parametrize("options, given, words", [
    ({"replicas": 4}, {}, "replicas 4 on 2 processes"),
    ({"workers": 2}, {}, "workers 2 on 2 processes"),
    ({}, {"batch-size": "32,1"}, "batch size 1 on 2 processes: expected one that 2 divides; "
                                 "give --batch-size 2,"),
])  # fmt: skip
def test_what_several_processes_cannot_do_is_refused(options, given, words):
    with pytest.raises(RequestError, match=words):
        together.settle(experiment(**given), Options(Path(), **options), World(0, 2))


def test_state_by_example_is_refused(monkeypatch):
    trials = experiment()
    monkeypatch.setattr(type(trials[0].algorithm), "init_state", lambda *_: {})
    assert type(trials[0].algorithm).init_state is not Learner.init_state
    with pytest.raises(RequestError, match="dfa on 2 processes: expected an algorithm that keeps"):
        together.settle(trials, Options(Path()), World(0, 2))


def test_trials_go_one_by_one_and_untimed():
    settled = together.settle(experiment(), Options(Path()), World(0, 2))
    assert (settled.workers, settled.replicas, settled.timing) == (1, 1, False)


@pytest.mark.parametrize("given, world", [
    ({"RANK": "1", "WORLD_SIZE": "4"}, World()),
    ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "host"}, World(1, 2)),
    ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
      "TORCHELASTIC_RUN_ID": "x"}, World(3, 4, 1, 2)),
])  # fmt: skip
def test_the_launcher_is_read(monkeypatch, given, world):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert launched() == world
    starts = environment.capture("cpu", 1)["command"].partition("credbench")[0]
    assert starts == world.command and ("--nnodes 2" in starts) == (world.size > world.beside)


@pytest.mark.parametrize("rank, size", [("x", "2"), ("2", "2"), ("0", "")])
def test_a_launcher_that_makes_no_sense_is_told(monkeypatch, rank, size):
    for name, value in {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "host"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match="expected whole numbers with RANK below WORLD_SIZE"):
        launched()


def test_other_commands_take_one_process(credbench):
    among_two = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    ran = credbench("tune", "-a", "dfa", code=2, **among_two)
    assert "tune on 2 processes: only 'credbench run' takes several" in ran.stderr


def test_a_store_that_does_not_write_leaves_no_trace(tmp_path):
    store = Store(tmp_path, "quiet", writes=False)
    store.check_writable()
    store.write_plan({"trials": {}})
    assert list(tmp_path.iterdir()) == []

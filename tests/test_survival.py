"""Sweeps that are killed, interrupted or refused by the disk: nothing is lost, all is told."""

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import sweeps
import torch

from credbench import scalars, spoiling, suspects
from credbench.errors import RequestError
from credbench.experiment import make_experiment
from credbench.job import Events, Job, Trained
from credbench.store import Store, set_aside
from credbench.training import Curve
from helpers import REGISTRY

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
        shutil.rmtree(tmp_path / "killed/sweep/training")  # by which it would go on in a worker
    (record,) = sweeps.sweep(tmp_path / "killed", sweeps.LONG).trials().values()
    assert len(record["resumed"]) == 2 and 0 < record["resumed"][0] < record["resumed"][1] < 30
    assert untimed({0: record}) == untimed({0: whole})


PLUGIN = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path

import torch

from credbench import parameter
from credbench.algorithms.backprop import Backprop

class Doomed(Backprop):
    name = "doomed"
    def updates(self, step):
        os.kill(os.getpid(), signal.SIGKILL)

class Unlucky(Backprop):
    name = "unlucky"
    def updates(self, step):
        if not Path("once").exists():
            Path("once").touch()
            os._exit(7)
        return super().updates(step)

SPOILED = []

# As one whose kernel fails: nothing can be computed in this process from then on.
@dataclass(frozen=True)
class Spoiling(Backprop):
    name = "spoiling"
    guilty: float = parameter(0.0, help="whether it fails: 0 or 1")

    def init_feedback(self, net, generator):
        if self.guilty:
            SPOILED.append(self.guilty)
        return super().init_feedback(net, generator)

    def updates(self, step):
        if SPOILED:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return super().updates(step)

class Hung(Backprop):
    name = "hung"
    def updates(self, step):
        time.sleep(1000)
"""
SMALL = ("-n", "mlp[hidden=16]", "-e", "2", "--limit-train", "200", "--device", "cpu",
         "--no-timing", "--plugin", "plugin.py")  # fmt: skip


@pytest.fixture
def plugin(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN)


def status(credbench):
    return json.loads(credbench("status", "--plugin", "plugin.py", "--format", "json").stdout)[0]


def test_a_killed_worker_is_a_failed_trial_and_the_others_go_on(credbench, plugin):
    """One that was killed for what others did comes to its result when it is alone."""
    run = ("run", "-a", "doomed,unlucky,dfa", "-s", "1", "--workers", "2", *SMALL)
    ran = credbench(*run, code=1)
    reason = "its worker process was killed (signal 9; out of memory?)"
    assert f"doomed digits tanh seed 0: failed, {reason}" in ran.stderr
    assert f"1 trial of doomed on mlp[hidden=16], tanh failed: {reason}." in ran.stdout
    found = status(credbench)
    assert (found["failed"], found["done"], found["missing"]) == (1, 2, 0)
    assert found["unfinished"] == [f"doomed digits tanh mlp[hidden=16] seed 0 failed: {reason}"]
    assert "1 trial to run" in credbench(*run, "--retry-failed", code=1).stderr


def test_a_trial_that_kills_the_run_itself_is_found_out_by_the_next(tmp_path, credbench, plugin):
    """In one process nothing outlives it, but for a note of what it was training."""
    run = ("run", "-a", "doomed,dfa,backprop", "-s", "1", "--workers", "1", *SMALL)
    credbench(*run, code=-signal.SIGKILL)
    (note,) = (tmp_path / "results/digits/training").iterdir()
    ran = credbench(*run, code=1)
    told = [line.split()[1] for line in ran.stderr.splitlines() if "/3 " in line]
    assert told == ["dfa", "backprop", "doomed"]  # the suspect goes last
    assert "doomed digits tanh seed 0: failed, its worker process was killed" in ran.stderr
    found = status(credbench)
    assert (found["failed"], found["done"], found["missing"]) == (1, 2, 0)
    assert not note.exists() and "to run" not in credbench(*run, code=1).stderr


def test_a_note_of_a_run_that_goes_on_makes_no_suspects(tmp_path):
    trials = make_experiment(REGISTRY, {"algorithm": "dfa", "seeds": "2"}).trials
    (tmp_path / "training").mkdir()
    parent = tmp_path / f"training/{socket.gethostname()}-{os.getppid()}.json"
    parent.write_text(json.dumps(["another"]))
    with suspects.noted(tmp_path, trials), suspects.named(tmp_path) as named:
        assert named == {trial.id for trial in trials}  # as of an earlier process of this number
    (tmp_path / "training/elsewhere-1.json").write_text("[1")  # cut short
    with suspects.named(tmp_path) as named:
        assert named == set()
    assert parent.exists()


def test_a_hanging_trial_is_given_up_in_time(credbench, plugin, tmp_path):
    (tmp_path / "slow.yaml").write_text(
        "algorithm: [hung, dfa]\nseeds: 1\nworkers: 1\ntrial-timeout: 6\nplugin: plugin.py\n"
        "network: mlp[hidden=16]\nepochs: 2\nlimit-train: 200\ndevice: cpu\n"
    )
    ran = credbench("run", "slow.yaml", "--no-timing", code=1)
    assert "1/2 hung digits tanh seed 0: failed, took longer than 6 s" in ran.stderr
    assert "2/2 dfa digits" in ran.stderr
    (failed,) = (r for r in Store(tmp_path / "results", "slow").trials().values()
                 if r["status"] == "failed")  # fmt: skip
    assert failed["reason"] == "took longer than 6 s" and 6 <= failed["seconds"] < 30


def test_of_several_trials_in_one_program_each_gets_its_own_time(credbench, plugin, tmp_path):
    ran = credbench("run", "-a", "hung", "-s", "2", "--replicas", "2", "--workers", "2",
                    "--trial-timeout", "2", *SMALL, code=1)  # fmt: skip
    assert ran.stderr.count("hung digits tanh seed") == 2
    records = Store(tmp_path / "results", "digits").trials().values()
    assert [r["group"] for r in records] == [1, 1] and all(r["seconds"] < 20 for r in records)


@pytest.mark.parametrize("where", [("--workers", "1"), ("--scheduler", "local")])
def test_a_spoiled_process_costs_no_other_trial_its_result(credbench, plugin, tmp_path, where):
    """Two that train together are parted, and the innocent one comes last."""
    if where[1] == "local":
        pytest.importorskip("distributed", reason="Dask is not installed")
    ran = credbench("run", "-a", "spoiling[guilty=1|0]", "-s", "1", "--replicas", "2", *where,
                    *SMALL, code=1)  # fmt: skip
    records = Store(tmp_path / "results", "digits").trials().values()
    found = {r["trial"]["algorithm"].partition("[")[2]: r for r in records}
    assert found["guilty=0.0]"]["status"] == "done" and len(found) == 2
    failed = found["guilty=1.0]"]
    assert failed["status"] == "failed" and failed["group"] == 1
    assert failed["reason"].startswith("AcceleratorError: CUDA error: an illegal memory access")
    assert "1/2 spoiling digits tanh seed 0: failed, Acc" in ran.stderr


def test_what_spoils_a_process(monkeypatch):
    """Not a lack of memory, nor what is no error of the device."""
    monkeypatch.setattr(spoiling, "_found", [])
    memory = ("CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling")
    for harmless in (*map(torch.AcceleratorError, memory), ValueError("CUDA is fine")):
        assert not spoiling.spoils(harmless) and not spoiling.spoiled()
    try:
        try:
            raise torch.AcceleratorError("device-side assert triggered")
        finally:
            raise ValueError("nothing could be put back")
    except ValueError as error:
        assert spoiling.spoils(error) and spoiling.spoiled()
    job = Job(Store(Path(), "x"), Path(), "cpu", "")
    assert job([None], Events()) == Trained([], [[None]], True)


@pytest.mark.parametrize("workers, twice", [("1", False), ("2", False), ("1", True)])
def test_ctrl_c_ends_soon_and_a_second_one_at_once(tmp_path, workers, twice):
    """Though one step takes minutes in which Python hears nothing."""
    (tmp_path / "plugin.py").write_text(
        "import torch\nfrom credbench.algorithms.backprop import Backprop\n"
        "class Deaf(Backprop):\n    name = 'deaf'\n"
        "    def updates(self, step):\n        open('begun', 'a')\n"
        "        a = torch.rand(6000, 6000)\n        torch.linalg.svd(a)\n"
    )
    process = subprocess.Popen(
        [Path(sys.executable).with_name("credbench"), "run", "-a", "deaf", "-s", "2", *SMALL,
         "--workers", workers],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "2 trials to run" in process.stderr.readline()
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    if twice:
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    process.wait(60)
    took = time.monotonic() - started
    told = process.stderr.read()
    process.stderr.close()
    assert took < 8 and process.returncode == 130  # a second or so on an idle machine
    if twice:  # at once: it does not even say what is saved
        assert told == ""
    else:
        assert told.count("\n") == 1
        assert "0 of 2 trials are saved in results/digits; the same command goes on" in told


@pytest.fixture
def start(tmp_path):
    """Start an endless run, in a group of processes as a terminal's, after some code."""
    processes = []

    def begin(code, *more):
        code = f"import os, signal, sys; from credbench.entry import main; {code}; main()"
        run = ("run", "-a", "dfa", "-s", "4", "-n", "mlp[hidden=16]", "-e", "100000", *more)
        processes.append(subprocess.Popen(
            [sys.executable, "-c", code, *run, "--device", "cpu"], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        ))  # fmt: skip
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def expect_one_line(process):
    _, told = process.communicate(timeout=60)
    lines = [line for line in told.splitlines() if "to run" not in line]
    assert process.returncode == 130 and len(lines) == 1, (process.returncode, told)
    assert lines[0].startswith("credbench: interrupted"), told


def test_ctrl_c_before_the_commands_are_known_is_one_line(start):
    ctrl_c = "name == 'import' and of[0] == 'typer' and os.kill(os.getpid(), signal.SIGINT)"
    expect_one_line(start(f"sys.addaudithook(lambda name, of: {ctrl_c})"))


def test_ctrl_c_ends_a_run_whose_modules_take_no_exception(start, tmp_path):
    """Some go on without a part of theirs; torch calls abort()."""
    (tmp_path / "plugin.py").write_text(
        "import os, signal, time\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(5)\nexcept BaseException:\n    pass\n" + PLUGIN
    )
    expect_one_line(start("pass", "--plugin", "plugin.py"))


def test_ctrl_c_at_any_moment_is_one_line(start):
    """A terminal sends it to the workers too, which may be starting."""
    moments = {0.01: "2", 0.1: "1", 1.0: "2", 2.5: "2", 3.5: "2", 5.0: "1"}
    processes = [
        start("os.write(1, b'.')", "--workers", workers, "--name", f"n{k}")
        for k, workers in enumerate(moments.values())
    ]
    for process in processes:
        assert process.stdout.read(1) == "."
    began = time.monotonic()
    for process, moment in zip(processes, moments, strict=True):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        os.killpg(process.pid, signal.SIGINT)
    for process in processes:
        expect_one_line(process)


def test_a_full_disk_is_one_line(tmp_path):
    """A limit on the size of files refuses a record, as a full disk does."""
    measured = "COVERAGE"  # which writes files of its own
    env = {key: value for key, value in os.environ.items() if not key.startswith(measured)}
    ran = subprocess.run(
        [Path(sys.executable).with_name("credbench"), "run", "-a", "dfa", "-s", "2",
         *SMALL[:-2], "--workers", "2"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, env=env,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1800, 1800)),
    )  # fmt: skip
    assert ran.returncode == 1
    said = ran.stderr.splitlines()
    assert said[0] == "2 trials to run, 4 epochs in all" and len(said) == 2
    assert "cannot be written (File too large): what had finished is saved" in said[1]
    assert not list(tmp_path.glob("results/digits/trials/*"))


def test_corrupt_records_are_set_aside_and_newer_ones_left_alone(credbench, tmp_path):
    small = ("run", "-a", "dfa", "-s", "3", "--workers", "1", *SMALL[:-2])
    credbench(*small)
    trials = sorted((tmp_path / "results/digits/trials").iterdir())
    corrupt, newer, fine = trials
    whole, cut = corrupt.read_text(), corrupt.read_text()[:100]
    corrupt.write_text(cut)
    newer.write_text(newer.read_text().replace('"format": 1', '"format": 2'))
    kept = newer.read_bytes(), fine.read_bytes()
    credbench("status")
    assert corrupt.read_text() == cut  # reading changes nothing
    ran = credbench(*small, code=1)
    assert "1 trial to run" in ran.stderr
    lines = [line for line in ran.stderr.splitlines() if "cannot be read" in line]
    assert f"it is set aside as {corrupt.name}.corrupt" in lines[0] and corrupt.name in lines[0]
    assert newer.name in lines[1] and "format 2, this version reads 1" in lines[1]
    assert len(lines) == 2 and "left alone" in lines[1]
    assert corrupt.with_name(f"{corrupt.name}.corrupt").read_text() == cut
    ours, theirs = json.loads(corrupt.read_text()), json.loads(whole)
    assert untimed({0: ours}) == untimed({0: theirs})
    assert (newer.read_bytes(), fine.read_bytes()) == kept
    corrupt.write_text("[]")
    assert set_aside(corrupt).name == f"{corrupt.name}.corrupt-2"


def test_records_of_a_group_are_made_up_for(tmp_path):
    """A process that was killed between two records of a group has left them all in one file."""
    whole = sweeps.sweep(tmp_path / "whole", sweeps.MANY)
    left = list(whole.trials().values())[:4]
    half = tmp_path / "half/sweep"
    (half / "unwritten").mkdir(parents=True)
    (half / "unwritten/x.json").write_text(json.dumps({"records": left}))
    (half / "unwritten/y.json").write_text(json.dumps({"records": [{"format": 1}]}))
    store = Store(tmp_path / "half", "sweep")
    store.recover()
    assert store.trials() == {record["id"]: record for record in left}
    assert [path.name for path in (half / "unwritten").iterdir()] == ["y.json"]
    assert "y.json cannot be read" in store.problems[0]


def test_quiet_and_levels(credbench, plugin):
    run = ("run", "-a", "dfa,backprop", "-s", "1", *SMALL, "--workers", "1")
    quiet = credbench(*run, "--quiet")
    assert quiet.stderr == "" and "dfa" in quiet.stdout
    debug = credbench(*run, "--name", "again", "--log-level", "debug").stderr
    assert "credbench: 3 of 4 epochs ended" in debug and "\x1b" not in debug
    assert "unknown log level 'loud'" in credbench(*run, "--log-level", "loud", code=2).stderr
    both = credbench(*run, "--log-level", "info", "--quiet", code=2).stderr
    assert "--quiet with --log-level info" in both


@pytest.fixture
def told():
    """What TensorBoard would read of the one trial that a results folder holds."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def read(folder, measure):
        places = list(folder.glob("*/tensorboard/*"))
        found = events.EventAccumulator(str(places[0])).Reload() if places else None
        if found is None or measure not in found.Tags()["scalars"]:
            return []
        return [(each.step, each.value) for each in found.Scalars(measure)]

    return read


@pytest.mark.parametrize("where", [(), ("--workers", "1", "--trial-timeout", "1000"),
                                   ("--scheduler", "local")])  # fmt: skip
def test_curves_are_written_for_tensorboard_while_a_trial_trains(start, told, tmp_path, where):
    if "local" in where:
        pytest.importorskip("distributed", reason="Dask is not installed")
    process = start("pass", "-s", "1", "--tensorboard", *where)
    deadline = time.monotonic() + 60
    while len(told(tmp_path / "results", "validation_loss")) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    expect_one_line(process)


def test_a_trial_that_goes_on_shows_each_epoch_once(children, told, tmp_path):
    """In place of what the killed process had written, with the epochs after its checkpoint."""
    victim = Victim(children, tmp_path, sweeps.LONG, every=0.0, scalars=True)
    victim.kill(partial(told, tmp_path, "validation_loss"), 0.0)
    assert told(tmp_path, "validation_loss")
    (record,) = sweeps.sweep(tmp_path, sweeps.LONG, scalars=True).trials().values()
    assert record["resumed"]
    for measure, values in record["curve"].items():
        expected = [(k, pytest.approx(v, rel=1e-5)) for k, v in enumerate(values, start=1)]
        assert told(tmp_path, measure) == expected


def test_what_is_not_finite_is_left_out_for_tensorboard(told, tmp_path):
    (trial,) = make_experiment(REGISTRY, sweeps.LONG).trials
    curve = Curve([1.0, 1.0], [90.0, 80.0], [float("nan"), 2.0], [90.0, 70.0], [2.5, 2.0])
    with scalars.live(tmp_path / "x", [trial]) as log:
        log([curve])
    assert told(tmp_path, "training_loss") == [(2, 2.0)]
    assert told(tmp_path, "validation_loss") == [(1, 2.5), (2, 2.0)]


def test_a_folder_that_takes_no_curves_is_told_of_once(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    (tmp_path / "tensorboard").write_text("in the way")
    (trial,) = make_experiment(REGISTRY, sweeps.LONG).trials
    lines = []
    with scalars.live(tmp_path, [trial], lines.append) as log:
        log([Curve()])
    assert len(lines) == 1 and "no more is written for TensorBoard: " in lines[0]


def test_tensorboard_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(scalars.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="pip install 'credbench\\[tensorboard\\]'"):
        scalars.check()

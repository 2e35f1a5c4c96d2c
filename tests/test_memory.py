"""What fits: sizes counted, requests refused or split, and what training holds."""

import pytest
import torch

from credbench import memory
from credbench.errors import RequestError
from credbench.experiment import make_experiment
from credbench.grouping import Grouping
from credbench.memory import PeakBytes, fitting, held, needs
from helpers import REGISTRY

GIB = 2**30


def trials(**given):
    settings = {
        "algorithm": "lra-e",
        "dataset": "mnist",
        "seeds": "1",
        "network": "mlp[hidden=2000x2]",
    }
    return make_experiment(REGISTRY, settings | given).trials


def test_a_peak_is_what_was_held_at_once():
    x = torch.zeros(1000)
    with PeakBytes() as seen:
        y = x + 1  # 4,000 bytes
        z = y * 2  # 8,000
        del y
        z.add_(1)
        z.view(10, 100)
        w = z + z  # 8,000 again
        del z, w
        torch.zeros(500)
    assert seen.peak == 8000


def test_shared_storage_is_counted_once():
    x = torch.zeros(1000)
    assert held([x, x.view(10, 100), x[:10], torch.zeros(5)]) == 4020


def test_feedback_counts_and_is_not_made():
    """A terabyte of it: making it would end the test."""
    chain, skips = (
        needs(trials(algorithm=a, network="mlp[hidden=200000x6]")[0]).replica
        for a in ("lra-e", "rec-lra[gap=1]")
    )
    assert 1.9 < chain / skips < 2.1


@pytest.mark.parametrize(
    "given, words",
    [
        ({"network": "mlp[hidden=20000x3]"}, ("a network of at most", "parameters")),
        ({"batch-size": "50000"}, ("a batch size of at most",)),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(given, words, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: GIB)
    (trial,) = trials(**given)
    with pytest.raises(RequestError) as refused:
        fitting(trial, "cpu")
    for word in (*words, "1.0 GiB are free", trial.label):
        assert word in str(refused.value)
    advice = int(str(refused.value).split()[-2 if "network" in given else -1].replace(",", ""))
    if "batch-size" in given:
        (fits,) = trials(**{"batch-size": str(advice)})
        assert fitting(fits, "cpu") == 1


def test_many_small_trials_count_too(monkeypatch):
    (trial,) = trials(network="mlp[hidden=8]")
    need = needs(trial)
    monkeypatch.setattr(memory, "available", lambda device: need.together(7))
    assert fitting(trial, "cpu") == 7
    monkeypatch.setattr(memory, "available", lambda device: None)
    assert fitting(trial, "cpu") is None


def test_replicas_and_processes_are_as_many_as_fit(monkeypatch):
    members = trials(seeds="10", network="mlp[hidden=8000x2]")
    need = needs(members[0])
    monkeypatch.setattr(memory, "available", lambda device: int(need.data + 3.5 * need.replica))
    cuda = Grouping("cuda", 1)
    assert [len(g) for g in cuda.groups(members)] == [3, 3, 3, 1]
    cpu = Grouping("cpu", 8)
    groups = list(cpu.groups(members))
    assert [len(g) for g in groups] == [1] * 10 and cpu.workers_fitting(groups) == 3


@pytest.mark.parametrize(
    "device, workers, replicas, hidden, sizes",
    [
        ("cpu", 2, None, "16x2", [16, 16, 8]),  # small networks together
        ("cpu", 8, None, "16x2", [1] * 40),  # but not where cores would be idle
        ("cpu", 4, None, "16x2", [10] * 4),
        ("cpu", 2, None, "256x3", [1] * 40),  # larger ones alone
        ("cpu", 2, 32, "256x3", [32, 8]),  # but for who asks
        ("cuda", 1, None, "256x3", [40]),
    ],
)
def test_the_device_and_the_network_decide_how_many_train_together(
    device, workers, replicas, hidden, sizes, monkeypatch
):
    monkeypatch.setattr(memory, "available", lambda device: None)
    members = trials(seeds="40", dataset="digits", network=f"mlp[hidden={hidden}]")
    assert [len(g) for g in Grouping(device, workers, replicas).groups(members)] == sizes


def test_programs_do_not_mix(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: None)
    members = trials(seeds="2", algorithm="lra-e,dfa", dataset="mnist,fashion-mnist")
    groups = list(Grouping("cuda", 1).groups(members))
    assert [len(g) for g in groups] == [4, 4]
    assert [{t.algorithm.name for t in g} for g in groups] == [{"lra-e"}, {"dfa"}]

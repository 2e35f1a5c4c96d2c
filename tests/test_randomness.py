"""Noise: standard normal, a function of key and step alone, the same for replicas."""

import pytest
import torch
from scipy.stats import kstest

from credbench.randomness import normals


def draw(key, step, shapes):
    return normals(torch.tensor(key), torch.tensor(step), shapes)


def test_noise_is_standard_normal():
    flat = draw(12345, 3, {"a": (300, 1000)})["a"].flatten()
    assert flat.dtype == torch.float32
    assert kstest(flat[:20_000].numpy(), "norm").pvalue > 1e-3
    n = len(flat)
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        spread = (flat**power).std() / n**0.5
        assert abs(float((flat**power).mean()) - moment) < 4 * float(spread), power


def test_noise_is_new_at_every_step_key_and_entry():
    shapes = {"a": (50, 40), "b": (50, 40)}
    draws = [draw(key, step, shapes)[k] for key in (1, 2) for step in (0, 1) for k in shapes]
    for i, one in enumerate(draws):
        assert torch.equal(one, draw(1 + i // 4, i // 2 % 2, shapes)["ab"[i % 2]])
        for other in draws[:i]:
            together = torch.stack([one.flatten(), other.flatten()])
            assert abs(float(torch.corrcoef(together)[0, 1])) < 4 / 2000**0.5


@pytest.mark.parametrize("shapes", [{"a": (3,)}, {"a": (2, 5), "b": (1,)}])
def test_replicas_draw_what_each_draws_alone(shapes):
    keys = torch.tensor([7, 2**62 + 11, 0])
    together = normals(keys, torch.tensor(9), shapes)
    for r, key in enumerate(keys.tolist()):
        alone = draw(key, 9, shapes)
        for name, shape in shapes.items():
            assert together[name][r].shape == shape
            assert torch.equal(together[name][r], alone[name])

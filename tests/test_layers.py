"""Tensors side by side: the right ones, made once."""

import pytest
import torch

from credbench.layers import Layers


def three():
    return Layers({k: torch.full((2, 3), float(k)) for k in (1, 2, 3)})


def test_a_stack_holds_the_layers_asked_for_in_order():
    for wanted in ((1, 2, 3), (2, 3), (3, 1), (2,)):
        found = three().stacked(wanted)
        assert found[:, 0, 0].tolist() == list(wanted) and found.shape == (len(wanted), 2, 3)


def test_a_run_of_a_stack_is_no_copy():
    layers = three()
    whole = layers.stacked((1, 2, 3))
    assert layers.stacked((1, 2, 3)) is whole
    assert layers.stacked((2, 3)).data_ptr() == whole[1].data_ptr()
    assert layers.stacked((1, 3)).data_ptr() not in (whole[0].data_ptr(), whole[2].data_ptr())


def test_layers_given_as_a_stack_are_there_one_by_one():
    layers = Layers({9: torch.zeros(2, 3)})
    stack = torch.arange(12.0).view(2, 2, 3)
    layers.put((4, 7), stack)
    assert torch.equal(layers[7], stack[1]) and 4 in layers and 5 not in layers
    assert layers.stacked((4, 7)) is stack
    with pytest.raises(KeyError):
        layers[5]

"""A recipe that builds no network for the data is told in a sentence, with the line to mend."""

import pytest

from credbench.architectures.mlp import Mlp
from credbench.blocks import Block, Dense
from credbench.building import built
from credbench.errors import RequestError
from credbench.networks import Network
from helpers import make

SENTENCE = "network 'mine' cannot be built for inputs of shape (8, 8) and 10 classes: "
TANH = make("activation", "tanh")


class Gated(Block):
    """A block as a plugin has it, whose arrays spell its shapes out."""

    @property
    def shapes(self):
        return {"weight": (*self.shape_out, *self.shape_in)}

    def forward(self, arrays, below, earlier=None):
        return below.flatten(1) @ arrays["weight"].T


class Untold(Gated):
    """A block whose arrays cannot be told."""

    @property
    def shapes(self):
        return {"weight": (self.rows, 3)}


class Listed(Gated):
    """A block whose array has no tuple for its shape."""

    @property
    def shapes(self):
        return {"weight": [*self.shape_out, *self.shape_in]}


def recipe(blocks):
    class Mine(Mlp):
        name = "mine"

        def build(self, input_shape, classes, activation, *, separate=False):
            found = blocks()
            return found if found == "no" else Network(found, activation, separate=separate)

    return Mine(), Mine.build.__code__.co_firstlineno


@pytest.mark.parametrize(
    "blocks, words, line",
    [
        (lambda: [Gated(64, (10,))], "ValueError: Gated has shape_in 64: expected a tuple of whole "
         "numbers above 0, as in (64,) (", None),
        (lambda: [Gated((64,), [10])], "Gated has shape_out [10]: expected a tuple", None),
        (lambda: [Dense(64, 0)], "Dense has shape_out (0,): expected a tuple of whole", None),
        (lambda: 1 / 0, "ZeroDivisionError: division by zero (", None),
        (lambda: "no", "build returned a str, expected a credbench.Network (", 0),
        (lambda: [], "there are no blocks", 2),
        (lambda: [Dense(64, 10), "x"], "block 2 is 'x': expected a credbench.blocks.Block", 2),
        (lambda: [Dense(64, 33), Dense(32, 10)], "block 1 gives (33,), block 2 takes (32,)", 2),
        (lambda: [Gated((64,), (3, 4, 4)), Dense(48, 10)],
         "block 1 gives (3, 4, 4), block 2 takes (48,)", 2),
        (lambda: [Dense(9, 10)], "block 1 takes (9,), an input has 64 values", 0),
        (lambda: [Dense(64, 9)], "block 1, the last, gives (9,), expected a logit a class, (10,)",
         0),
        (lambda: [Dense(64, 8), Dense(8, 10, earlier=2)], "block 2 reads the earlier layer 2: "
         "expected one from 0, the input, to 1", 2),
        (lambda: [Dense(64, 8), Dense(8, 8), Dense(8, 10, earlier=1)],
         "layer 1 gives (8,), block 3 adds it to (10,)", 2),
        (lambda: [Untold((64,), (10,))], "AttributeError: 'Untold' object has no attribute 'rows'",
         None),
        (lambda: [Listed((64,), (10,))], "block 1 declares 'weight' of shape [10, 64], expected a "
         "tuple", 0),
    ],
)  # fmt: skip
def test_what_is_wrong_names_the_line_to_mend(blocks, words, line):
    mine, first = recipe(blocks)
    with pytest.raises(RequestError) as caught:
        built(mine, (8, 8), 10, TANH)
    said = str(caught.value)
    assert said.startswith(SENTENCE) and words in said and said.endswith("; mend its build")
    place = "test_building.py, line " if line is None else f"test_building.py, line {first + line})"
    assert place in said


def test_what_flattens_maps_of_its_own_accord_may_say_so():
    mine, _ = recipe(lambda: [Gated((64,), (3, 4, 4)), Gated((48,), (10,))])
    assert built(mine, (8, 8), 10, TANH).depth == 2


def test_a_recipes_own_refusal_is_left_as_it_is():
    def refuse():
        raise RequestError("three layers at least")

    with pytest.raises(RequestError, match=r"^three layers at least$"):
        built(recipe(refuse)[0], (8, 8), 10, TANH)


PLUGIN = """from credbench.architectures.mlp import Mlp
class Mine(Mlp):
    name = "mine"
    def build(self, input_shape, classes, activation, *, separate=False):
        from credbench.blocks import Dense
        from credbench import Network
        return Network([Dense(64, 33), Dense(32, classes)], activation, separate=separate)
"""


@pytest.mark.parametrize(
    "command",
    [
        ("run", "-a", "backprop", "-n", "mlp[hidden=4],mine", "-s", "1", "--device", "cpu"),
        ("describe", "mine"),
        ("time", "-a", "backprop", "-n", "mine", "--device", "cpu"),
    ],
)
def test_commands_say_it_before_anything_trains(credbench, tmp_path, command):
    (tmp_path / "mine.py").write_text(PLUGIN)
    ran = credbench(*command, "--plugin", "mine.py", code=2)
    (line,) = ran.stderr.splitlines()
    assert "network 'mine' cannot be built" in line
    assert "block 1 gives (33,), block 2 takes (32,)" in line and "(mine.py, line 7)" in line
    assert ran.stdout == "" and not list(tmp_path.glob("results/*/trials/*"))

"""Figures: what they are drawn against, and that what they say fits on them."""

from pathlib import Path

import numpy as np
import pytest
from trials import record

from credbench.experiment import setting_of
from credbench.report import confusions
from credbench.report.clock import clock
from credbench.report.confusions import _matrix
from credbench.report.figures import headline


def drawn(seed=0, algorithm="dfa"):
    return record(algorithm, seed, 5.0, curve={"seconds": [3.0, 1.0, 2.0]})


def timing(of, seconds, source="s"):
    return {(*setting_of(of["trial"]), "cpu"): {"source": source, "epoch_seconds": seconds}}


def test_epochs_end_where_they_end():
    one = drawn()
    assert clock("epochs", [one], {}).ends(one) == [1, 2, 3]
    assert clock("seconds", [one], {}).ends(one) == [3, 4, 6]
    assert "others beside" in clock("seconds", [one], {}).label


def test_timing_runs_give_the_seconds_where_all_have_one():
    one, other = drawn(), drawn(algorithm="fa")
    timings = timing(one, [0.5, 0.4, 0.6])
    axis = clock("seconds", [one], timings)
    assert axis.ends(one) == [0.5, 1.0, 1.5] and "timing runs" in axis.label
    assert clock("seconds", [one, other], timings).ends(one) == [3, 4, 6]
    both = clock("seconds", [one, other], timings | timing(other, [1.0]))
    assert both.ends(other) == [1, 2, 3]
    stale = timing(one, [0.5], source="another")
    assert clock("seconds", [one], stale).ends(one) == [3, 4, 6]


@pytest.mark.parametrize("width", [3, 7, 12])
def test_titles_stay_on_the_page(width):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, _ = plt.subplots(figsize=(width, 3), layout="constrained")
    headline(figure, "Figure 5, t-SNE of the last hidden layer, at quick scale " * 3)
    figure.draw_without_rendering()
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    plt.close(figure)


def test_only_curves_are_drawn_against_seconds(credbench, tmp_path):
    credbench("run", "-a", "dfa", "-e", "1", "-s", "1", "--no-timing", "--name", "a")
    said = credbench("plot", "a", "--measure", "confusion", "--against", "seconds", code=2).stderr
    assert "only curves have it" in said
    drawn = credbench("plot", "a", "--measure", "confusion").stdout.split()
    assert [Path(path).name for path in drawn] == ["confusion.png", "confusion.pdf"]
    assert all((tmp_path / path).stat().st_size > 5000 for path in drawn)


def test_cells_of_a_matrix_say_which_share_of_a_class_they_hold():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots()
    _matrix(axes, np.array([[6.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 999.0]]))
    told = {text.get_position(): (text.get_text(), text.get_color()) for text in axes.texts}
    assert told == {(0, 0): ("75", "white"), (1, 0): ("25", "black"), (2, 2): ("100", "white")}
    assert axes.images[0].get_array()[2, 0] == pytest.approx(0.1)  # shaded, too small for a number
    plt.close(figure)


def test_more_matrices_than_fit_are_counted(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(confusions, "headline", lambda figure, title: titles.append(title))
    found = [{"label": str(k), "n": 3, "counts": [[1, 0], [0, 1]]} for k in range(26)]
    confusions.plot_confusions(found, [tmp_path / "a.png"], "Digits")
    confusions.plot_confusions(found[:2], [tmp_path / "b.png"], "Digits")
    assert titles == ["Digits (2 more are not shown)", "Digits"]

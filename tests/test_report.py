"""Statistics from their definitions, metrics against counting, tables against records."""

import json
import math

import numpy as np
import pytest

from credbench.experiment import setting_of
from credbench.metrics import confusion, score
from credbench.report.statistics import estimate
from credbench.report.summary import summarise
from credbench.report.tables import Table, as_csv, as_json, as_latex, as_markdown
from credbench.store import frame
from helpers import REGISTRY


def test_intervals_are_students():
    from scipy import stats

    values = [3.1, 2.7, 3.4, 2.9, 3.3]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    found = estimate(values)
    assert (found.mean, found.n) == (pytest.approx(3.08), 5)
    assert found.half_width == pytest.approx((high - low) / 2)
    assert estimate([4.0]).half_width is None and estimate([]) is None


def test_intervals_cover_the_mean_as_often_as_they_say():
    random = np.random.default_rng(0)
    draws = random.normal(7, 2, size=(4000, 4))
    hits = [abs((e := estimate(list(row))).mean - 7) <= e.half_width for row in draws]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.012)


def test_scores_are_counted_over_all_examples():
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 0, 1])
    found = score(labels, predicted, 4)
    assert found.error == pytest.approx(50)
    assert found.precision == pytest.approx(100 * (2 / 3 + 1 / 3 + 0 + 0) / 4)
    assert found.recall == pytest.approx(100 * (2 / 3 + 1 / 2 + 0 + 0) / 4)
    f1 = [2 * 2 / 3 * 2 / 3 / (4 / 3), 2 * 1 / 3 * 1 / 2 / (5 / 6), 0, 0]
    assert found.f1 == pytest.approx(100 * sum(f1) / 4)
    counts = [[2, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert confusion(labels, predicted, 4) == counts


ARGUMENTS = {
    "algorithm": "rec-lra[beta=0.5,gamma=1.0,sigma=0.05,rule=transpose,gap=2]",
    "dataset": "digits",
    "activation": "sign",
    "network": "mlp[hidden=256x3]",
    "optimizer": "adam[lr=0.0002,beta1=0.9,beta2=0.999,eps=1e-08]",
    "init": "gaussian[sigma=0.05]",
    "batch_size": 32, "epochs": 2, "clip_norm": None, "limit_train": None,
}  # fmt: skip


def record(seed, error, **facts):
    measures = {"error": error, "precision": 90.0, "recall": 91.0, "f1": 90.5}
    return {
        "id": str(seed),
        "trial": ARGUMENTS | {"seed": seed},
        "status": "done",
        "scores": dict.fromkeys(("train", "validation", "test"), measures),
        "curve": {"seconds": [9.0, 1.0, 2.0 + seed]},
        "phases": ["train"], "group": 1, "surrogate": "", "device": "cpu", "source": "s",
    } | facts  # fmt: skip


def timing(*seconds):
    """What a timing run of the records' setting found."""
    return {(*setting_of(ARGUMENTS), "cpu"): {"epoch_seconds": list(seconds), "source": "s"}}


def rows(*records, missing=0, timings=()):
    planned = {r["id"]: r["trial"] for r in records}
    planned |= {f"m{k}": ARGUMENTS | {"seed": 90 + k} for k in range(missing)}
    return summarise(frame(planned, {r["id"]: r for r in records}, dict(timings)), REGISTRY)


def test_rows_are_settings_and_seeds_their_sample():
    (row,) = rows(record(0, 3.0), record(1, 5.0), record(2, 0, status="failed"), missing=2)
    assert row.setting["algorithm"] == "rec-lra[beta=0.5]" and row.setting["network"] == "mlp"
    assert row.estimates["test"].mean == 4.0
    assert row.estimates["test"].half_width == pytest.approx(12.706204736 * math.sqrt(2 / 2))
    assert (row.n, row.planned, row.unfinished) == (2, 5, {"failed": 1, "missing": 2})
    assert row.seconds.median == pytest.approx(2.5) and not row.timed  # of the trials' medians


def test_time_comes_from_a_timing_run_on_the_trials_device():
    (row,) = rows(record(0, 3.0), timings=timing(0.5, 0.4, 0.6, 0.3, 9.0))
    assert (row.seconds.median, row.seconds.low, row.seconds.high) == (0.5, 0.4, 0.6)
    assert row.timed and Table("t", [row]).cells()[0][-2] == "0.5"
    for other in ({"device": "cuda"}, {"source": "of another version"}):
        (elsewhere,) = rows(record(0, 3.0, **other), timings=timing(0.5))
        assert not elsewhere.timed


def test_memory_of_a_timing_run_has_a_column_where_it_is_known():
    ((key, alone),) = timing(0.5).items()
    (row,) = rows(record(0, 3.0), timings={key: alone | {"peak_bytes": 3 * 2**19}})
    assert row.peak_bytes == 3 * 2**19
    (without,) = rows(record(0, 3.0), timings={key: alone})
    assert without.peak_bytes is None and "peak MiB" not in Table("t", [without]).headings()
    table = Table("t", [row, without])
    place = table.headings().index("peak MiB")
    assert [cells[place] for cells in table.cells()] == ["1.5", "—"]
    assert any(note.startswith("Peak: weights") for note in table.footnotes())
    assert [flat["peak_bytes"] for flat in table.dicts()] == [3 * 2**19, None]


def test_absent_and_present_numbers_of_one_axis_keep_their_spelling():
    clipped, limited = record(1, 3.0), record(2, 4.0)
    clipped["trial"] = clipped["trial"] | {"clip_norm": 1.0, "limit_train": 200}
    limited["trial"] = limited["trial"] | {"clip_norm": 0.5}
    found = [(r.setting["clip_norm"], r.setting["limit_train"]) for r in rows(
        record(0, 3.0), clipped, limited
    )]  # fmt: skip
    assert found == [("none", "none"), ("1", "200"), ("0.5", "none")]


def test_a_frame_is_tidy():
    tidy = frame(
        {"0": ARGUMENTS | {"seed": 0}, "1": ARGUMENTS | {"seed": 1}}, {"0": record(0, 3.0)}, {}
    )
    assert tidy["status"].tolist() == ["done", "missing"] and tidy["seed"].tolist() == [0, 1]
    assert tidy.loc[0, "test_error"] == 3.0 and math.isnan(tidy.loc[1, "test_error"])
    assert tidy.loc[0, "epoch_seconds"] == 2.0


def test_what_is_missing_prints_as_missing():
    table = Table("t", rows(missing=2))
    (cells,) = table.cells()
    assert cells[1:] == ["missing"] * 7 + ["0 of 2 (2 missing)"]
    assert json.loads(as_json([table]))[0]["rows"][0]["test_mean"] is None
    assert as_csv([table]).splitlines()[1].count(",,") > 0


def test_marks_are_explained():
    marked = record(0, 3.0, surrogate="straight-through", group=4, phases=["inverse", "forward"])
    table = Table("t", rows(marked), ["Hardware: a machine."])
    (cells,) = table.cells()
    assert cells[0] == "rec-lra[beta=0.5]†" and cells[-2] == "2*‡"
    notes = "\n".join(table.footnotes())
    for words in ("† φ′ replaced: straight-through", "‡ not from a timing run",
                  "a program of up to 4 of them", "* one epoch",
                  "Hardware: a machine.", "epochs 2", "adam[lr=0.0002,"):  # fmt: skip
        assert words in notes


def test_names_cannot_break_a_format():
    wild = record(0, 3.0)
    wild["trial"] = wild["trial"] | {"algorithm": "a|b & c_d%"}
    table = Table("x_y", rows(wild))
    assert r"a\|b & c_d%" in as_markdown(table)
    assert r"a$|$b \& c\_d\%" in as_latex(table) and r"\caption{x\_y}" in as_latex(table)
    assert as_csv([table]).count("\n") == 1


def test_what_looks_like_markup_is_shown_in_markdown():
    notes = ["<data-dir>/<class>/* by `<wnid>|*.JPEG`"]
    told = as_markdown(Table("t", rows(record(0, 3.0)), notes)).splitlines()[-1]
    assert told == r"- \<data-dir>/\<class>/\* by `<wnid>\|*.JPEG`"


def test_unknown_components_of_old_records_keep_their_full_name():
    old = record(0, 3.0)
    old["trial"] = old["trial"] | {"algorithm": "gone[x=1]", "activation": "tanh[y=2]"}
    (row,) = rows(old)
    assert (row.setting["algorithm"], row.setting["activation"]) == ("gone[x=1]", "tanh[y=2]")

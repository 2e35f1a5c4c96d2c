"""The paper's tables and figures: what their files ask for, and what making them leaves."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
import yaml
from pictures import labels_of, write_both

from credbench import targets
from credbench.cli import main
from credbench.experiment import SETTINGS, make_experiment
from credbench.reproducing import title_of
from credbench.stopwatch import _cells
from helpers import REGISTRY

NAMES = [
    "figure4", "figure5", "table1-cifar10", "table1-fashion-mnist", "table1-imagenet",
    "table1-mnist", "table2", "table3", "timing",
]  # fmt: skip
PUBLISHED = {
    "table1-mnist": (500,), "table1-fashion-mnist": (500,), "table1-cifar10": (100, 500),
    "table1-imagenet": (100,), "table2": (100,), "table3": (100,), "figure4": (100,),
    "figure5": (500,), "timing": (),
}  # fmt: skip


def test_every_artefact_has_its_file():
    assert targets.names() == NAMES


@pytest.mark.parametrize("scale", targets.SCALES)
@pytest.mark.parametrize("name", NAMES)
def test_every_file_asks_for_what_there_is(name, scale):
    target = targets.read_target(name, scale)
    assert target.shows in targets.KINDS and target.title and target.note
    assert (target.embed >= 10) == (target.shows == "embedding")
    assert (target.repeats > 0) == (target.shows == "timing")
    for settings in target.grids:
        assert settings.keys() <= SETTINGS.keys()
        if target.shows == "timing":
            assert _cells(REGISTRY, {"epochs": "1", **settings})
            continue
        made = make_experiment(REGISTRY, settings)
        assert made.trials and not made.refused
        limits = {trial.limit_train for trial in made.trials}
        assert limits == ({2000} if scale == "quick" else {None})
    assert target.published_epochs == PUBLISHED[name]
    if scale == "paper" and name != "timing":
        assert {int(s["epochs"]) for s in target.grids} == set(target.published_epochs)
        assert not target.reduced


@pytest.mark.parametrize("scale", targets.SCALES)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "timing"])
def test_titles_say_what_falls_short_of_the_paper(name, scale):
    target = targets.read_target(name, scale)
    cells = [t for s in target.grids for t in make_experiment(REGISTRY, s).trials]
    title = title_of(target, cells)
    assert title.startswith(target.title)
    if scale == "paper":
        assert title == target.title
    else:
        published = " to ".join(map(str, PUBLISHED[name]))
        assert f"at {scale} scale" in title and f"published: {published} epochs" in title
        assert ("2,000 training images" if scale == "quick" else "all training images") in title


@pytest.fixture
def room(tmp_path, monkeypatch, capsys):
    """A folder of targets on digits, and a function that makes one and returns what it said."""
    folder = tmp_path / "targets"
    folder.mkdir()
    monkeypatch.setattr(targets, "_folder", lambda: folder)
    monkeypatch.chdir(tmp_path)

    class Room:
        path = tmp_path / "results" / "reproduced" / "quick"
        trials = tmp_path / "results" / "tiny-quick" / "trials"

        @staticmethod
        def write(**given):
            content = {
                "title": "Table 0", "shows": "table", "note": "Made for a test.",
                "dataset": "digits",
                "grids": [{"algorithm": ["backprop", "dfa"], "network": "mlp[hidden=20]"}],
                "scales": {"quick": {"limit-train": 300, "epochs": 1, "seeds": 2}},
            } | given  # fmt: skip
            content["scales"]["paper"] = {"epochs": 500}
            (folder / "tiny.yaml").write_text(yaml.safe_dump(content))

        @staticmethod
        def make(*arguments, code=0):
            monkeypatch.setattr(
                "sys.argv", ["credbench", *arguments, "--workers", "1", "--data-dir", "data"]
            )
            with pytest.raises(SystemExit) as ended:
                main()
            said = capsys.readouterr()
            assert ended.value.code == code, said.err
            return said

        def rows(self):
            return list(csv.DictReader(io.StringIO((self.path / "tiny.csv").read_text())))

        def stamps(self):
            return {p: p.stat().st_mtime_ns for p in Path("results").glob("*/trials/*.json")}

    return Room()


def test_a_table_is_run_written_and_not_run_again(room):
    room.write()
    said = room.make("reproduce", "tiny")
    assert "4 trials to run" in said.err
    found = sorted(path.name for path in room.path.iterdir())
    assert found == ["tiny.csv", "tiny.json", "tiny.md", "tiny.tex"]
    text = (room.path / "tiny.md").read_text()
    assert "Table 0, at quick scale (300 training images, 1 epoch, 2 seeds, untuned" in text
    assert "published: 500 epochs on all images" in text and "Made for a test." in text
    assert re.search(r"Command: credbench reproduce tiny", text) and "Hardware:" in text
    rows = room.rows()
    assert [row["algorithm"] for row in rows] == ["backprop", "dfa"]
    assert all(float(row["test_mean"]) < 90 and row["n"] == "2" for row in rows)
    before = room.stamps()
    assert len(before) == 4 and "to run" not in room.make("reproduce", "tiny").err
    assert room.stamps() == before


def test_what_another_experiment_has_run_is_not_run_again(room):
    room.write()
    room.make("run", "-a", "dfa", "-d", "digits", "-n", "mlp[hidden=20]", "--limit-train", "300",
              "-e", "1", "-s", "2", "--no-timing", "--name", "mine")  # fmt: skip
    assert "2 to run" in room.make("reproduce", "tiny", "--dry-run").out
    said = room.make("reproduce", "tiny")
    assert "2 trials to run" in said.err
    text = (room.path / "tiny.md").read_text()
    assert "--name mine" in text  # its command stands behind the table, too
    assert "not from a timing run" not in text
    assert all(
        row["n"] == 2 for row in json.loads((room.path / "tiny.json").read_text())[0]["rows"]
    )


def test_what_is_left_trains_as_it_would_have_at_first(room):
    """Sixteen train together and the four left over; alone, four would train one by one."""
    grid = {"algorithm": "dfa", "network": "mlp[hidden=20]", "seeds": 20}
    room.write(grids=[grid], scales={"quick": {"limit-train": 100, "epochs": 1}})
    room.make("reproduce", "tiny")
    told = {path: json.loads(path.read_text()) for path in room.trials.iterdir()}
    lost = {path: record for path, record in told.items() if record["group"] == 4}
    assert len(told) == 20 and len(lost) == 4
    for path in lost:
        path.unlink()
    room.make("reproduce", "tiny")
    for path, record in lost.items():
        again = json.loads(path.read_text())
        assert again["group"] == 4 and again["scores"] == record["scores"]
        assert again["curve"]["validation_loss"] == record["curve"]["validation_loss"]


def test_what_others_trained_is_timed_here(room):
    room.write()
    room.make("run", "-a", "backprop,dfa", "-d", "digits", "-n", "mlp[hidden=20]", "--limit-train",
              "300", "-e", "1", "-s", "2", "--no-timing", "--name", "mine")  # fmt: skip
    assert "timing 2 settings" in room.make("reproduce", "tiny").err
    assert "not from a timing run" not in (room.path / "tiny.md").read_text()
    assert "timing" not in room.make("reproduce", "tiny").err


def test_a_record_of_another_source_does_not_serve(room):
    room.write()
    room.make("reproduce", "tiny")
    for path in room.trials.iterdir():
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"source": "another"}))
    assert "4 to run" in room.make("reproduce", "tiny", "--dry-run").out


def test_cells_without_their_data_are_missing(room):
    absent = {"algorithm": "backprop", "dataset": "imagenet[size=32]", "network": "conv"}
    room.write(grids=[{"algorithm": "backprop", "network": "mlp[hidden=20]"}, absent])
    said = room.make("reproduce", "tiny")
    assert "imagenet is not in data" in said.err
    rows = room.rows()
    assert [row["n"] for row in rows] == ["2", "0"] and rows[1]["missing"] == "2"
    text = (room.path / "tiny.md").read_text()
    assert "Missing: imagenet is not in data" in text
    (line,) = [line for line in text.splitlines() if "imagenet[size=32] |" in line]
    assert line.endswith("| 0 of 2 (2 missing) |")


def test_too_few_images_are_missing_data(room):
    write_both(Path("data/mnist"), labels_of("mnist"), (28, 28))
    room.write(dataset="mnist")
    said = room.make("reproduce", "tiny", code=2)
    assert "limit-train 300: mnist has 32 training images" in said.err
    assert [row["missing"] for row in room.rows()] == ["2", "2"]
    assert "Missing: limit-train 300" in (room.path / "tiny.md").read_text()


def test_failures_are_said(room, tmp_path):
    plugin = tmp_path / "broken.py"
    plugin.write_text(
        "from credbench import Learner\n"
        "class Broken(Learner):\n"
        "    name = 'broken'\n"
        "    def updates(self, step):\n"
        "        raise ValueError('no')\n"
    )
    room.write(grids=[{"algorithm": ["backprop", "broken"], "network": "mlp[hidden=20]"}])
    said = room.make("reproduce", "tiny", "--plugin", str(plugin), code=1)
    assert "failed: ValueError: no" in said.err
    assert "2 failed" in (room.path / "tiny.md").read_text()


def test_settings_are_searched_for_once(room):
    scale = {"epochs": 1, "seeds": 2, "tune": {"draws": 2, "passes": 1, "images": 200}}
    room.write(scales={"quick": scale})
    assert "2 settings to be tuned first" in room.make("reproduce", "tiny", "--dry-run").out
    room.make("reproduce", "tiny")
    winners = yaml.safe_load(Path("results/tune-tiny-quick/tuned.yaml").read_text())["winners"]
    assert [w["budget"] for w in winners] == ["2 draws × 1 passes over 200 images"] * 2
    text = (room.path / "tiny.md").read_text()
    assert "2 seeds, tuned;" in text and "2 draws × 1 passes over 200 images" in text
    before = room.stamps()
    room.make("reproduce", "tiny")
    assert room.stamps() == before
    # A larger budget is another search, though winners of the smaller one are known.
    room.write(scales={"quick": scale | {"tune": {"draws": 3, "passes": 1, "images": 200}}})
    assert "2 settings to be tuned first" in room.make("reproduce", "tiny", "--dry-run").out


def test_what_was_tuned_stays_so_where_the_data_is_gone(room):
    write_both(Path("data/mnist"), labels_of("mnist"), (28, 28), train=30, test=20)
    scale = {"epochs": 1, "seeds": 2, "tune": {"draws": 2, "passes": 1, "images": 100}}
    room.write(dataset="mnist", scales={"quick": scale})
    room.make("reproduce", "tiny")
    first = room.rows()
    Path("data/mnist").rename("data/elsewhere")
    Path("data/MNIST").write_text("in the way of a download")
    said = room.make("reproduce", "tiny")
    assert room.rows() == first and "Missing" not in (room.path / "tiny.md").read_text()
    assert "mnist" not in said.err


def test_budgets_are_each_learners_own(room):
    """An epoch of target propagation is two passes: its budget is not that of the others."""
    scale = {"epochs": 1, "seeds": 1, "tune": {"draws": 2, "passes": 3, "images": 100}}
    grid = {"algorithm": ["backprop", "target-prop"], "network": "mlp[hidden=8]"}
    room.write(scales={"quick": scale}, grids=[grid])
    room.make("tune", "-a", "backprop", "-d", "digits", "-n", "mlp[hidden=8]", "--draws", "2",
              "--passes", "4", "--images", "100", "--name", "more")  # fmt: skip
    assert "2 settings to be tuned first" in room.make("reproduce", "tiny", "--dry-run").out
    room.make("tune", "-a", "backprop", "-d", "digits", "-n", "mlp[hidden=8]", "--draws", "2",
              "--passes", "3", "--images", "100", "--name", "same")  # fmt: skip
    assert "1 setting to be tuned first" in room.make("reproduce", "tiny", "--dry-run").out


def test_a_trial_that_ended_well_elsewhere_counts(room):
    room.write()
    room.make("reproduce", "tiny")
    path = next(room.trials.iterdir())
    record = json.loads(path.read_text())
    other = Path("results/other/trials") / path.name
    other.parent.mkdir(parents=True)
    other.write_text(path.read_text())
    failed = {k: v for k, v in record.items() if k not in ("scores", "curve", "phases")}
    path.write_text(json.dumps(failed | {"status": "failed", "reason": "no"}))
    room.make("reproduce", "tiny")
    assert [row["n"] for row in room.rows()] == ["2", "2"]


def test_a_search_without_a_result_stops_its_own_target_alone(room, tmp_path):
    plugin = tmp_path / "nan.py"
    plugin.write_text(
        "from credbench import Learner, Updates\n"
        "class Nan(Learner):\n"
        "    name = 'nan'\n"
        "    def updates(self, step):\n"
        "        a = step.forward()\n"
        "        return step.updates(a, {l: h * float('nan') for l, h in a.h.items() if l})\n"
    )
    scale = {"epochs": 1, "seeds": 1, "tune": {"draws": 2, "passes": 1, "images": 100}}
    room.write(scales={"quick": scale}, grids=[{"algorithm": "nan", "network": "mlp[hidden=8]"}])
    broken = (tmp_path / "targets" / "tiny.yaml").rename(tmp_path / "targets" / "sick.yaml")
    assert broken.exists()
    room.write()
    said = room.make("reproduce", "all", "--plugin", str(plugin), code=1)
    assert "no draw of the search came to a result" in said.err
    assert [row["n"] for row in room.rows()] == ["2", "2"]


def test_curves_and_the_last_layer_are_drawn(room):
    room.write(shows="curves")
    said = room.make("reproduce", "tiny")
    drawn = {"tiny.png", "tiny.pdf", "tiny-seconds.png", "tiny-seconds.pdf"}
    assert drawn < {path.name for path in room.path.iterdir()}
    assert all(f"Written: results/reproduced/quick/{name}" in said.out for name in drawn)
    first = {name: (room.path / name).read_bytes() for name in drawn}
    assert all(len(content) > 5000 for content in first.values())
    room.make("reproduce", "tiny")
    assert first == {name: (room.path / name).read_bytes() for name in drawn}
    scale = {"limit-train": 300, "epochs": 1, "seeds": 1, "embed": 50}
    room.write(shows="embedding", scales={"quick": scale})
    assert "2 trials to run" in room.make("reproduce", "tiny").err
    assert (room.path / "tiny.png").read_bytes() != first["tiny.png"]
    assert "to run" not in room.make("reproduce", "tiny").err


def test_a_timing_is_taken_once(room):
    room.write(shows="timing", scales={"quick": {"repeats": 2}}, dataset="digits")
    said = room.make("reproduce", "tiny")
    assert "at quick scale (2 repeats)" in said.out
    assert "× backprop" in (room.path / "tiny.md").read_text()
    (record,) = Path("results/timing").glob("*/tiny-quick.json")
    before = record.stat().st_mtime_ns
    assert room.make("reproduce", "tiny").out == said.out
    assert record.stat().st_mtime_ns == before
    room.write(shows="timing", scales={"quick": {"repeats": 3}}, dataset="digits")
    room.make("reproduce", "tiny")
    assert record.stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("figure6",), "did you mean 'figure"), (("tabel1-mnist",), "did you mean 'table1-mnist'"),
     (("table2", "--scale", "slow"), "expected one of paper, quick, standard"),
     (("table2", "--format", "xml"), "unknown format"),
     (("table2", "--workers", "0"), "workers '0'")],
)  # fmt: skip
def test_wrong_requests_are_one_line(credbench, arguments, said):
    ran = credbench("reproduce", *arguments, code=2)
    assert said in ran.stderr and ran.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_named(room, tmp_path):
    room.write()
    (tmp_path / "file").write_text("")
    assert "give --output another folder" in room.make(
        "reproduce", "tiny", "--output", str(tmp_path / "file" / "x"), code=2
    ).err  # fmt: skip


MADE = Path(__file__).parent.parent / "results" / "reproduced"


@pytest.mark.parametrize("path", sorted(MADE.glob("*/*.json")), ids=lambda path: path.stem)
def test_committed_artefacts_say_their_scale_and_lie_above_chance(path):
    (table,) = json.loads(path.read_text())
    scale = path.parent.name
    assert f"at {scale} scale" in table["experiment"]
    beside = {each.suffix for each in path.parent.glob(f"{path.stem}.*")}
    assert {".md", ".tex", ".csv", ".json"} <= beside
    for row in table["rows"]:
        if path.stem == "timing":
            assert row["step_seconds"] > 0
        elif row["n"] == 0:
            assert row.get("dataset", "imagenet").startswith("imagenet") and row["missing"] > 0
        else:
            assert row["test_mean"] < 89 and not row["failed"] and not row["diverged"]

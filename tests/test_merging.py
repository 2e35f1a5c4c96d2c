"""Records of several machines in one folder: nothing lost, nothing overwritten, conflicts named."""

import json
import shutil

import pytest
from trials import ENVIRONMENT, record, seeds, write

from credbench import winners
from credbench.errors import CredbenchError, RequestError
from credbench.merging import merge_folders
from credbench.store import Store

HERE, THERE = seeds("dfa", [2.0, 3.0, 4.0]), [record("dfa", 5, 2.5), record("backprop", 0, 1.0)]


@pytest.fixture
def machines(tmp_path):
    """Two results folders with trials of one experiment, and one of their own each."""
    a, b = tmp_path / "a", tmp_path / "b"
    write(a, "both", HERE)
    write(b, "both", THERE, ENVIRONMENT | {"processor": "another"})
    write(a, "first", HERE[:1])
    write(b, "second", THERE[:1])
    return a, b


def merged(tmp_path, capsys, *folders, prefer=None, code=0):
    """Merge into `out`; return the counts of each experiment, and what was told."""
    found = merge_folders(folders, tmp_path / "out", prefer, "json")
    out, told = capsys.readouterr()
    assert found == code, told
    return {row["experiment"]: row for row in json.loads(out)}, told


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def put(folder, name, changed):
    Store(folder, name).write_trial(changed)
    return folder / name / "trials" / f"{changed['id']}.json"


def test_trials_plans_and_environments_come_together(machines, tmp_path, capsys):
    counts, told = merged(tmp_path, capsys, *machines)
    assert {name: row["added"] for name, row in counts.items()} == {
        "both": 5, "first": 1, "second": 1,
    }  # fmt: skip
    assert told == ""
    store = Store(tmp_path / "out", "both")
    records = store.trials()
    assert set(records) == {r["id"] for r in (*HERE, *THERE)} == set(store.planned({}))
    assert {r["environment"] for r in records.values()} == set(store.environments())
    for machine in machines:
        for path, text in content(machine).items():
            assert (tmp_path / "out" / path).read_bytes() == text
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_merging_again_changes_nothing(machines, tmp_path, capsys):
    merged(tmp_path, capsys, *machines)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in tmp_path.rglob("*.json")}
    counts, _ = merged(tmp_path, capsys, *machines)
    assert (counts["both"]["added"], counts["both"]["duplicates"]) == (0, 5)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in tmp_path.rglob("*.json")} == before


def test_the_same_content_spelled_otherwise_is_a_duplicate(machines, tmp_path, capsys):
    path = machines[0] / "both/trials" / f"{HERE[0]['id']}.json"
    shutil.copytree(machines[0], tmp_path / "out")
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7))
    counts, _ = merged(tmp_path, capsys, machines[0])
    assert counts["both"]["duplicates"] == 3 and counts["both"]["conflicts"] == 0


@pytest.mark.parametrize("prefer, kept, code", ((None, 0, 1), ("first", 0, 0), ("last", 1, 0)))
def test_a_conflict_is_named_and_settled_as_asked(
    machines, tmp_path, capsys, prefer, kept, code
):  # fmt: skip
    mine = machines[0] / "both/trials" / f"{HERE[0]['id']}.json"
    other = put(machines[1], "both", HERE[0] | {"seconds": 9.0, "load": 3.0})
    before = content(machines[0]), content(machines[1])
    for added in (5, 0):  # the second time from what is merged already
        counts, told = merged(tmp_path, capsys, *machines, prefer=prefer, code=code)
        assert counts["both"]["added"] == added and counts["both"]["conflicts"] >= 1
        assert f"{other} differ in environment, load, seconds: kept is" in told
        assert ("--prefer" in told) == (prefer is None)
        out = tmp_path / "out/both/trials" / mine.name
        assert out.read_bytes() == (mine, other)[kept].read_bytes()
    assert before == (content(machines[0]), content(machines[1]))


def test_what_is_there_already_is_the_first(machines, tmp_path, capsys):
    changed = HERE[0] | {"status": "diverged", "reason": "not finite"}
    there = put(tmp_path / "out", "both", changed)
    counts, told = merged(tmp_path, capsys, *machines, code=1)
    assert json.loads(there.read_text())["status"] == "diverged"
    assert (counts["both"]["conflicts"], counts["both"]["added"]) == (1, 4)
    assert f"{there} and " in told and "differ in status, reason" in told
    counts, _ = merged(tmp_path, capsys, *machines, prefer="last")
    assert counts["both"]["replaced"] == 1
    assert json.loads(there.read_text())["status"] == "done"


def test_what_is_there_and_corrupt_is_set_aside_and_what_is_newer_stays(machines, tmp_path, capsys):
    corrupt, newer = (put(tmp_path / "out", "both", each) for each in HERE[:2])
    corrupt.write_text("{")
    newer.write_text(later := newer.read_text().replace('"format": 1', '"format": 2'))
    _, told = merged(tmp_path, capsys, *machines, code=1)
    assert json.loads(corrupt.read_text())["status"] == "done" and newer.read_text() == later
    assert corrupt.with_name(f"{corrupt.name}.corrupt").read_text() == "{"
    assert f"is set aside as {corrupt.name}.corrupt" in told and "format 2" in told


@pytest.mark.parametrize("prefer", (None, "first", "last"))
def test_a_failed_trial_gives_way_to_a_finished_one(machines, tmp_path, capsys, prefer):
    failed = {"status": "failed", "reason": "no memory"}
    put(tmp_path / "out", "both", HERE[0] | failed)
    put(machines[1], "both", HERE[1] | failed)
    put(tmp_path / "out", "both", HERE[2] | failed | {"reason": "no disk"})
    put(machines[0], "both", HERE[2] | failed)
    counts, told = merged(tmp_path, capsys, *machines, prefer=prefer)
    found = Store(tmp_path / "out", "both").trials()
    assert [found[r["id"]]["status"] for r in HERE] == ["done", "done", "failed"]
    assert found[HERE[2]["id"]]["reason"] == "no disk"
    assert (counts["both"]["replaced"], counts["both"]["failed_left_out"]) == (1, 3) and not told


def test_timings_of_another_machine_are_no_conflict(machines, tmp_path, capsys):
    timing = {"setting": ["dfa"], "device": "cpu", "source": "s", "environment": "e", "loads": []}
    for machine, seconds in zip(machines, ([1.0], [2.0]), strict=True):
        Store(machine, "both").write_timing({**timing, "epoch_seconds": seconds})
    counts, told = merged(tmp_path, capsys, *machines)
    (kept,) = Store(tmp_path / "out", "both").timings().values()
    assert kept["epoch_seconds"] == [1.0] and told == ""
    assert (counts["both"]["timings_left_out"], counts["both"]["conflicts"]) == (1, 0)


def test_broken_files_are_named_and_left_out(machines, tmp_path, capsys):
    folder = machines[0] / "both/trials"
    (folder / "half.json").write_text('{"format": 1, "id"')
    (folder / "other.json").write_text(json.dumps(THERE[0]))
    (machines[1] / "both/plans/odd.json").write_text("[]")
    whole = folder / f"{HERE[0]['id']}.json"
    broken = tmp_path / "out/both/trials" / whole.name
    broken.parent.mkdir(parents=True)
    broken.write_text("")
    counts, told = merged(tmp_path, capsys, *machines, code=1)
    for words in (f"{folder}/half.json cannot be read", "other.json is not named by its id",
                  "odd.json cannot be read", f"{broken} cannot be read"):  # fmt: skip
        assert words in told
    assert counts["both"]["added"] == 5 and broken.read_bytes() == whole.read_bytes()
    assert broken.with_name(f"{broken.name}.corrupt").exists()
    assert sorted(p.stem for p in broken.parent.glob("*.json")) == sorted(
        r["id"] for r in (*HERE, *THERE)
    )


def winner(algorithm, lr):
    keys = ("dataset", "activation", "network", "optimizer", "init", "batch-size", "clip-norm")
    return {
        "setting": {"algorithm": algorithm} | dict.fromkeys(keys, "x"), "algorithm": algorithm,
        "optimizer": f"adam[lr={lr}]", "budget": "12 draws", "seed": 7, "made": {},
    }  # fmt: skip


def test_tuned_settings_are_united_and_their_conflicts_named(machines, tmp_path, capsys):
    for machine, entries in zip(
        machines, ([("dfa", 1), ("fa", 1)], [("dfa", 2), ("backprop", 1)]), strict=True
    ):
        winners.add(machine / "both/tuned.yaml", [winner(*entry) for entry in entries])
    for prefer, kept in ((None, "adam[lr=1]"), ("last", "adam[lr=2]")):
        counts, told = merged(tmp_path, capsys, *machines, prefer=prefer, code=prefer is None)
        found = winners.read(tmp_path / "out/both/tuned.yaml").values()
        assert [(e["algorithm"], e["optimizer"]) for e in found] == [
            ("dfa", kept), ("fa", "adam[lr=1]"), ("backprop", "adam[lr=1]"),
        ]  # fmt: skip
        assert "differ in the winner for dfa" in told and counts["both"]["conflicts"] >= 1


@pytest.mark.parametrize(
    "folders, words",
    [
        (("out",), "is where records go"),
        (("a", "nowhere"), "nowhere is not a folder"),
        (("a", "empty"), "empty holds no experiments"),
        (("a/both",), "is an experiment: give the results folder that holds it"),
    ],
)
def test_folders_that_cannot_be_merged_stop_it_before_it_starts(
    machines, tmp_path, folders, words
):  # fmt: skip
    (tmp_path / "empty").mkdir()
    (tmp_path / "out").mkdir()
    with pytest.raises(RequestError, match=words):
        merge_folders([tmp_path / f for f in folders], tmp_path / "out", None, "json")
    assert not list((tmp_path / "out").iterdir())


def test_a_disk_that_fills_up_is_told_and_leaves_whole_files(machines, tmp_path, monkeypatch):
    import credbench.merging
    from credbench.store import write_json

    left = [3]

    def write_until_full(path, what):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device", str(path))
        write_json(path, what)

    monkeypatch.setattr(credbench.merging, "write_json", write_until_full)
    with pytest.raises(CredbenchError, match=r"No space left on device.*goes on from there"):
        merge_folders(machines, tmp_path / "out", None, "json")
    assert len(Store(tmp_path / "out", "both").trials()) == 3


def test_the_command_merges_and_the_table_is_of_all(machines, tmp_path, credbench):
    ran = credbench("merge", *machines, "--results-dir", "out")
    assert "both: 5 added\n" in ran.stdout and ran.stdout.endswith("Merged into out\n")
    table = json.loads(
        credbench("table", "both", "--results-dir", "out", "--format", "json").stdout
    )
    assert {row["algorithm"]: row["n"] for row in table[0]["rows"]} == {"dfa": 4, "backprop": 1}
    put(machines[1], "both", HERE[0] | {"seconds": 9.0})
    again = credbench("merge", *machines, "--results-dir", "out", code=1)
    assert "5 duplicates, 1 conflicts" in again.stdout and "credbench: conflict: " in again.stderr
    assert (
        "expected one of first, last"
        in credbench("merge", "a", "--results-dir", "out", "--prefer", "newest", code=2).stderr
    )

"""The installed command, used as a researcher would, in an empty folder."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from credbench.randomness import STREAMS
from helpers import ALGORITHMS, REGISTRY

SMALL = ("-n", "mlp[hidden=16]", "-e", "2", "--limit-train", "200", "--device", "cpu")


def rows(ran):
    (table,) = json.loads(ran.stdout)
    return table["rows"]


def test_a_run_ends_in_a_table_and_runs_only_what_is_missing(credbench, tmp_path):
    first = credbench("run", "-a", "backprop,dfa", "-s", "2", *SMALL)
    for words in ("backprop", "dfa", "valid.", "F1", "s/epoch", "results/digits/trials"):
        assert words in first.stdout
    assert "4/4 " in first.stderr and "\x1b" not in first.stdout + first.stderr
    trials = tmp_path / "results/digits/trials"
    before = {p: p.stat().st_mtime_ns for p in trials.iterdir()}
    assert len(before) == 4
    again = credbench("run", "-a", "backprop,dfa", "-s", "2", *SMALL)
    assert again.stdout == first.stdout and again.stderr == ""
    credbench("run", "-a", "backprop,dfa", "-s", "3", *SMALL)
    after = {p: p.stat().st_mtime_ns for p in trials.iterdir()}
    assert len(after) == 6 and before.items() <= after.items()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Records of two settings, one of which diverges in every seed, and another experiment."""
    import os
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("results")
    program = Path(sys.executable).with_name("credbench")
    for arguments, code in (
        (("-a", "backprop", "-f", "sign,identity", "-o", "sgd[lr=0.1|1e20]", "-s", "2"), 1),
        (("-a", "rec-lra", "--name", "other", "-s", "1"), 0),
    ):
        ran = subprocess.run(
            [program, "run", *arguments, *SMALL], cwd=folder, capture_output=True, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert ran.returncode == code, ran.stderr
    (folder / "stderr").write_text(ran.stderr)
    return folder


def test_divergence_is_recorded_and_told(results, credbench):
    ran = credbench("run", "-a", "backprop", "-f", "identity", "-o", "sgd[lr=0.1|1e20]", "-s", "2",
                    *SMALL, cwd=results, code=1)  # fmt: skip
    told = [line for line in ran.stderr.splitlines() if "diverged" in line]
    assert len(told) == 2 and "seed 1 diverged: not finite after epoch 1" in told[1]
    table = rows(credbench("table", "digits", "--format", "json", cwd=results))
    wild = [row for row in table if row["diverged"]]
    assert {(r["activation"], r["n"], r["test_mean"]) for r in wild} >= {("identity", 0, None)}
    calm = next(r for r in table if r["activation"] == "identity" and not r["diverged"])
    assert calm["n"] == 2 and 0 < calm["test_mean"] < 100 and calm["test_half_width"] >= 0


def test_status_counts_and_names(results, credbench):
    ran = credbench("status", "--format", "json", cwd=results)
    digits, other = json.loads(ran.stdout)
    assert (digits["experiment"], digits["trials"]) == ("digits", 8)
    assert digits["done"] + digits["diverged"] == 8 and digits["diverged"] >= 2
    assert (other["done"], other["missing"], other["stale"]) == (1, 0, 0)
    text = credbench("status", "digits", cwd=results).stdout
    assert "8 trials" in text and "not finite after epoch 1" in text


@pytest.mark.parametrize("format", ("table", "md", "latex", "csv", "json"))
def test_tables_in_every_format_mark_surrogates_and_divergence(results, credbench, format):
    text = credbench("table", "digits", "--format", format, cwd=results).stdout
    assert "straight-through" in text and "diverged" in text
    if format == "md":
        body = [line for line in text.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in body}) == 1 and "backprop†" in text
    if format == "latex":
        assert r"\toprule" in text and r"backprop\dag{}" in text and "±" not in text
    if format == "csv":
        import csv
        import io

        parsed = list(csv.DictReader(io.StringIO(text)))
        assert len(parsed) == 4 and {r["experiment"] for r in parsed} == {"digits"}


def test_one_row_a_trial(results, credbench):
    text = credbench("table", "digits", "--trials", "--format", "csv", cwd=results).stdout
    lines = text.splitlines()
    assert len(lines) == 9 and lines[0].startswith("experiment,id,algorithm,dataset,")
    listed = json.loads(credbench("table", "--trials", "--format", "json", cwd=results).stdout)
    assert len(listed) == 9 and {t["status"] for t in listed} == {"done", "diverged"}
    ran = credbench("table", "--trials", cwd=results, code=2)
    assert "expected csv or json" in ran.stderr


def test_table_without_a_name_shows_every_experiment(results, credbench):
    tables = json.loads(credbench("table", "--format", "json", cwd=results).stdout)
    assert [t["experiment"] for t in tables] == ["digits", "other"]


def test_a_record_holds_what_made_it(results):
    path = next((results / "results/other/trials").glob("*.json"))
    record = json.loads(path.read_text())
    assert record["id"] == path.stem and record["status"] == "done" and record["group"] == 1
    assert record["trial"]["algorithm"] == (
        "rec-lra[beta=0.1,gamma=1.0,sigma=0.05,rule=transpose,l2=1.0,l2_skip=1.0,gap=2,"
        "inside=local]"
    )
    assert record["trial"]["optimizer"].startswith("adam[lr=0.0002,")
    assert set(record["streams"]) == set(STREAMS) and len(set(record["streams"].values())) == 5
    assert record["parameters"] == 64 * 16 + 16 + 160 + 10 and record["feedback"] == 160
    assert all(len(values) == 2 for values in record["curve"].values())
    where = results / "results/other/environments" / f"{record['environment']}.json"
    environment = json.loads(where.read_text())
    assert environment["command"].startswith("credbench run -a rec-lra --name other")
    assert environment["packages"]["torch"] and environment["processor"]


def test_a_file_and_options_over_it(credbench, tmp_path):
    file = tmp_path / "my-experiment.yaml"
    file.write_text(
        "algorithm: [backprop, 'rec-lra[beta=0.1|0.5]']\nactivation: tanh,sign\nseeds: 2\n"
        "epochs: 3\nclip-norm: null\nbatch_size: 16\noptimizer: adam[lr=2e-4]\n"
    )
    ran = credbench("run", file, "--dry-run", "-e", "7", "--format", "json")
    plan = json.loads(ran.stdout)
    assert len(plan) == 3 * 2 * 2 and not (tmp_path / "results").exists()
    assert {t["epochs"] for t in plan} == {7} and {t["batch_size"] for t in plan} == {16}
    text = credbench("run", file, "--dry-run").stdout
    assert "12 trials in results/my-experiment, 12 to run" in text


def test_every_axis_takes_lists_grids_and_all(credbench):
    ran = credbench(
        "run", "--dry-run", "--format", "json", "-a", "all", "-d", "mnist,fashion-mnist",
        "-f", "tanh,lrelu[slope=0.1|0.2]", "-n", "mlp[hidden=256x3|8]", "-o", "sgd,adam[lr=1e-3]",
        "--init", "all", "-b", "32,64", "--clip-norm", "none,1", "-s", "2", "-e", "20",
    )  # fmt: skip
    plan = json.loads(ran.stdout)
    axes = len(ALGORITHMS) * 2 * 3 * 2 * 2 * len(REGISTRY.names("initializer")) * 2 * 2 * 2
    assert len(plan) == axes == len({t["id"] for t in plan})


@pytest.mark.parametrize(
    "text, seeds", [("3", [0, 1, 2]), ("3,7", [3, 7]), ("7,", [7]), ("10-12,0", [10, 11, 12, 0])]
)
def test_seeds(credbench, text, seeds):
    ran = credbench("run", "--dry-run", "-a", "fa", "-s", text, "--format", "json")
    assert [t["seed"] for t in json.loads(ran.stdout)] == seeds


def test_list_and_describe(credbench):
    found = json.loads(credbench("list", "--format", "json").stdout)
    assert {e["name"] for e in found["algorithms"]} == set(ALGORITHMS)
    assert "mlp" in credbench("list", "networks").stdout
    known = json.loads(credbench("describe", "rec-lra", "--format", "json").stdout)
    assert "2002.03911" in known["paper"] and not known["capabilities"]["needs_derivative"]
    beta = next(p for p in known["parameters"] if p["name"] == "beta")
    assert (beta["default"], beta["expected"]) == ("0.1", "a number above 0")
    assert beta["source"] and beta["search"] == "0.01 to 1, log"
    for name in ("dfa", "mnist", "sign", "mlp", "adam", "glorot"):
        assert name in credbench("describe", name).stdout


def test_describe_counts_a_networks_parameters_and_the_feedback_beside_it(credbench):
    ran = credbench("describe", "mlp[hidden=16x3]", "--format", "json")
    known = json.loads(ran.stdout)
    assert known["trainable"] == 784 * 16 + 2 * 256 + 160 + 3 * 16 + 10
    assert known["feedback"]["backprop"] == 0
    assert known["feedback"]["dfa"] == 3 * 16 * 10
    assert known["feedback"]["fa"] == known["feedback"]["lra-e"] == 2 * 256 + 160
    assert (
        "target-prop"
        not in json.loads(credbench("describe", "res-mlp", "--format", "json").stdout)["feedback"]
    )


def test_describe_counts_what_a_step_takes_by_depth(credbench):
    """Kernels do not change with depth but for the forward pass; multiply-adds are of products."""
    known = {
        name: json.loads(credbench("describe", name, "--format", "json").stdout)
        for name in ("backprop", "rec-lra[gap=1]", "lra-e")
    }
    slopes = {k: float(v["kernels"].split(" + ")[1].split()[0]) for k, v in known.items()}
    assert slopes["rec-lra[gap=1]"] < slopes["backprop"] < slopes["lra-e"]
    forward, update = 32 * 256 * 256, 32 * 256 * 256
    expected = (2 * forward + update) / 1e6
    assert known["backprop"]["multiply-adds"].endswith(f"+ {expected:.1f} L million")
    assert all("MiB" in each["memory"] for each in known.values())


def test_what_is_not_defined_is_not_applicable(credbench, tmp_path):
    networks = "res-mlp[hidden=8x3],mlp[hidden=8x3]"
    given = ("-a", "target-prop,fa", "-n", networks, "-s", "2", "-e", "1", "--no-timing")
    plan = credbench("run", *given, "--dry-run").stdout
    assert plan.count("n/a     target-prop") == 2 and "6 trials in results/digits, 6 to run" in plan
    cells = json.loads(credbench("run", *given, "--dry-run", "--format", "json").stdout)
    assert [bool(cell["not_applicable"]) for cell in cells] == [True] * 2 + [False] * 6
    ran = credbench("run", *given, "--format", "json")
    table = {(row["algorithm"], row["network"]): row for row in rows(ran)}
    refused = table["target-prop", "res-mlp[hidden=8x3]"]
    assert "read one activity" in refused["not_applicable"] and refused["test_mean"] is None
    assert table["target-prop", "mlp[hidden=8x3]"]["n"] == 2
    shown = credbench("table").stdout
    assert "not applicable" in shown and "Not applicable: target-prop on res-mlp" in shown
    assert (
        "6 done" in credbench("status").stdout and "2 not applicable" in credbench("status").stdout
    )
    alone = credbench("run", "-a", "target-prop", "-n", "res-mlp", code=2).stderr
    assert "not applicable: target-prop on res-mlp" in alone and alone.count("\n") == 1


README = Path(__file__).parent.parent / "README.md"


def test_the_readmes_plugin_joins_list_and_table(credbench, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    (source,) = (b for b in blocks if "(Learner)" in b)
    assert len(source.splitlines()) < 40
    plugin = tmp_path / "drtp.py"
    plugin.write_text(source, encoding="utf-8")
    assert "drtp" in credbench("list", "algorithms", "--plugin", plugin).stdout
    assert "1909.01311" in credbench("describe", "drtp", "--plugin", plugin).stdout
    given = ("-a", "drtp,backprop", "-s", "2", "--plugin", plugin, *SMALL, "-e", "20",
             "-o", "adam[lr=3e-3]", "--format", "json")  # fmt: skip
    ran = credbench("run", *given, "--workers", "2")
    table = {row["algorithm"]: row for row in rows(ran)}
    assert table["drtp"]["n"] == 2 and table["drtp"]["test_mean"] < 60
    ran = credbench("run", *given, "--replicas", "2", "--name", "group")
    grouped = {row["algorithm"]: row for row in rows(ran)}
    assert grouped["drtp"]["group"] == 2 and table["drtp"]["group"] == 1
    assert grouped["drtp"]["test_mean"] == pytest.approx(table["drtp"]["test_mean"], abs=2)
    on_maps = ("-a", "drtp", "-n", "conv[filters=4c3s2,dense=none]", "-s", "1", "-e", "1")
    credbench("run", *on_maps, "--plugin", plugin, "--no-timing", "--name", "maps")


def test_a_changed_algorithm_is_stale_and_a_comment_is_no_change(credbench, tmp_path):
    plugin = tmp_path / "mine.py"
    source = (
        "from credbench.algorithms.backprop import Backprop\n"
        "class Mine(Backprop):\n    name = 'mine'\n"
    )
    plugin.write_text(source)
    given = ("-a", "mine", "-s", "1", "--plugin", plugin, *SMALL)

    def stale():
        ran = credbench("status", "--plugin", plugin, "--format", "json")
        return json.loads(ran.stdout)[0]["stale"]

    credbench("run", *given)
    plugin.write_text("# a comment\n\n" + source.replace("class", "\nclass"))
    assert stale() == 0
    plugin.write_text(source + "    version = 2\n")
    assert stale() == 1
    assert "1 trial to run" in credbench("run", *given).stderr
    assert stale() == 0


def test_a_change_in_what_an_algorithm_inherits_is_one_of_its_own(tmp_path):
    base, heir = tmp_path / "base.py", tmp_path / "heir.py"
    base.write_text(
        "from credbench import Learner\nclass Base(Learner):\n    name = 'base'\n"
        "    def updates(self, step):\n        return None\n"
    )
    heir.write_text("from base import Base\nclass Heir(Base):\n    name = 'heir'\n")
    program = (
        "import sys; sys.path.insert(0, '.')\nimport base, heir\n"
        "from credbench.versions import source_hash\n"
        "from credbench.algorithms.backprop import Backprop\n"
        "print(source_hash(base.Base), source_hash(heir.Heir), source_hash(Backprop))"
    )

    def hashes():
        ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True,
                             text=True, check=True)  # fmt: skip
        return ran.stdout.split()

    before = hashes()
    base.write_text(base.read_text().replace("None", "'other'"))
    after = hashes()
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]


def test_a_failing_trial_is_a_record_and_the_others_go_on(credbench, tmp_path):
    plugin = tmp_path / "broken.py"
    plugin.write_text(
        "from credbench import Learner\nclass Broken(Learner):\n    name = 'broken'\n"
        "    def updates(self, step):\n        raise ValueError('no rule yet')\n"
    )
    ran = credbench("run", "-a", "broken,dfa", "-s", "1", "--plugin", plugin, *SMALL, code=1)
    assert "broken" in ran.stderr and "ValueError: no rule yet (broken.py, line 5)" in ran.stderr
    assert "0 of 1 (1 failed)" in ran.stdout
    counts = json.loads(credbench("status", "--format", "json").stdout)[0]
    assert (counts["failed"], counts["done"]) == (1, 1)
    again = credbench("run", "-a", "broken,dfa", "-s", "1", "--plugin", plugin, *SMALL, code=1)
    assert "to run" not in again.stderr
    retried = ("run", "-a", "broken,dfa", "-s", "1", "--plugin", plugin, *SMALL, "--retry-failed")
    assert "1 trial to run" in credbench(*retried, code=1).stderr


QUICK = (
    ("--help",),
    ("run", "--help"),
    ("--show-completion",),
    ("run", "-a", "bakprop"),
    ("run", "-a", "rec-lra[bta=1]"),
    ("run", "--algoritm", "x"),
    ("list",),
    ("describe", "mnist"),
    ("run", "--dry-run"),
)


@pytest.mark.parametrize("arguments", QUICK)
def test_answers_that_need_no_torch_do_not_import_it(arguments, monkeypatch, capsys):
    """Timing is left to the eye (0.2 to 0.3 s); what makes it possible is tested."""
    import subprocess
    import sys

    code = (
        "import sys; from credbench.cli import main\n"
        f"sys.argv = ['credbench', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_help_is_quick(credbench):
    """The best of five, against a bound with room for a busy machine."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        credbench("--help")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.6

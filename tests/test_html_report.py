"""The HTML report: what it says against the records, and what a browser does with it."""

import base64
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import browser
import numpy as np
import pytest

from credbench.report.html import render, sheet
from credbench.report.lines import MOST_LINES, MOST_POINTS, panels
from credbench.report.matrices import matrices
from credbench.report.summary import Speller
from credbench.reporting import write_report
from credbench.staleness import present_source
from helpers import REGISTRY

WILD = "<script>alert(1)</script>"
SPELL = Speller(REGISTRY)
ENVIRONMENT = {
    "command": f"credbench run -a 'dfa,{WILD}'", "device": "cpu", "accelerator": None,
    "processor": "a processor", "cores": 2, "workers": 1, "threads": 1, "python": "3.11",
    "packages": {"torch": "2.11", "credbench": "0.1.0"}, "git": {"commit": "abc", "clean": True},
}  # fmt: skip
HASH = hashlib.sha256(json.dumps(ENVIRONMENT, sort_keys=True).encode()).hexdigest()[:16]
MEASURES = ("training_error", "training_loss", "validation_error", "validation_loss")


def curve(values):
    return {"seconds": [1.0] * len(values)} | dict.fromkeys(MEASURES, values)


def record(algorithm, seed=0, values=(9.0, 5.0), error=5.0, status="done", reason="", **trial):
    """One trial's record, as a run would write it."""
    arguments = {
        "algorithm": algorithm, "dataset": "digits", "activation": "tanh",
        "network": "mlp[hidden=256x3]", "optimizer": "sgd[lr=0.1]", "init": "gaussian[sigma=0.05]",
        "batch_size": 32, "epochs": len(values), "clip_norm": None, "limit_train": None,
    }  # fmt: skip
    measures = {"error": error, "precision": 90.0, "recall": 91.0, "f1": 90.5}
    arguments |= {**trial, "seed": seed}
    text = json.dumps(arguments)
    facts = {
        "format": 1, "id": hashlib.sha256(text.encode()).hexdigest()[:16], "trial": arguments,
        "status": status, "reason": reason, "surrogate": "",
        "source": present_source(arguments, REGISTRY, unknown="s"),
        "environment": HASH, "load": 1.0, "group": 1, "device": "cpu",
    }  # fmt: skip
    if status == "failed":
        return facts
    facts |= {"curve": curve(list(values)), "phases": ["train"]}
    if status == "done":
        facts |= {
            "scores": dict.fromkeys(("train", "validation", "test"), measures),
            "confusion": [[8, seed], [1, 9]],
        }
    return facts


def store(results, name, records):
    plan = {"trials": {each["id"]: each["trial"] for each in records}}
    files = {"plans": [plan], "trials": records, "environments": [ENVIRONMENT]}
    for kind, contents in files.items():
        folder = results / name / kind
        folder.mkdir(parents=True)
        for content in contents:
            (folder / f"{content.get('id', HASH)}.json").write_text(json.dumps(content))


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text in each kind."""

    def __init__(self, page):
        super().__init__()
        self.found, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.lasttag in ("script", "style") and data.strip():
            self.texts.append((self.lasttag, data))


def test_data_cannot_leave_its_element():
    content = {"name": f"</script>{WILD}<!--<script>", "odd": "\ud800\u2028&amp;]]>"}
    elements = Elements(render(content))
    assert [tag for tag, _ in elements.found].count("script") == 2
    data, _ = (text for tag, text in elements.texts if tag == "script")
    assert "<" not in data and json.loads(data) == content


def test_only_the_pages_own_script_and_style_may_run():
    elements = Elements(render({}))
    (policy,) = (a["content"] for _, a in elements.found if "http-equiv" in a)
    style, _, script = (text for _, text in elements.texts)
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_a_percent_sign_stays_with_its_number():
    shown = sheet(["error %"], [["2.3 (2.1 to 2.5) %", "9 % of it"]], 0, ["below 45 %"])
    assert shown["cells"] == [["2.3 (2.1 to 2.5)\xa0%", "9\xa0% of it"]]
    assert shown["notes"] == ["below 45\xa0%"] and shown["headings"] == ["error %"]


def test_the_page_refers_to_nothing_outside():
    page = render({})
    assert not re.search(r"https?:|//\w+\.|@import|url\(|innerHTML|\beval\b|fetch\(", page)
    links = [a.get("href") or a.get("src") for _, a in Elements(page).found]
    assert [link for link in links if link] == ["#main"]


def test_published_numbers_stand_beside_measured_ones_where_there_are_any(tmp_path):
    known = {"dataset": "mnist", "network": "mlp[hidden=256x5]"}
    store(tmp_path, "one", [record("dfa", **known), record("lra-diff", **known)])
    store(tmp_path, "two", [record("dfa")])
    page = write_report(REGISTRY, tmp_path, None, None)
    one, two = (
        each["table"] for each in json.loads(Elements(page.read_text()).texts[1][1])["experiments"]
    )
    place = one["headings"].index("published %")
    found = {cells[0]: cells[place : place + 2] for cells in one["cells"]}
    assert found == {"dfa": ["2.75 [1]", "+2.25"], "lra-diff": ["—", "—"]}
    assert one["notes"][0].startswith("[1] arXiv 2002.03911, Table 1")
    assert not any("Command: " in note for note in one["notes"])
    assert "published %" not in two["headings"]


def test_lines_are_means_and_ranges_over_seeds():
    random.seed(0)
    values = [[random.uniform(1, 9) for _ in range(4)] for _ in range(3)]
    found = panels([record("dfa", k, each) for k, each in enumerate(values)], SPELL)
    (line,) = found[0]["lines"]
    drawn = line["measures"]["validation-error"]
    assert line["n"] == 3 and drawn["epochs"] == [1, 2, 3, 4] and drawn["ends"] == []
    for key, of in (("mean", np.mean), ("low", np.min), ("high", np.max)):
        np.testing.assert_allclose(drawn[key], of(values, axis=0), rtol=1e-3)


def test_a_diverged_trial_ends_with_a_cross():
    whole, broken = record("dfa", 0, [9.0, 8.0, 7.0]), record("dfa", 1, [5.0, None, None])
    ((line,),) = (p["lines"] for p in panels([whole, broken | {"status": "diverged"}], SPELL))
    drawn = line["measures"]["validation-error"]
    assert drawn["mean"] == [7.0, 8.0, 7.0] and drawn["ends"] == [[1, 5.0]]


def test_long_curves_are_thinned_to_their_ends():
    ((line,),) = (p["lines"] for p in panels([record("dfa", 0, np.arange(1.0, 1001))], SPELL))
    drawn = line["measures"]["training-loss"]
    assert len(drawn["epochs"]) == len(set(drawn["epochs"])) == MOST_POINTS
    assert (drawn["epochs"][0], drawn["epochs"][-1]) == (1, 1000)
    assert drawn["mean"][-1] == 1000


def test_of_many_lines_the_best_are_drawn():
    errors = [float(k % 150) + 1 for k in range(0, 150 * 7, 7)]
    many = [record("dfa", 0, [e, e], batch_size=k + 1) for k, e in enumerate(errors)]
    (panel,) = panels(many, SPELL)
    lasts = [line["measures"]["validation-error"]["mean"][-1] for line in panel["lines"]]
    assert sorted(lasts) == sorted(errors)[:MOST_LINES]
    assert panel["left_out"] == 150 - MOST_LINES
    assert panel["lines"][0]["label"] == "dfa, batch size 1"


def test_matrices_are_means_over_seeds():
    odd = record("fa") | {"confusion": [[1, 2], "x"]}
    found = matrices([record("dfa", k) for k in range(4)] + [odd], SPELL)
    assert found == [{"label": "dfa", "n": 4, "classes": 2, "counts": [[8, 1.5], [1, 9]]}]


def test_of_many_classes_the_most_frequent_confusions_are_shown():
    counts = np.diag([50] * 30)
    counts[3, 7], counts[29, 0] = 5, 6
    (found,) = matrices([record("dfa") | {"confusion": counts.tolist()}], SPELL)
    assert found["pairs"] == [[29, 0, 6], [3, 7, 5]] and "counts" not in found


def test_the_command_writes_where_asked(credbench, tmp_path):
    store(tmp_path / "results", "one", [record("dfa")])
    store(tmp_path / "results", "two", [record("fa")])
    timing = tmp_path / "results/timing/machine"
    timing.mkdir(parents=True)
    (timing / "broken.json").write_text('{"rows": [{}]}')
    (tmp_path / "results/one/environments/lost.json").write_text("{}")
    ran = credbench("report")
    assert ran.stdout.strip() == "results/report.html"
    for file in ("broken", "lost"):
        assert ran.stderr.count(f"{file}.json cannot be read") == 1
    assert credbench("report", "one", "--output", "p/q.html").stdout.strip() == "p/q.html"
    both, one = ((tmp_path / p).read_text() for p in ("results/report.html", "p/q.html"))
    assert '"name":"two"' in both and '"name":"one"' in one and '"name":"two"' not in one
    ran = credbench("report", "--output", "results", code=2)
    assert "give another --output" in ran.stderr
    assert "unknown experiment" in credbench("report", "tow", code=2).stderr


def test_what_the_page_says_is_what_records_say(report):
    content = json.loads(Elements(report.read_text()).texts[1][1])
    (_, first, _), summary = content["experiments"], content["summary"]
    assert summary["headings"] == [
        "experiment", "hardware", "trials", "done", "failed", "diverged", "settings", "n a setting"
    ]  # fmt: skip
    assert summary["cells"][1] == [
        "first", "2 cores of a processor", "11", "9", "1", "1", "5", "0 to 3"
    ]  # fmt: skip
    assert first["commands"] == [ENVIRONMENT["command"]]
    assert ["commit", "abc"] in first["environments"][0]["facts"]
    assert ["trials", "11"] in first["environments"][0]["facts"]
    times = {row[0]: row[-6:] for row in first["seconds"]["cells"]}
    assert times["dfa"] == ["1", "1", "1", "1", "1", "1"] and len(times) == 3
    errors = {(row[0], row[-4]): row[-1] for row in first["trials"]["cells"]}
    assert len(errors) == 11
    assert errors["dfa", "2"] == "11.00" and errors["fa", "0"] == "—"
    expected = [("lra-e", "diverged"), ("fa", "failed")]
    assert sorted((row[0], row[5]) for row in first["unfinished"]["cells"]) == sorted(expected)


def test_ten_thousand_records_take_seconds_and_little_memory(tmp_path):
    """Twenty seconds of one core's time, which others that use the machine do not lengthen."""
    random.seed(0)
    names = ("backprop", "fa", "dfa", "lra-e", "rec-lra", "target-prop", "lra-diff", "lra-fdbk")
    grid = [
        (name, rate, kind) for name in names for rate in range(1, 209) for kind in ("relu", "tanh")
    ]
    matrix = [list(range(10))] * 10
    records = [
        record(name, seed, [random.uniform(1, 90) for _ in range(30)], activation=kind,
               optimizer=f"adam[lr={rate}e-5]") | {"confusion": matrix}
        for name, rate, kind in grid for seed in range(3)
    ]  # fmt: skip
    store(
        tmp_path,
        "big",
        [*records, *(record("dfa", 1000 + k) for k in range(10_000 - len(records)))],
    )
    code = (
        "import resource; from pathlib import Path; from credbench.cli import app\n"
        f"app(['report', '--results-dir', {str(tmp_path)!r}], standalone_mode=False)\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        # That of the process itself: ru_maxrss starts at what its parent held.
        "status = Path('/proc/self/status')\n"
        "lines = status.read_text().splitlines() if status.exists() else ['VmHWM: 0 kB']\n"
        "peak = next(line.split()[1] for line in lines if line.startswith('VmHWM'))\n"
        "print(used.ru_utime + used.ru_stime, peak)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    seconds, peak = map(float, ran.stdout.split()[-2:])
    assert seconds < 20 and peak * 1024 < 2**30
    page = tmp_path / "report.html"
    assert 10**6 < page.stat().st_size < 10**7
    assert '"trials":10000' in page.read_text()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with several seeds, a failed trial, one that diverged, and a name of markup."""
    folder = tmp_path_factory.mktemp("report")
    fine = [
        record(name, seed, [start + seed, start / 2 + seed, start / 4 + seed], error)
        for name, start, error in (("backprop", 40, 5.0), ("dfa", 60, 11.0), (WILD, 80, 7.0))
        for seed in range(3)
    ]
    failed = record(
        "fa", 0, (9.0, 9.0, 9.0), status="failed", reason=f"ValueError: {WILD} (fa.py, line 3)"
    )
    gone = record(
        "lra-e", 0, [50.0, None, None], status="diverged", reason="not finite after epoch 2"
    )
    store(folder, "first", [*fine, failed, gone])
    store(folder, "<img src=x onerror=alert(2)>", [record("rec-lra")])
    given = {"dataset": "mnist", "network": "mlp[hidden=256x5]"}
    both = [REGISTRY.get("algorithm", name).create({}).spec() for name in ("rec-lra", "backprop")]
    store(folder, "mnist", [record(name, **given) | {"origin": WILD} for name in both])
    program = Path(sys.executable).with_name("credbench")
    subprocess.run([program, "report", "--results-dir", folder], check=True, capture_output=True)
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if browser.find() is None:
        pytest.skip("no Chromium to open the report in: install Debian's package chromium")
    opened = browser.Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def page(chromium, report):
    chromium.open(report)
    return chromium


FIRST = "#experiment-1"


def texts(page, selector):
    text = "(e) => (e.innerText ?? e.textContent).trim()"
    return page.run(f"[...document.querySelectorAll({selector!r})].map({text})")


def test_it_opens_without_the_network_and_names_stay_text(page, report):
    assert page.requests == [report.as_uri()] and page.complaints == []
    assert page.run("document.scripts.length") == 2 and page.run("document.images.length") == 0
    assert texts(page, "h2") == [
        "Summary", "Claims", "<img src=x onerror=alert(2)>", "first", "mnist"
    ]  # fmt: skip
    assert WILD in texts(page, f"{FIRST} tbody th") and WILD in texts(page, f"{FIRST} pre")[0]
    assert any(text.startswith(WILD) for text in texts(page, f"{FIRST} .legend button"))


def test_claims_have_verdicts_that_are_told_without_colour(page):
    rows = [text.split("\t") for text in texts(page, "#claims table:first-of-type tbody tr")]
    words = {cells[0]: cells[3] for cells in rows if len(cells) > 3}
    assert words["fewer-parameters-cifar10"] == "✓ supported"
    assert words["fewer-parameters-imagenet"] == "✗ contradicted"
    assert words["mnist-near-backprop"] == "? undecided"
    missing = {cells[0]: cells[-1] for cells in rows}
    assert missing["mnist-near-backprop"] == "nearest: 2 epochs, n = 1"
    notes = texts(page, "#claims > div .notes li")
    assert any(text.startswith("sign-trains, to decide it: credbench run") for text in notes)


def test_numbers_behind_claims_unfold_and_names_stay_text(page):
    page.run("document.querySelector('#claims summary').click()")
    rows = texts(page, "#claims details tbody tr")
    (row,) = (text for text in rows if text.startswith("mnist-near-backprop"))
    assert "not deciding: 2 epochs, n = 1" in row and f"images from {WILD}" in row


def test_the_page_of_one_experiment_leaves_claims_out(chromium, report, tmp_path):
    program = Path(sys.executable).with_name("credbench")
    page = tmp_path / "one.html"
    command = [program, "report", "first", "--results-dir", report.parent, "--output", page]
    subprocess.run(command, check=True, capture_output=True)
    chromium.open(page)
    assert texts(chromium, "h2") == ["Summary", "first"]


def test_a_policy_that_is_broken_is_noticed(page):
    """The two lists that the test above finds empty do fill."""
    page.run("document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:9/x' }))")
    page.frame()
    assert any("Content Security Policy" in str(complaint) for complaint in page.complaints)
    page.complaints.clear()


def test_failed_trials_are_shown_with_their_reasons(page):
    cells = texts(page, f"{FIRST} .unfinished tbody tr")
    failed, gone = cells
    assert failed.startswith("fa") and f"\tfailed\tValueError: {WILD} (fa.py, line 3)" in failed
    assert gone.startswith("lra-e") and "\tdiverged\tnot finite after epoch 2" in gone
    assert texts(page, f"{FIRST} .counts") == ["11 trials, 9 done, 1 failed, 1 diverged"]


def test_tables_sort_from_the_keyboard(page):
    table = f"document.querySelector('{FIRST} table')"
    heads = f"[...{table}.tHead.rows[0].cells]"
    number = page.run(f"{heads}.findIndex((head) => head.innerText.startsWith('test'))")
    rows = f"[...{table}.tBodies[0].rows].map((row) => row.cells[{number}].innerText)"
    head = f"{heads}[{number}]"
    before = page.run(rows)
    page.run(f"{head}.firstChild.focus()")
    for state, expected in (
        ("ascending", ["5.00 ± 0.00", "7.00 ± 0.00", "11.00 ± 0.00"]),
        ("descending", ["11.00 ± 0.00", "7.00 ± 0.00", "5.00 ± 0.00"]),
    ):
        page.press("Enter")
        assert page.run(f"{head}.ariaSort") == state
        found = page.run(rows)
        assert found[:3] == expected and len(found) == 5  # what has no number goes last
    page.press(" ", "Space")
    assert page.run(rows) == before and page.run(f"{head}.ariaSort") == "none"


def test_tables_filter(page):
    page.run(f"document.querySelector('{FIRST} input[type=search]').focus()")
    page.call("Input.insertText", text="DFA 11.0")
    names = page.run(
        f"[...document.querySelector('{FIRST} tbody').rows].map((r) => r.cells[0].innerText)"
    )
    assert names == ["dfa"] and texts(page, f"{FIRST} .controls .status")[0] == "1 of 5 rows"


def drawn(page):
    return page.run(
        f"document.querySelectorAll('{FIRST} .plot path.curve[d^=M]:not([transform])').length"
    )


def test_curves_are_toggled(page):
    assert (
        drawn(page) == 4
        and page.run(f"document.querySelectorAll('{FIRST} .plot .band').length") == 3
    )
    button = f"document.querySelectorAll('{FIRST} .legend button')[1]"
    page.run(f"{button}.focus()")
    page.press(" ", "Space")
    assert drawn(page) == 3 and page.run(f"{button}.ariaPressed") == "false"
    page.press(" ", "Space")
    assert drawn(page) == 4 and page.run(f"{button}.ariaPressed") == "true"


def spot(page, line, point):
    """Where a point of a line is on the screen."""
    page.run(f"document.querySelector('{FIRST} .plot').scrollIntoView({{ block: 'center' }})")
    curve = f"document.querySelectorAll('{FIRST} .plot path.curve:not([transform])')[{line}]"
    place = f"{curve}.getPointAtLength({point} * {curve}.getTotalLength())"
    return page.run(f"(({{ x, y }}) => [x, y])({place}.matrixTransform({curve}.getScreenCTM()))")


def readout(page):
    return texts(page, f"{FIRST} .readout")[0]


def test_curves_are_read_by_pointer_and_keys(page):
    page.mouse("Moved", *spot(page, 0, 0))
    assert readout(page) == "backprop, epoch 1: validation error (%) 41 (40 to 42, n = 3)"
    page.run(f"document.querySelector('{FIRST} .plot > svg').focus()")
    page.press("ArrowRight")
    assert readout(page) == "backprop, epoch 2: validation error (%) 21 (20 to 22, n = 3)"
    page.press("ArrowDown")
    assert readout(page).startswith("dfa, epoch 2: validation error (%) 31 ")


def ticks(page):
    return texts(page, f"{FIRST} .plot svg text")


def test_curves_zoom_and_reset(page):
    whole = ticks(page)
    x, y = spot(page, 0, 0)
    page.mouse("Pressed", x - 4, y - 40, pressed=True)
    page.mouse("Moved", x + 150, y + 40, pressed=True)
    page.mouse("Released", x + 150, y + 40)
    near = ticks(page)
    assert near != whole
    buttons = f"[...document.querySelectorAll('{FIRST} button')]"
    page.run(f"{buttons}.find((b) => b.innerText === 'Reset zoom').click()")
    assert ticks(page) == whole
    page.run(f"{buttons}.find((b) => b.innerText === 'Zoom in').click()")
    assert ticks(page) != whole
    page.run(f"document.querySelector('{FIRST} .plot > svg').focus()")
    page.press("0")
    assert ticks(page) == whole


@pytest.mark.parametrize("key", ("+", "-"))
def test_curves_zoom_no_further_than_numbers_go(page, key):
    whole = ticks(page)
    page.run(f"document.querySelector('{FIRST} .plot > svg').focus()")
    for _ in range(120):
        page.press(key)
    assert not any("NaN" in text or "Infinity" in text for text in ticks(page))
    page.press("0")
    assert ticks(page) == whole and page.complaints == []


def test_confusions_open(page):
    page.run(f"document.querySelector('{FIRST} details summary').click()")
    page.frame()
    assert texts(page, f"{FIRST} .matrix tbody tr") == ["0\t8\t1", "1\t1\t9"]


def test_the_keyboard_starts_with_a_way_to_the_results(page):
    page.press("Tab")
    assert page.run("document.activeElement.className") == "skip"
    page.press("Enter")
    page.frame()
    page.press("Tab")
    assert page.run("document.activeElement.closest('section').id") == "summary"


@pytest.mark.parametrize("width", (360, 1200))
def test_it_fits_its_width(chromium, report, width):
    """What is wider scrolls inside its own frame."""
    chromium.open(report, width)
    chromium.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    chromium.frame()
    assert chromium.run("document.documentElement.scrollWidth") <= width
    frame = f"document.querySelector('{FIRST} .scroll')"
    wider = chromium.run(f"{frame}.scrollWidth > {frame}.clientWidth")
    assert wider == (width == 360)
    assert chromium.run(f"document.querySelector('{FIRST} .plot svg').clientWidth") <= width

"""Every kind of test of a claim, from its definition, on records made up."""

import math
from dataclasses import replace

import pytest
from scipy import stats
from trials import record, seeds

from credbench.experiment import setting_of
from credbench.report.claims.evidence import Evidence, Timed
from credbench.report.claims.ledger import make_claim
from credbench.report.claims.sooner import first_at
from credbench.report.claims.tables import Findings
from credbench.report.claims.verdict import judge
from credbench.report.summary import summarise
from credbench.store import frame
from helpers import REGISTRY

LOW, HIGH = [1.0, 1.1, 1.3], [2.0, 2.2, 2.1]
SCATTERED = [0.5, 4.0, 2.0]
NEEDS = {"dataset": "mnist", "network": "mlp", "activation": "tanh", "epochs": 2, "seeds": 3}


def claim(*tests, **needs):
    entry = {"id": "c", "says": "", "where": "", "published": "", "tests": tests}
    return make_claim(entry | {"needs": NEEDS | needs}, REGISTRY)


def beats(second="backprop", below=0, **given):
    return {"kind": "difference", "first": "rec-lra", "second": second, "below": below} | given


def evidence(records, timed=(), stale=()):
    known = {each["id"]: each for each in records}
    planned = {id: each["trial"] for id, each in known.items()}
    found = summarise(frame(planned, known, {}), REGISTRY) if planned else []
    return Evidence(found, known, timed, REGISTRY, frozenset(stale))


def verdict(asked, records, **given):
    return judge(asked, evidence(records, **given))


def duel(first, second, **given):
    return [*seeds("rec-lra", first, **given), *seeds("backprop", second, **given)]


@pytest.mark.parametrize(
    "first, second, below, word",
    [
        (LOW, HIGH, 0, "supported"), (HIGH, LOW, 0, "contradicted"),
        (SCATTERED, HIGH, 0, "undecided"), (HIGH, HIGH, 0, "undecided"),
        (HIGH, LOW, 1.5, "supported"), (HIGH, LOW, 0.5, "contradicted"),
        ([2.0, 3.0, 4.0], [1.0, 2.0, 3.0], 1, "undecided"),
        ([2.0, 3.0, 4.0], [1.0, 2.0, 3.0], 1.01, "supported"),
    ],
)  # fmt: skip
def test_a_difference_against_its_bound(first, second, below, word):
    assert verdict(claim(beats(below=below)), duel(first, second)).word == word


def test_p_values_and_limits_are_those_of_one_sided_paired_tests():
    apart = [a - b for a, b in zip(SCATTERED, HIGH, strict=True)]
    (judged,) = verdict(claim(beats(below=0.7)), duel(SCATTERED, HIGH)).deciding
    less = stats.ttest_1samp(apart, 0.7, alternative="less")
    greater = stats.ttest_1samp(apart, 0.7, alternative="greater")
    assert (judged.p_holds, judged.p_fails) == pytest.approx((less.pvalue, greater.pvalue))
    limits = greater.confidence_interval(0.95).low, less.confidence_interval(0.95).high
    assert judged.finding.limits == pytest.approx(limits)
    assert judged.finding.value == pytest.approx(sum(apart) / 3)


def test_seeds_are_paired():
    """What seeds share cancels: the same numbers in another order decide nothing."""
    first, second = [1.0, 5.0, 9.0], [1.5, 5.6, 9.4]
    assert verdict(claim(beats()), duel(first, second)).word == "supported"
    assert verdict(claim(beats()), duel(first, second[::-1])).word == "undecided"


def test_either_side_is_the_best_on_validation_and_not_on_test():
    good, lucky = [1.0, 1.1, 1.3], [0.1, 0.2, 0.1]
    records = [
        *seeds("rec-lra[beta=0.5]", lucky, validation=9.0),
        *seeds("rec-lra", good, validation=1.0),
        *seeds("backprop", [0.5, 0.6, 0.7], validation=1.0),
    ]
    found = verdict(claim(beats()), records)
    assert found.word == "contradicted"
    assert found.deciding[0].finding.algorithms == ("rec-lra", "backprop")


def test_parameters_of_an_algorithm_that_is_named_have_to_fit():
    printed = seeds("rec-lra[rule=printed]", HIGH)
    asked = claim(beats() | {"first": "rec-lra[rule=transpose]"})
    found = verdict(asked, [*printed, *seeds("backprop", LOW)])
    assert found.word == "undecided"
    assert found.answers[0].missing == "no records of rec-lra on mnist, tanh"


def test_findings_of_a_claim_are_corrected_together():
    """Alone each decides; together, by Holm, neither does."""
    first = [1.0, 2.0, 3.0]
    second = [1.2, 2.6, 3.4]
    p = stats.ttest_rel(first, second, alternative="less").pvalue
    assert 0.025 < p < 0.05
    one = duel(first, second)
    assert verdict(claim(beats()), one).word == "supported"
    both = [*one, *duel(first, second, network="mlp[hidden=8]")]
    found = verdict(claim(beats(), network=["mlp", "mlp[hidden=8]"]), both)
    assert found.word == "undecided" and "corrected" in found.answers[0].missing
    assert [each.p_holds for each in found.deciding] == pytest.approx([2 * p, 2 * p])


def test_all_settings_have_to_hold_and_one_that_fails_is_enough():
    asked = claim(beats(), network=["mlp", "mlp[hidden=8]"])
    wide = duel(LOW, HIGH)

    def beside(first, second):
        return verdict(asked, [*wide, *duel(first, second, network="mlp[hidden=8]")]).word

    assert beside(LOW, HIGH) == "supported"
    assert beside(HIGH, LOW) == "contradicted"
    assert beside(SCATTERED, HIGH) == "undecided"


def test_all_tests_have_to_hold():
    asked = claim(beats(), beats("fa"))
    records = duel(LOW, HIGH)
    found = verdict(asked, records)
    assert found.word == "undecided"
    assert [answer.word for answer in found.answers] == ["supported", "undecided"]
    assert found.answers[1].missing == "no records of fa on mnist, tanh"
    assert verdict(asked, [*records, *seeds("fa", HIGH)]).word == "supported"
    assert verdict(asked, [*records, *seeds("fa", [0.1, 0.2, 0.3])]).word == "contradicted"


def limited(records, images):
    for each in records:
        each["trial"]["limit_train"] = images
    return records


@pytest.mark.parametrize(
    "records, lacks",
    [
        (duel(LOW, HIGH, epochs=1), "1 epoch"),
        (limited(duel(LOW, HIGH), 10_000), "10,000 images"),
        (duel(LOW[:2], HIGH[:2]), "n = 2"),
        (duel(LOW, HIGH, network="mlp[hidden=8]"), "mlp[hidden=8]"),
        ([*duel(LOW, HIGH), record("rec-lra", 3, 0, status="diverged")], "1 diverged"),
        ([*duel(LOW, HIGH), record("backprop", 3, 0, status="failed")], "1 failed"),
    ],
)
def test_what_is_below_the_scale_is_shown_and_decides_nothing(records, lacks):
    found = verdict(claim(beats(), network="mlp[hidden=256x3]"), records)
    assert found.word == "undecided" and not found.deciding
    (answer,) = found.answers
    assert answer.judged[0].finding.lacks == (lacks,) and answer.missing == f"nearest: {lacks}"
    assert answer.judged[0].finding.value < -0.9
    assert answer.command.startswith("credbench run -a rec-lra,backprop -d mnist")


def test_a_run_below_the_scale_does_not_move_what_decides():
    short = duel(HIGH, LOW, epochs=1)
    found = verdict(claim(beats()), [*short, *duel(LOW, HIGH)])
    assert found.word == "supported" and len(found.deciding) == 1
    assert found.deciding[0].finding.scale == "2 epochs, all 58,000 images, n = 3, untuned"


def test_of_runs_that_differ_in_epochs_the_longest_decides():
    found = verdict(claim(beats()), [*duel(LOW, HIGH), *duel(HIGH, LOW, epochs=5)])
    assert found.word == "contradicted"
    assert [each.finding.lacks for each in found.answers[0].judged] == [
        (), ("2 epochs, where 5 were trained",)
    ]  # fmt: skip


def test_other_data_and_activations_are_no_evidence_at_all():
    other = [*duel(LOW, HIGH, activation="relu"), *duel(LOW, HIGH, dataset="fashion-mnist")]
    (answer,) = verdict(claim(beats()), other).answers
    assert answer.judged == ()
    assert answer.missing == "no records of rec-lra and backprop on mnist, tanh"


def test_settings_that_are_not_equal_are_not_compared():
    apart = [*seeds("rec-lra", LOW), *seeds("backprop", HIGH, init="gaussian[sigma=0.1]")]
    (answer,) = verdict(claim(beats()), apart).answers
    assert answer.missing == "no records of rec-lra and backprop at equal settings on mnist, tanh"


def test_the_origin_of_images_is_part_of_the_scale_and_has_to_be_equal():
    copy = {"origin": "class folders (JPEG)"}
    found = verdict(claim(beats()), duel(LOW, HIGH, **copy))
    assert found.word == "supported"
    assert found.deciding[0].finding.scale.endswith("untuned, images from class folders (JPEG)")
    mixed = [*seeds("rec-lra", LOW, **copy), *seeds("backprop", HIGH)]
    (answer,) = verdict(claim(beats()), mixed).answers
    assert answer.judged[0].finding.lacks == ("images read from unlike files",)


def test_more_seeds_are_asked_for_by_the_run_that_adds_them():
    (answer,) = verdict(claim(beats()), duel(SCATTERED, HIGH, optimizer="sgd[lr=0.1]")).answers
    assert answer.missing == "n = 3 leaves limits on both sides of the bound"
    assert answer.command.endswith("--optimizer 'sgd[lr=0.1]' -e 2 -s 3-5")
    tuned = duel(SCATTERED, HIGH, tuning="12 draws")
    (answer,) = verdict(claim(beats()), tuned).answers
    assert answer.command.startswith("credbench run -a rec-lra,backprop --tuned -d mnist")


def test_records_of_another_version_are_shown_and_decide_nothing():
    records = duel(LOW, HIGH)
    found = verdict(claim(beats()), records, stale=[records[0]["id"]])
    assert found.word == "undecided"
    (judged,) = found.answers[0].judged
    assert judged.finding.lacks == ("stale: made by another version of its source",)
    assert judged.finding.value < 0 and found.answers[0].missing.startswith("nearest: stale")
    alone = verdict(claim(level(below=3)), seeds("backprop", HIGH), stale=[records[3]["id"]])
    assert alone.word == "undecided" and alone.answers[0].judged[0].finding.value > 2


def test_what_is_below_one_point_is_said_in_the_singular():
    def says(bound):
        (criterion,) = claim(beats(below=bound)).criteria
        return criterion.says

    assert says(1) == "rec-lra's test error less backprop's is below 1 point"
    assert says(0.5).endswith("is below 0.5 points")


def level(**given):
    return {"kind": "level", "algorithm": "backprop"} | given


@pytest.mark.parametrize(
    "asked, word",
    [({"below": 3}, "supported"), ({"below": 1}, "contradicted"), ({"below": 2.1}, "undecided"),
     ({"above": 1}, "supported"), ({"above": 3}, "contradicted"), ({"above": 2.1}, "undecided")],
)  # fmt: skip
def test_a_level_against_its_bound(asked, word):
    found = verdict(claim(level(**asked)), seeds("backprop", HIGH))
    assert found.word == word
    limits = stats.t.interval(0.9, 2, 2.1, stats.sem(HIGH))
    assert found.deciding[0].finding.limits == pytest.approx(limits)


def test_a_level_is_that_of_the_best_setting_on_validation():
    records = [
        *seeds("backprop", LOW, validation=9.0, init="gaussian[sigma=0.1]"),
        *seeds("backprop", HIGH, validation=1.0),
        *seeds("backprop", [0.1], validation=0.1, optimizer="sgd[lr=0.1]"),
    ]
    (judged,) = verdict(claim(level(below=1.5)), records).deciding
    assert judged.word == "contradicted" and judged.finding.value == pytest.approx(2.1)


def test_a_level_is_that_of_the_longest_run_of_a_setting():
    """The shorter one, however good on validation, was one look on the way."""
    short = seeds("backprop", LOW, validation=1.0)
    longer = seeds("backprop", HIGH, validation=2.0, epochs=5)
    (judged,) = verdict(claim(level(below=1.5)), [*short, *longer]).deciding
    assert judged.word == "contradicted" and judged.finding.scale.startswith("5 epochs")
    other = seeds("backprop", LOW, validation=1.0, init="gaussian[sigma=0.1]")
    (judged,) = verdict(claim(level(below=1.5)), [*other, *longer]).deciding
    assert judged.word == "supported"


def curves(algorithm, *errors, seconds=1.0, **given):
    """Records of seeds with these validation errors, epoch by epoch."""
    return [
        record(
            algorithm, k, 1.0, epochs=len(each), environment="here",
            curve={"seconds": [seconds] * len(each), "validation_error": each}, **given,
        )
        for k, each in enumerate(errors)
    ]  # fmt: skip


FAST = ([9, 4, 1], [9, 5, 5], [8, 3, 2])
SLOW = ([9, 9, 4], [9, 9, 5], [9, 7, 5])
NEVER = ([9, 9, 9],) * 3


def sooner(by="epochs"):
    return {"kind": "sooner", "first": "rec-lra", "second": "backprop", "to": 5, "by": by}


def test_the_first_epoch_at_a_level():
    assert first_at([9, None, 5, 1], 5) == 3
    assert first_at([9, 6, None], 5) is None and first_at([], 5) is None


@pytest.mark.parametrize(
    "first, second, word, value",
    [
        (FAST, SLOW, "supported", -1), (SLOW, FAST, "contradicted", 1),
        (FAST, FAST, "undecided", 0), (([9, 5, 5], [9, 9, 5], [5, 5, 5]), FAST, "undecided", 0),
        (FAST, NEVER, "supported", -2), (NEVER, FAST, "contradicted", 2),
        (NEVER, ([9, 9, 9], *FAST[:2]), "undecided", None),
    ],
)  # fmt: skip
def test_sooner_in_epochs(first, second, word, value):
    found = verdict(claim(sooner()), [*curves("rec-lra", *first), *curves("backprop", *second)])
    assert found.word == word and found.deciding[0].finding.value == pytest.approx(value)


def numbers_of(found):
    """The number, and what it is made from, of every finding that is shown."""
    return [tuple(cells[4:6]) for cells in Findings([found]).cells()]


def test_numbers_of_trials_that_never_come_down_are_bounds():
    def shown(first, second):
        return numbers_of(verdict(claim(sooner()), [*curves("rec-lra", *first),
                                                    *curves("backprop", *second)]))  # fmt: skip

    assert shown(FAST, NEVER) == [("≤ -2.0 (≤ -2.0) epochs", "2.0 against ≥ 4.0")]
    assert shown(NEVER, FAST) == [("≥ 2.0 (≥ 2.0) epochs", "≥ 4.0 against 2.0")]
    both = (FAST[0], *NEVER[:2]), NEVER
    assert shown(*both) == [("open on both sides", "≥ 3.3 against ≥ 4.0")]
    found = verdict(claim(sooner()), [*curves("rec-lra", *FAST), *curves("backprop", *NEVER)])
    (row,) = Findings([found]).dicts()
    assert (row["sign"], row["value"], row["low"], row["high"]) == ("≤", -2, None, -2)


def test_where_neither_comes_down_no_number_is_shown():
    never = [*curves("rec-lra", *NEVER), *curves("backprop", *NEVER)]
    found = verdict(claim(sooner()), never)
    (answer,) = found.answers
    assert answer.missing == "nearest: neither rec-lra nor backprop comes down to 5 % in any trial"
    assert answer.command.endswith("-e 6 -s 0,1,2")  # the same for longer
    assert numbers_of(found) == [("—", answer.missing)]
    assert [row["value"] for row in Findings([found]).dicts()] == [None]
    reached = [
        *curves("rec-lra", *FAST, network="mlp[hidden=8]"),
        *curves("backprop", *SLOW, network="mlp[hidden=8]"),
    ]
    both = verdict(claim(sooner(), network=["mlp", "mlp[hidden=8]"]), [*never, *reached])
    assert both.word == "supported" and len(numbers_of(both)) == 1


def test_a_trial_that_never_comes_down_is_only_known_to_take_longer():
    """The second, cut off early, counts as less than the first; that contradicts nothing."""
    late = ([9, 9, 9, 5], [9, 9, 9, 5], [9, 9, 9, 5])
    short = curves("backprop", *(each[:1] for each in NEVER))
    for each in short:
        each["trial"]["epochs"] = 4
    found = verdict(claim(sooner()), [*curves("rec-lra", *late), *short])
    (answer,) = found.answers
    assert answer.judged[0].finding.value == 2 and answer.judged[0].p_fails is None
    assert found.word == "undecided"
    assert answer.missing == "backprop never comes down to 5 % in 3 of its trials"
    assert answer.command.endswith("-e 8 -s 0,1,2")


def runs(records, seconds, machine="m", **given):
    """Timing runs of the settings of records, one of each."""
    trials = {setting_of(each["trial"]): each["trial"] for each in records}
    return [
        Timed(
            {k: "none" if v is None else str(v) for k, v in trial.items()
             if k not in ("epochs", "seed", "tuning")},
            (seconds,) * 3, given.get("device", "cpu"), machine, "", given.get("stale", False),
        )
        for trial in trials.values()
    ]  # fmt: skip


def test_seconds_are_epochs_at_the_pace_of_a_timing_run():
    first, second = curves("rec-lra", *FAST), curves("backprop", *SLOW)
    paced = [*runs(first, 4.0), *runs(second, 2.0)]
    found = verdict(claim(sooner("seconds")), [*first, *second], timed=paced)
    assert found.word == "contradicted"
    assert found.deciding[0].finding.value == pytest.approx(2 * 4 - 3 * 2)
    untimed = verdict(claim(sooner("seconds")), [*first, *second])
    (answer,) = untimed.answers
    assert untimed.word == "undecided" and answer.judged[0].finding.value == -1
    assert answer.missing.startswith("nearest: no timing run")


@pytest.mark.parametrize("given", [{"stale": True}, {"device": "cuda"}])
def test_timing_of_another_version_or_device_is_none(given):
    first, second = curves("rec-lra", *FAST), curves("backprop", *SLOW)
    paced = [*runs(first, 4.0, **given), *runs(second, 2.0)]
    found = verdict(claim(sooner("seconds")), [*first, *second], timed=paced)
    assert found.answers[0].missing.startswith("nearest: no timing run")


def test_the_machine_that_counts_is_that_of_the_timing_runs():
    """Where trials trained does not matter, nor what else their settings were timed on."""
    first, second = curves("rec-lra", *FAST), curves("backprop", *SLOW)
    for each in second:
        each["environment"] = "there"
    apart = [*runs(first, 4.0, "old"), *runs(second, 2.0, "new")]
    found = verdict(claim(sooner("seconds")), [*first, *second], timed=apart)
    (judged,) = found.answers[0].judged
    assert found.word == "undecided" and judged.finding.lacks == ("timing runs on unlike machines",)
    both = [*runs(second, 0.1, "another"), *apart, *runs(first, 4.0, "new")]
    found = verdict(claim(sooner("seconds")), [*first, *second], timed=both)
    assert found.word == "contradicted"
    assert found.deciding[0].finding.value == pytest.approx(2 * 4 - 3 * 2)
    assert found.deciding[0].finding.scale.endswith(", timed on new")


def timed(algorithm, *seconds, device="cuda", turn="one", network="mlp", **given):
    trial = record(algorithm, 0, 1.0, network=network, optimizer=given.get("optimizer", "adam"))
    trial = trial["trial"]
    arguments = {k: "none" if v is None else str(v) for k, v in trial.items()}
    return Timed(arguments | {"dtype": "float32"}, seconds, device, given.get("machine", "m"), turn)


PACE = {"kind": "pace", "first": "rec-lra", "second": "backprop", "device": "cuda", "below": 1}


def pace(*found, below=1):
    return verdict(claim(PACE | {"below": below}), [], timed=found)


def test_the_ratio_of_seconds_is_paired_in_turns():
    mine, other = [1.0, 2.0, 4.0], [1.3, 2.4, 5.5]
    found = pace(timed("rec-lra", *mine), timed("backprop", *other))
    (judged,) = found.deciding
    logs = [math.log(a / b) for a, b in zip(mine, other, strict=True)]
    p = stats.ttest_1samp(logs, 0, alternative="less").pvalue
    assert judged.p_holds == pytest.approx(p) and found.word == "supported"
    assert judged.finding.value == pytest.approx(math.exp(sum(logs) / 3))
    assert pace(timed("rec-lra", *other), timed("backprop", *mine)).word == "contradicted"
    alone = pace(timed("rec-lra", *mine, turn=""), timed("backprop", *other, turn=""))
    assert alone.word == "undecided"  # apart, they differ by less than they scatter
    near = pace(timed("rec-lra", *mine), timed("backprop", *other), below=0.5)
    assert near.word == "contradicted"


def test_the_pace_is_that_of_the_device_asked_for():
    slow = [timed(name, 1.0, 1.0, 1.1, device="cpu") for name in ("rec-lra", "backprop")]
    (answer,) = pace(*slow).answers
    assert answer.word == "undecided" and answer.missing == "nearest: timed on cpu"
    assert "--device cuda" in answer.command
    both = pace(*slow, timed("rec-lra", 1.0, 1.1, 1.0), timed("backprop", 2.0, 2.1, 2.0))
    assert both.word == "supported" and len(both.deciding) == 1
    assert pace().answers[0].missing.startswith("no timing run of rec-lra and backprop")


def test_the_fastest_variant_stands_for_an_algorithm_and_machines_do_not_mix():
    found = pace(
        timed("rec-lra", 3.0, 3.1, 3.0), timed("rec-lra[gap=1]", 1.0, 1.1, 1.0),
        timed("backprop", 2.0, 2.1, 2.0), timed("backprop", 9.0, 9.1, 9.0, machine="old"),
    )  # fmt: skip
    (judged,) = found.deciding
    assert judged.finding.algorithms[0] == "rec-lra[gap=1]" and judged.word == "supported"
    assert judged.finding.scale == "3 repeats on m, the fastest of 2 variants"


def test_choosing_the_fastest_variant_is_corrected_for():
    mine, other = [1.0, 1.0, 1.2], [1.3, 1.2, 1.3]
    one = pace(timed("rec-lra", *mine), timed("backprop", *other))
    assert one.word == "supported" and one.deciding[0].p_holds > 0.025
    slower = [timed(f"rec-lra[gap={k}]", 1.4, 1.3, 1.5) for k in (1, 2)]
    found = pace(timed("rec-lra", *mine), *slower, timed("backprop", *other))
    assert found.deciding[0].p_holds == pytest.approx(3 * one.deciding[0].p_holds)
    assert found.word == "undecided"


def test_that_the_fastest_variant_is_slower_has_to_hold_for_every_variant():
    other = timed("backprop", 1.0, 1.1, 1.0)
    slow, near = timed("rec-lra", 3.0, 3.1, 3.0), timed("rec-lra[gap=1]", 1.1, 1.0, 1.1)
    assert pace(slow, other).word == "contradicted"
    assert pace(slow, near, other).word == "undecided"


def test_only_steps_of_one_optimizer_are_compared():
    """Adam's step costs more than plain descent's, whatever the algorithm."""
    plain = timed("rec-lra", 1.0, 1.1, 1.0, optimizer="sgd")
    slow, other = timed("rec-lra", 3.0, 3.1, 3.0), timed("backprop", 2.0, 2.1, 2.0)
    found = pace(plain, slow, other)
    assert found.word == "contradicted" and len(found.deciding) == 1
    assert pace(plain, other).answers[0].missing.startswith("no timing run")
    tuned = timed("rec-lra", 1.0, 1.1, 1.0, optimizer="adam[lr=0.01]")
    assert pace(tuned, other).word == "supported"


def test_timing_of_another_version_does_not_decide_the_pace():
    old = replace(timed("rec-lra", 1.0, 1.1, 1.0), stale=True)
    (answer,) = pace(old, timed("backprop", 2.0, 2.1, 2.0)).answers
    assert answer.word == "undecided" and answer.missing.startswith("nearest: stale")


def test_the_claim_of_pace_is_said_in_words():
    def says(bound):
        (criterion,) = claim(PACE | {"below": bound}).criteria
        return criterion.says

    start = "an epoch of rec-lra, in its fastest variant, takes less than "
    assert says(1) == f"{start}backprop's on cuda"
    assert says(0.9) == f"{start}0.9 times backprop's on cuda"


@pytest.mark.parametrize(
    "network, beside, word, difference",
    [("mlp[hidden=8]", "mlp[hidden=16]", "supported", -8 * 795),
     ("mlp[hidden=16]", "mlp[hidden=8]", "contradicted", 8 * 795),
     ("mlp[hidden=8]", "mlp[hidden=8]", "contradicted", 0)],
)  # fmt: skip
def test_parameters_are_counted(network, beside, word, difference):
    """A hidden unit has 784 weights and a bias below it, 10 weights above."""
    found = verdict(claim({"kind": "parameters", "network": network, "beside": beside}), [])
    assert (found.word, found.deciding[0].finding.value) == (word, difference)

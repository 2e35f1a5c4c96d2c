"""Every kind of test of a claim, from its definition, on records made up."""

import math

import pytest
from scipy import stats
from trials import record, seeds

from credbench.experiment import setting_of
from credbench.report.claims.evidence import Evidence, Timed
from credbench.report.claims.ledger import make_claim
from credbench.report.claims.sooner import first_at
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


def evidence(records, timed=(), machines=None, runs=()):
    known = {each["id"]: each for each in records}
    planned = {id: each["trial"] for id, each in known.items()}
    found = summarise(frame(planned, known, dict(runs)), REGISTRY) if planned else []
    return Evidence(found, known, timed, REGISTRY, machines or {})


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
        (NEVER, NEVER, "undecided", 0),
    ],
)  # fmt: skip
def test_sooner_in_epochs(first, second, word, value):
    found = verdict(claim(sooner()), [*curves("rec-lra", *first), *curves("backprop", *second)])
    assert found.word == word and found.deciding[0].finding.value == pytest.approx(value)


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


def runs(records, seconds):
    """Timing runs of the settings of records, as a store returns them."""
    return {
        (*setting_of(each["trial"]), "cpu"): {"epoch_seconds": [seconds] * 3, "source": "s"}
        for each in records
    }


def test_seconds_are_epochs_at_the_pace_of_a_timing_run():
    first, second = curves("rec-lra", *FAST), curves("backprop", *SLOW)
    paced = runs(first, 4.0) | runs(second, 2.0)
    machines = {"here": "a machine"}
    found = verdict(claim(sooner("seconds")), [*first, *second], runs=paced, machines=machines)
    assert found.word == "contradicted"
    assert found.deciding[0].finding.value == pytest.approx(2 * 4 - 3 * 2)
    untimed = verdict(claim(sooner("seconds")), [*first, *second], machines=machines)
    (answer,) = untimed.answers
    assert untimed.word == "undecided" and answer.judged[0].finding.value == -1
    assert answer.missing.startswith("nearest: no timing run")


def test_seconds_of_unlike_machines_are_not_compared():
    first, second = curves("rec-lra", *FAST), curves("backprop", *SLOW)
    for each in second:
        each["environment"] = "there"
    found = verdict(
        claim(sooner("seconds")), [*first, *second], runs=runs([*first, *second], 1.0),
        machines={"here": "a machine", "there": "another"},
    )  # fmt: skip
    assert found.answers[0].judged[0].finding.lacks == ("seconds on unlike machines",)


def timed(algorithm, *seconds, device="cuda", turn="one", network="mlp", **given):
    trial = record(algorithm, 0, 1.0, network=network)["trial"]
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

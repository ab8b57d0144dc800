"""What is found in the answers: only what a test allows."""

from dataclasses import replace

import numpy as np
import pytest
from evidence import even, evidence_of, one

from tenfold.findings import Evidence, answers


def test_classes_apart_differ_from_the_others_by_more_than_chance():
    found = list(answers.classes_apart(evidence_of(even([0.64, 0.8, 0.8, 0.8, 0.95]))))
    assert list(found[0].numbers["recall"]) == ["a"]
    assert list(found[1].numbers["recall"]) == ["e"]
    assert found[2].numbers["within"] == 3
    few = list(answers.classes_apart(evidence_of(even([0.7, 0.8, 0.8, 0.8, 0.85], images=20))))
    assert [finding.sentence.startswith("No class is clearly better or worse") for finding in few] == [True]


def test_a_class_without_test_images_is_not_counted_among_the_others():
    matrix = even([0.8] * 5)
    matrix[4] = 0
    assert one(answers.classes_apart, evidence_of(matrix)).numbers["within"] == 4


def test_one_image_a_class_tells_no_class_from_the_others():
    matrix = np.eye(5, dtype=int)
    matrix[0] = [0, 1, 0, 0, 0]
    assert list(answers.classes_apart(evidence_of(matrix))) == []


def test_confused_pairs_are_found_with_their_direction():
    matrix = even([0.8] * 5)
    matrix[0, 0] -= 100
    matrix[0, 1] += 100
    found = one(answers.confused_pairs, evidence_of(matrix))
    assert found.numbers["pair"] == ["a", "b"]
    assert "mostly in the first direction" in found.sentence
    matrix[1, 1] -= 98
    matrix[1, 0] += 98
    assert "no clear direction" in one(answers.confused_pairs, evidence_of(matrix)).sentence


def test_evenly_spread_mistakes_make_no_pair():
    assert "No pair" in one(answers.confused_pairs, evidence_of(even([0.8] * 5))).sentence


def test_the_images_of_a_pair_are_its_mistakes():
    matrix = even([0.8] * 5)
    matrix[2, 2] -= 90
    matrix[2, 4] += 90
    evidence = evidence_of(matrix)
    found = one(answers.confused_pairs, evidence)
    shown = list(found.images)
    assert {(evidence.predictions.labels[n], evidence.predictions.predicted[n]) for n in shown} == {
        (2, 4),
        (4, 2),
    }


def test_false_positive_rates_above_the_average():
    matrix = even([0.8] * 5)
    matrix[:, 3] += 60
    found = one(answers.false_positives, evidence_of(matrix))
    assert list(found.numbers["rates"]) == ["d"]
    assert list(answers.false_positives(evidence_of(even([0.8] * 5)))) == []


def test_test_and_validation_within_the_noise():
    test, far, near = (evidence_of(even([recall] * 5)).test for recall in (0.80, 0.70, 0.79))
    close = one(answers.validation_and_test, Evidence(test=test, validation=near))
    assert "may be chance" in close.sentence
    apart = one(answers.validation_and_test, Evidence(test=test, validation=far))
    assert "more than chance explains" in apart.sentence


def test_an_accuracy_no_better_than_guessing_says_so():
    found = one(answers.accuracy, evidence_of(even([0.2] * 5, images=20)))
    assert "does not show that the model is better than that" in found.sentence


def test_copies_are_in_the_verdict_with_the_accuracy_on_the_rest():
    """8 of 10 right; the four copies are among the right ones, so 4 of 6 on the rest."""
    (found,) = answers.copies(evidence_of([[4, 1], [1, 4]], copies=(0, 1, 6, 7)))
    assert found.section == "verdict"
    assert found.numbers["accuracy"] == pytest.approx(4 / 6)
    assert "4 of 10 test images are also training or validation images" in found.sentence
    assert "on the other 6 it is 66.7%" in found.sentence


def test_only_copies_say_nothing():
    (found,) = answers.copies(evidence_of([[1, 0], [0, 1]], copies=(0, 1)))
    assert found.sentence.endswith("says nothing about other images.")
    assert not list(answers.copies(evidence_of([[1, 0], [0, 1]])))


def test_groups_that_training_has_too_are_in_the_verdict():
    (found,) = answers.shared_groups(evidence_of([[4, 1], [1, 4]], shared=(0, 1, 6, 7)))
    assert (
        "4 of 10 test images are of groups that training or validation has images of as well"
        in found.sentence
    )
    assert "on the other 6 it is 66.7%" in found.sentence
    assert found.section == "verdict"


def test_near_copies_are_in_the_verdict_and_the_clean_rest_has_no_copies_of_any_kind():
    (found,) = answers.near_copies(evidence_of([[4, 1], [1, 4]], near=(0, 1), copies=(6, 7)))
    assert "2 of 10 test images are near copies of training or validation images" in found.sentence
    assert "on the other 6 it is 66.7%" in found.sentence
    assert found.section == "verdict"
    assert not list(answers.near_copies(evidence_of([[4, 1], [1, 4]])))


@pytest.mark.parametrize("rule", ["classes_apart", "confused_pairs", "validation_and_test"])
def test_images_of_groups_are_fewer_pieces_of_evidence(rule):
    """What 50 images of each class show, two or three groups of each do not."""
    matrix = [[50, 0, 0, 0], [0, 50, 0, 0], [0, 0, 50, 0], [0, 12, 0, 38]]
    plain = evidence_of(matrix, validation={"accuracy": 0.99, "n": 200})
    assert plain.images_a_group == 1
    grouped = replace(plain, predictions=replace(plain.predictions, groups=np.arange(200) // 20))
    assert grouped.images_a_group == 20
    alone = replace(plain, predictions=replace(plain.predictions, groups=np.full(200, -1)))
    said, less, same = (
        [found.sentence for found in getattr(answers, rule)(each)] for each in (plain, grouped, alone)
    )
    assert said == same
    assert said != less
    assert not any("Clearly" in text or "are confused" in text or "more than chance" in text for text in less)


def test_the_accuracy_says_how_many_groups_it_is_of():
    evidence = evidence_of([[4, 1], [1, 4]])
    (plain,) = answers.accuracy(evidence)
    (grouped,) = answers.accuracy(replace(evidence, test={**evidence.test, "groups": 5}))
    assert "80.0% of 10 test images are" in plain.sentence
    assert "80.0% of 10 test images of 5 groups are classified correctly" in grouped.sentence
    assert "by resampling whole groups" in grouped.sentence
    assert grouped.numbers["groups"] == 5


def test_classes_that_a_split_lacks_are_in_the_verdict():
    counts = {"validation": {"a": 3, "b": 3}, "test": {"a": 5, "b": 0}}
    (found,) = answers.missing_classes(Evidence(counts=counts))
    assert found.section == "verdict"
    assert found.sentence == "The test images lack b: nothing is known of it there."
    assert not list(answers.missing_classes(Evidence(counts={"test": {"a": 1, "b": 1}})))


def test_nothing_is_said_of_classes_that_few_images_judge():
    """Class a has one test image, which is wrong; b has three. The others are judged by 60 each."""
    matrix = even([0.9] * 5, images=60)
    matrix[0], matrix[1] = [0, 0, 1, 0, 0], [0, 0, 3, 0, 0]
    evidence = evidence_of(matrix)
    (found,) = answers.few_judges(evidence)
    assert found.section == "verdict"
    assert found.numbers["images"] == {"a": 1, "b": 3}
    assert "fewer than 5 test images judge: a (1) and b (3)." in found.sentence
    (said,) = answers.classes_apart(evidence)
    assert said.sentence.startswith("No class with enough test images is clearly better or worse")
    assert not [
        pair for pair in answers.confused_pairs(evidence) if {"a", "b"} & {*pair.numbers.get("pair", ())}
    ]
    auc = " ".join(finding.sentence for finding in answers.areas_under_roc(evidence))
    assert "a (" not in auc
    assert not list(answers.few_judges(evidence_of(even([0.9] * 5, images=20))))


def test_a_cross_validation_is_said_with_the_spread_of_its_folds():
    folds = [{"fold": k, "n": 50, "accuracy": share} for k, share in ((1, 0.8), (2, 0.9))]
    counts = {"train": {"a": 45, "b": 45}, "validation": {"a": 5, "b": 5}, "test": {"a": 50, "b": 50}}
    evidence = evidence_of([[42, 8], [7, 43]], folds=folds, counts=counts)
    (found,) = answers.cross_validation(evidence)
    assert (
        "by one of 2 models that learned from the others; single folds reach 80.0% to 90.0%" in found.sentence
    )
    assert "learned from 90 images, 10 others chose its epoch" in found.sentence
    (first,) = answers.accuracy(evidence)
    assert "100 images are classified correctly by models that had not seen them" in first.sentence
    assert not list(answers.validation_and_test(replace(evidence, validation=evidence.test)))
    assert not list(answers.cross_validation(evidence_of([[4, 1], [1, 4]])))

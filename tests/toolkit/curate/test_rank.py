"""Ranking: each planted error comes first, and its reason says where to look."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from toolkit.annotations import Annotations, Images, Predictions
from toolkit.curate.rank import Entry, rank
from toolkit.curate.rank_evidence import Judged, Labels, judge, misplaced
from toolkit.curate.rank_page import rank_page
from toolkit.curate.rank_reasons import Speaker
from toolkit.dataset import Dataset
from toolkit.schema import Keypoint, Schema

COUNT = 200
SCHEMA = Schema.load("hockey")
NAMES = SCHEMA.names
# Somebody seen from the front in a box of 60 x 120: x from the middle, y from the top.
POSE = {
    "nose": (0, 10),
    "eye": (4, 8),
    "ear": (7, 10),
    "shoulder": (15, 28),
    "elbow": (24, 48),
    "wrist": (26, 66),
    "hip": (10, 66),
    "knee": (11, 92),
    "ankle": (12, 116),
    "butt_end": (20, 60),
    "stick_heel": (60, 118),
    "stick_toe": (72, 116),
}


def standing() -> np.ndarray:
    """(20, 2) that pose; the person's left is on the picture's right."""
    points = []
    for name in NAMES:
        side, _, part = name.partition("_")
        x, y = POSE.get(name) or POSE[part]
        points.append((-x if side == "right" else x, y))
    return np.array(points, float)


@pytest.fixture
def people() -> tuple[Dataset, Predictions]:
    """200 people, two in each picture and 200 px apart; labels a pixel from the model."""
    rng = np.random.default_rng(1)
    image = np.arange(COUNT) // 2 + 1
    corner = np.stack([40.0 + 200 * (np.arange(COUNT) % 2), np.full(COUNT, 30.0)], axis=1)
    truth = standing() + corner[:, None] + [30, 0] + rng.normal(0, 3, (COUNT, 20, 2))
    labels = Annotations.from_arrays(
        SCHEMA,
        image,
        truth + rng.normal(0, 0.7, truth.shape),
        np.full((COUNT, 20), 2, np.uint8),
        np.column_stack([corner, np.full(COUNT, 60.0), np.full(COUNT, 120.0)]),
        instance_id=np.arange(COUNT) + 1000,
    )
    images = Images.from_ids(
        np.arange(1, COUNT // 2 + 1), size_wh=np.full((COUNT // 2, 2), 480, np.int64)
    )
    answers = Predictions.from_arrays(
        SCHEMA,
        image,
        truth,
        sigma=np.full((COUNT, 20, 2), 2.0),
        keypoint_scores=np.full((COUNT, 20), 0.8),
        annotation_id=labels.instance_id,
    )
    return Dataset(SCHEMA, images, labels), answers


def with_points(dataset: Dataset, points: np.ndarray) -> Dataset:
    people = dataset.annotations
    visibility = np.where(np.isnan(points[..., 0]), 0, people.visibility).astype(np.uint8)
    return replace(
        dataset, annotations=replace(people, keypoints=points, visibility=visibility)
    )


def held_against(labels: Annotations, answers: Predictions) -> Judged:
    """The labels of `people` in the light of the model and of each other."""
    return judge(Labels(labels, answers, labels.image_id - 1, np.arange(COUNT)))


def first(dataset: Dataset, answers: Predictions) -> Entry:
    return rank(dataset, answers)[0]


def test_a_stray_keypoint_comes_first_and_is_named(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    points = dataset.annotations.keypoints.copy()
    points[17, NAMES.index("left_knee")] += [0, 30]

    entry = first(with_points(dataset, points), answers)

    assert (entry.annotation_id, entry.image_id) == (1017, 9)
    assert entry.reasons[0].kind == "misplaced"
    assert entry.keypoints[0] == "left_knee"
    assert "from where the model" in entry.reason


def test_the_answer_that_is_shown_is_the_one_that_the_label_was_judged_by(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    points = dataset.annotations.keypoints.copy()
    points[17, NAMES.index("left_knee")] += [0, 30]
    nameless = replace(answers, annotation_id=np.full(COUNT, -1))[np.arange(COUNT)[::-1]]

    entry = first(with_points(dataset, points), nameless)
    page = rank_page(dataset, nameless, [entry], None, lambda done, of: None)
    without = rank_page(
        dataset, nameless, [replace(entry, prediction=None)], None, lambda done, of: None
    )

    assert (entry.annotation_id, entry.prediction) == (1017, COUNT - 1 - 17)
    assert page != without


def test_exchanged_arms_come_first_and_are_named(people: tuple[Dataset, Predictions]) -> None:
    dataset, answers = people
    points = dataset.annotations.keypoints.copy()
    arms = [NAMES.index(n) for n in ("left_elbow", "left_wrist")]
    points[40, arms], points[40, SCHEMA.flip_index[arms]] = (
        points[40, SCHEMA.flip_index[arms]],
        points[40, arms].copy(),
    )

    entry = first(with_points(dataset, points), answers)

    assert entry.annotation_id == 1040
    assert entry.reasons[0].words == (
        "left and right seem exchanged: left_elbow/right_elbow, left_wrist/right_wrist"
    )


def test_a_body_with_all_sides_exchanged_is_told_as_one(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    points = dataset.annotations.keypoints.copy()
    points[5] = points[5, SCHEMA.flip_index]

    entry = first(with_points(dataset, points), answers)

    assert entry.annotation_id == 1005
    assert "left and right seem exchanged in the whole body" in entry.reason


def test_a_keypoint_on_another_person_names_that_person(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    points = dataset.annotations.keypoints.copy()
    wrist = NAMES.index("right_wrist")
    points[60, wrist] = points[61, wrist]

    entry = first(with_points(dataset, points), answers)

    assert entry.annotation_id == 1060
    told = {reason.kind: reason for reason in entry.reasons}["other person"]
    assert told.words == "right_wrist fits annotation 1061 better than this person"


def test_a_missing_stick_comes_first_where_others_have_one(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    points = dataset.annotations.keypoints.copy()
    points[99, SCHEMA.is_extension] = np.nan

    entry = first(with_points(dataset, points), answers)

    assert entry.annotation_id == 1099
    assert set(entry.keypoints) >= {"butt_end", "stick_heel", "stick_toe"}
    assert "not labelled; of people for whom the model is as sure (0.80), 9" in entry.reason


def test_a_keypoint_that_nobody_labels_surprises_nobody(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    points = dataset.annotations.keypoints.copy()
    points[:, SCHEMA.is_extension] = np.nan

    queue = rank(with_points(dataset, points), answers)

    assert all(entry.score < 3 for entry in queue)


def test_a_keypoint_that_the_model_cannot_see_does_not_fill_the_queue(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    rng = np.random.default_rng(2)
    guesses = answers.keypoints.copy()
    toe = NAMES.index("stick_toe")
    guesses[:, toe] += rng.normal(0, 60, (COUNT, 2))
    points = dataset.annotations.keypoints.copy()
    points[17, NAMES.index("left_knee")] += [0, 30]

    queue = rank(with_points(dataset, points), replace(answers, keypoints=guesses))

    assert queue[0].annotation_id == 1017
    assert sum(entry.score > queue[0].score / 2 for entry in queue) == 1


def test_where_only_the_model_is_wrong_the_other_labels_speak_for_the_label(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    knee = NAMES.index("left_knee")
    points = dataset.annotations.keypoints.copy()
    points[17, knee] += [0, 30]
    labels = with_points(dataset, points).annotations
    guesses = answers.keypoints.copy()
    guesses[100, knee] += [0, 30]

    judged = held_against(labels, replace(answers, keypoints=guesses))

    assert judged.pose.surprise[100, knee] < 0
    assert min(judged.together.surprise[17, knee], judged.pose.surprise[17, knee]) > 3
    assert misplaced(judged)[:, knee].argmax() == 17


def test_right_labels_of_people_with_few_labels_do_not_lead_the_queue(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    rng = np.random.default_rng(5)
    moves = rng.normal(0, 12, (COUNT, 1, 2))  # people stand anywhere in their boxes
    points = dataset.annotations.keypoints + moves
    answers = replace(answers, keypoints=answers.keypoints + moves)
    sparse = np.arange(0, COUNT, 4)
    for row in sparse:
        points[row, rng.permutation(20)[4:]] = np.nan
    strays = np.arange(1, 41, 4)
    points[strays, NAMES.index("left_knee")] += [0, 20]

    queue = rank(with_points(dataset, points), answers)

    leading = {e.row for e in queue if e.reasons[0].kind == "misplaced"}
    first_rows = [e.row for e in queue if e.row in leading][: len(strays)]
    assert set(first_rows) == set(strays.tolist())


def test_one_label_that_is_far_off_does_not_hide_the_others(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    knee = NAMES.index("left_knee")
    points = dataset.annotations.keypoints.copy()
    points[3, knee] += 1e5
    points[17, knee] += [0, 30]

    queue = rank(with_points(dataset, points), answers, limit=2)

    assert {entry.annotation_id for entry in queue} == {1003, 1017}


def test_people_without_a_box_are_judged_by_the_model_alone(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    labels = dataset.annotations
    labels = replace(labels, bbox_xywh=np.full_like(labels.bbox_xywh, np.nan))

    judged = held_against(labels, answers)

    assert (judged.pose.surprise == 0).all()
    assert np.isfinite(misplaced(judged)).all()


@pytest.mark.parametrize(
    ("quiet", "who"), [("together", "the other keypoints"), ("pose", "the model and the other")]
)
def test_the_distance_that_is_told_is_that_which_speaks_against_the_label(
    people: tuple[Dataset, Predictions], quiet: str, who: str
) -> None:
    dataset, answers = people
    points = dataset.annotations.keypoints.copy()
    points[17, NAMES.index("left_knee")] += [0, 60]
    labels = with_points(dataset, points).annotations
    judged = held_against(labels, answers)
    silent = getattr(judged, quiet)
    silent = replace(silent, distance=np.zeros_like(silent.distance))
    judged = replace(judged, **{quiet: silent})

    speaker = Speaker(judged, np.arange(COUNT), np.full(COUNT, 10.0))
    speaker.odds["misplaced"] = misplaced(judged).max(axis=1)
    (reason,) = speaker.reasons(17)

    words = rf"left_knee lies [56]\.\d heads \([56]\d px\) from where {who}"
    assert re.match(words, reason.words), reason.words


def test_a_schema_of_one_keypoint_is_ranked_by_the_model_alone() -> None:
    schema = Schema("one", "One", (Keypoint("nose"),))
    rng = np.random.default_rng(0)
    truth = rng.uniform(20, 80, (100, 1, 2))
    points = truth + rng.normal(0, 0.5, truth.shape)
    points[7] += 30
    boxes = np.tile([0.0, 0, 100, 100], (100, 1))
    images = Images.from_ids(np.arange(100), size_wh=np.full((100, 2), 100, np.int64))
    labels = Annotations.from_arrays(
        schema, np.arange(100), points, np.full((100, 1), 2, np.uint8), boxes
    )
    answers = Predictions.from_arrays(
        schema, np.arange(100), truth, annotation_id=labels.instance_id
    )

    queue = rank(Dataset(schema, images, labels), answers)

    assert (len(queue), queue[0].row) == (100, 7)


def test_sides_that_fit_as_they_are_are_no_reason(
    people: tuple[Dataset, Predictions],
) -> None:
    queue = rank(*people)

    assert not [
        r for entry in queue for r in entry.reasons if r.kind == "swap" and not r.keypoints
    ]


def test_the_order_of_the_file_changes_nothing(people: tuple[Dataset, Predictions]) -> None:
    dataset, answers = people
    order = np.random.default_rng(3).permutation(COUNT)

    straight = rank(dataset, answers, limit=50)
    shuffled = rank(dataset.subset(order), answers[order[::-1].copy()], limit=50)

    assert [e.annotation_id for e in straight] == [e.annotation_id for e in shuffled]
    assert [e.score for e in straight] == pytest.approx([e.score for e in shuffled], abs=1e-9)


def test_without_sigmas_a_stray_keypoint_is_still_found(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    points = dataset.annotations.keypoints.copy()
    points[17, NAMES.index("left_knee")] += [0, 30]

    entry = first(with_points(dataset, points), replace(answers, sigma=None))

    assert entry.annotation_id == 1017


def test_people_without_predictions_are_left_out_unless_a_rule_speaks(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people
    points = dataset.annotations.keypoints.copy()
    points[0, NAMES.index("left_ankle")] = [3000, 3000]

    nobody = rank(dataset, answers[np.zeros(0, np.int64)])
    by_rule = rank(with_points(dataset, points), answers[np.zeros(0, np.int64)])

    assert nobody == []
    assert [entry.annotation_id for entry in by_rule] == [1000]
    assert {reason.kind for reason in by_rule[0].reasons} == {"rule"}


def test_groups_are_left_out(people: tuple[Dataset, Predictions]) -> None:
    dataset, answers = people
    crowd = np.zeros(COUNT, bool)
    crowd[3] = True
    marked = replace(dataset, annotations=replace(dataset.annotations, is_crowd=crowd))

    assert 1003 not in {entry.annotation_id for entry in rank(marked, answers)}


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_handful_of_people_can_be_ranked(
    people: tuple[Dataset, Predictions], count: int
) -> None:
    dataset, answers = people

    queue = rank(dataset.subset(slice(0, count)), answers)

    assert len(queue) == count
    assert all(np.isfinite(entry.score) and entry.reason for entry in queue)


def test_an_empty_set_gives_an_empty_queue(people: tuple[Dataset, Predictions]) -> None:
    dataset, answers = people

    assert rank(dataset.subset(slice(0, 0)), answers) == []


def test_labels_that_equal_the_predictions_are_ranked_without_a_warning(
    people: tuple[Dataset, Predictions],
) -> None:
    dataset, answers = people

    queue = rank(with_points(dataset, answers.keypoints.copy()), answers)

    assert len(queue) == COUNT
    assert all(entry.score < 1 for entry in queue)

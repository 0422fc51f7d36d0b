"""Rows, improvement and tests of four players whose errors are known."""

from collections.abc import Callable

import numpy as np
import pytest

from toolkit.annotations import Predictions
from toolkit.benchmark.demo import COSTS, CROWDPOSE, HOCKEY, MEDIAN
from toolkit.benchmark.exhibits import _of_instance, choose_instances, make_gallery
from toolkit.benchmark.measure import Entrant, Resampling, instance_errors, make_table
from toolkit.benchmark.render_text import paired_lines
from toolkit.benchmark.tables import Row, Table
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError
from toolkit.metrics.errors_in_heads import pair_people

OUTSIDE = HOCKEY.headline.key


def table_of(players: Dataset, *entrants: Entrant, resamples: int = 20) -> Table:
    resampling = Resampling.choose(players, resamples)
    return make_table(HOCKEY, players, entrants, resampling, synthetic=False)


def row_of(table: Table, label: str) -> Row:
    return next(row for row in table.rows if row.model == label)


def test_a_row_has_every_group_the_headline_and_the_median(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    table = table_of(players, Entrant("near", shifted(2.0)), Entrant("far", shifted(12.0)))

    near, far = row_of(table, "near"), row_of(table, "far")

    shares = ("Body", "Butt End", "Stick Heel", "Stick Toe", "Mean", OUTSIDE)
    assert [near.values[key] for key in shares] == [1.0] * 6
    assert [far.values[key] for key in shares] == [1.0, 1.0, 0.0, 0.0, 0.9, 0.0]
    assert near.values[MEDIAN] == pytest.approx(2 / 6)
    assert far.values[MEDIAN] == pytest.approx(2.0)
    assert far.intervals[OUTSIDE] == (0.0, 0.0)


def test_improvement_is_ours_minus_the_best_rival_with_a_paired_interval(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    table = table_of(
        players,
        Entrant("far", shifted(12.0), kind="control"),
        Entrant("middle", shifted(4.0, slice(19, 20))),
        Entrant("ours", shifted(2.0), is_ours=True),
        Entrant("ours, trained otherwise", shifted(1.0), is_ours=True),
        Entrant("oracle", shifted(0.0), kind="oracle"),
    )

    (gain,) = table.improvements

    assert gain.values[OUTSIDE] == 0.5  # 8 of 8 right, against 4 of 8
    assert gain.intervals[OUTSIDE] == (0.5, 0.5)
    assert gain.rivals[OUTSIDE] == "middle"
    assert gain.values["Mean"] == pytest.approx(0.05)
    assert gain.values["Body"] == 0.0
    assert "oracle (oracle)" in [item.minus for item in table.contrasts]
    assert table.marks(HOCKEY.headline) == {
        "ours": 1,
        "ours, trained otherwise": 1,
        "middle": 2,
    }


def test_the_least_p_value_that_the_resamples_can_give_is_an_upper_bound(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    far = Entrant("far", shifted(12.0))
    table = table_of(players, Entrant("ours", shifted(2.0), is_ours=True), far, resamples=99)

    outside, body = paired_lines(table)

    assert outside.endswith("far +100.0 [+100.0, +100.0], p<=0.020")  # 2 of 100
    assert body.endswith("far +0.0 [+0.0, +0.0], p=1.000")


def test_a_control_that_is_handed_the_true_body_has_no_body_and_no_rank(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    table = table_of(
        players,
        Entrant("a", shifted(2.0)),
        Entrant("b", shifted(12.0)),
        Entrant("given", shifted(0.0), kind="control", given_truth=True),
    )

    given = row_of(table, "given")

    assert given.values["Body"] is given.values["Mean"] is None
    assert given.values[OUTSIDE] == 1.0
    assert table.marks(HOCKEY.headline) == {"a": 1, "b": 2}
    assert given.label == "given (given truth)"


def test_an_empty_stratum_is_null_and_without_resamples_there_are_no_intervals(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    people = players.annotations
    visibility = people.visibility.copy()
    visibility[:, 18:] = 0
    points = people.keypoints.copy()
    points[:, 18:] = np.nan
    from dataclasses import replace

    without = replace(
        players, annotations=replace(people, visibility=visibility, keypoints=points)
    )

    table = table_of(without, Entrant("a", shifted(0.0)), resamples=0)

    row = row_of(table, "a")
    assert row.values[OUTSIDE] is None
    assert row.values["Stick Heel"] is None
    assert row.values["Body"] == 1.0
    assert row.intervals["Body"] is None
    assert table.improvements == ()


def test_rules_name_head_size_strata_clips_and_the_file(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    rules = "\n".join(table_of(players, Entrant("a", shifted(2.0))).rules)

    for wanted in (
        "0.6*head_box_diagonal 4",
        "counts as often as it is labelled",
        "20 resamples by image",
        str(players.sha256),
        "8 keypoints",
    ):
        assert wanted in rules


def test_costs_stand_only_where_models_ran(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    costs = {"s/person": 0.01, "params": 10, "images seen": 5, "text": None, "box": "human"}
    entrant = Entrant("a", shifted(2.0), costs=costs)

    table = table_of(players, entrant)

    assert table.columns[-len(COSTS) :] == COSTS
    assert row_of(table, "a").values["params"] == 10
    assert COSTS[0] not in table_of(players, Entrant("b", shifted(2.0))).columns


def test_a_file_without_labels_is_no_ground_truth(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    empty = players.subset(np.zeros(4, dtype=bool))

    with pytest.raises(InvalidDataError, match="no ground truth"):
        table_of(empty, Entrant("a", shifted(2.0)))


def test_captions_say_how_far_heel_and_toe_are_off(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    errors, unit = instance_errors(HOCKEY, players, shifted(12.0))
    body, body_unit = instance_errors(CROWDPOSE, players, shifted(12.0))

    assert errors == pytest.approx([2.0] * 4)
    assert unit == "heads off (heel and toe)"
    assert body == pytest.approx([0.2] * 4)
    assert body_unit == "heads off (mean)"


def test_exhibits_are_chosen_by_the_ground_truth_alone_sticks_outside_first(
    players: Dataset,
) -> None:
    assert choose_instances(players, 12).tolist() == [0, 1, 2, 3]
    assert len(choose_instances(players, 2)) == 2
    assert choose_instances(players, 2).tolist() == choose_instances(players, 2).tolist()


def test_a_gallery_shows_truth_first_and_says_where_nothing_was_predicted(
    players: Dataset, shifted: Callable[..., Predictions], tmp_path
) -> None:
    from PIL import Image

    for name in players.images.file_names:
        Image.new("RGB", (100, 100), (90, 90, 90)).save(tmp_path / name)
    only_first = shifted(2.0)[slice(0, 1)]

    gallery = make_gallery(
        "Instances",
        players,
        tmp_path,
        {"<a>": only_first},
        np.array([0, 3]),
        {"<a>": np.array([0.5, np.nan, np.nan, np.nan])},
        "heads off",
    )

    first, last = gallery.exhibits
    assert [panel.label for panel in first.panels] == ["ground truth", "<a>"]
    assert first.panels[1].caption == "0.50 heads off"
    assert last.panels[1].caption == "no prediction"
    assert first.panels[0].jpeg.startswith(b"\xff\xd8")


def test_notes_stand_once_with_the_rows_that_they_are_of(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    nobody = shifted(0.0)[slice(0, 0)]
    rules = table_of(players, Entrant("a", shifted(2.0)), Entrant("empty", nobody)).rules

    assert "note, empty: there are no predictions: every score is 0" in rules
    assert (
        sum(line.startswith("note: the bootstrap draws from 2 images") for line in rules) == 1
    )


def test_the_lines_of_a_table_count_what_is_ignored_of_the_truth_alone(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    """Every row has its own results; how many of the first are left out is no rule of all."""
    many = shifted(0.0)
    many = many[np.zeros(30, dtype=np.int64)]  # 10 beyond the best 20 of the image
    table = make_table(
        CROWDPOSE,
        players,
        [Entrant("many", many), Entrant("one", shifted(0.0))],
        Resampling(0),
        synthetic=False,
    )

    assert "ignored: nothing" in table.rules
    assert any(line.startswith("note, many: 10 detections beyond") for line in table.rules)


def test_a_picture_shows_the_prediction_that_is_measured(
    players: Dataset, shifted: Callable[..., Predictions]
) -> None:
    """Of two results for one person the better scored counts, whichever comes first."""
    from dataclasses import replace

    two = replace(shifted(2.0)[np.array([0, 0])], scores=np.array([0.1, 0.9]))
    answer = pair_people(players, two).prediction[0]

    shown = _of_instance(two, int(answer), players, 0)

    assert shown is not None
    assert shown.scores.tolist() == [0.9]


def test_resampling_is_by_clip_only_where_there_are_ten_of_them(players: Dataset) -> None:
    from dataclasses import replace

    from toolkit.annotations import Images

    def with_clips(*clips: str | None) -> Dataset:
        images = Images.from_ids(np.arange(len(clips)))
        return replace(players, images=replace(images, clips=clips))

    ten = [f"clip {n}" for n in range(10)]
    assert Resampling.choose(with_clips(*ten), 5).by == "clip"
    assert Resampling.choose(with_clips(*ten[:9]), 5).by == "image"
    assert Resampling.choose(with_clips(*ten, None), 5).by == "image"
    assert Resampling.choose(with_clips(*ten, ""), 5).by == "image"

"""The ablations: which networks are shared, what is printed, and that nothing is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from toolkit.annotations import Annotations, Images, Predictions
from toolkit.benchmark.ablations import worker
from toolkit.benchmark.ablations.boxes import people_of
from toolkit.benchmark.ablations.data import Data, Files, given_data
from toolkit.benchmark.ablations.detected import box_source
from toolkit.benchmark.ablations.figures import Crop, binned, edge_distance, make_figures
from toolkit.benchmark.ablations.panels import strongest
from toolkit.benchmark.ablations.plan import (
    ATTENTION,
    BOXES,
    FULL,
    MODALITIES,
    PROMPTS,
    RIVALS,
    SCALES,
    TABLES,
    PlannedRow,
    PlannedTable,
    Scale,
    Variant,
    choose_tables,
    on_recipe,
    parse_seeds,
    read_changes,
)
from toolkit.benchmark.ablations.pool import Task, _Shared, _watch, run_tasks
from toolkit.benchmark.ablations.run import AblationRequest, _Suite, run_ablations
from toolkit.benchmark.ablations.seed_scores import (
    SeedScore,
    compare_rows,
    resampled_medians,
    score_row,
    t_interval,
)
from toolkit.benchmark.ablations.seed_tables import ScoredRow, make_layout, make_tables
from toolkit.benchmark.ablations.training_runs import (
    TrainingRun,
    all_runs,
    make_run,
    recipe_text,
    take_shipped,
)
from toolkit.benchmark.demo import HOCKEY
from toolkit.benchmark.render_text import render_table, stated_lines
from toolkit.dataset import Dataset
from toolkit.errors import (
    InvalidDataError,
    MissingExtraError,
    ReadError,
    ResourceError,
    ToolkitError,
    UsageError,
)
from toolkit.files import sha256_bytes, sha256_file
from toolkit.formats import read_predictions, write
from toolkit.metrics.evaluate import sorted_weights
from toolkit.metrics.scoring import Options
from toolkit.models import TrainRequest, find_models
from toolkit.schema import Schema

DATA = Files(Path("train.json"), Path("images"), "ab" * 32, "hockey")


def row_of(table: PlannedTable, label: str) -> PlannedRow:
    return next(row for row in table.rows if row.label == label)


def run_name(variant: Variant, seed: int = 0) -> str:
    return make_run(variant, 64, seed, DATA, Path("runs")).name


def own_file(players: Dataset, folder: Path, content: bytes) -> Path:
    """An annotation file with its pictures, which nobody opens."""
    for name in players.images.file_names:
        (folder / name).write_bytes(content)
    write(players, folder / "labels.json", force=True)
    return folder / "labels.json"


def boxes_folder(data: Data, boxes: Any, runs: Path) -> Path:
    source = box_source(
        boxes, data, runs, images_seen=64, seed=0, weights="COCO_V1", device="cpu"
    )
    assert source is not None
    return source.folder


class TestPlan:
    def test_one_network_stands_for_random_tokens_no_prompts_and_no_language(self) -> None:
        rows = (
            row_of(MODALITIES, "image + location + text, random"),
            row_of(PROMPTS, "none"),
            row_of(RIVALS, "learned tokens"),
        )

        assert len({run_name(row.variant) for row in rows}) == 1

    def test_every_network_of_a_table_sees_the_same_images(self) -> None:
        runs = all_runs(tuple(TABLES.values()), 64, (0, 1), DATA, Path("runs")).values()

        assert {run.recipe["images_seen"] for run in runs if run.recipe} == {64}

    @pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES.keys())
    def test_a_recipe_without_a_change_is_a_network_s_all_the_same(self, scale: Scale) -> None:
        # At scale full, hrnet-small's recipe is the defaults themselves.
        run = make_run(Variant("hrnet-small"), scale.images_seen, 0, DATA, Path("runs"))
        control = make_run(Variant("body-to-stick"), scale.images_seen, 0, DATA, Path("runs"))

        assert run.recipe is not None
        assert run.images_seen == scale.images_seen
        assert (control.recipe, control.images_seen) == (None, 0)

    def test_joints_are_trained_before_what_learns_from_them(self) -> None:
        names = [run.model for run in all_runs((RIVALS,), 64, (0,), DATA, Path("r")).values()]

        assert names.index("hrnet-small") < names.index("body-to-stick-predicted")

    @pytest.mark.parametrize(
        ("changed", "seed"), [(Variant(changes={"text": "learned"}), 0), (FULL, 1)]
    )
    def test_another_recipe_or_seed_is_another_run(self, changed: Variant, seed: int) -> None:
        assert run_name(changed, seed) != run_name(FULL)

    def test_recipe_keys_lie_under_every_row_of_ours_and_under_no_rival(self) -> None:
        laid = on_recipe((ATTENTION, RIVALS), {"coarse": "mlp", "attention": "self"})
        for table, before in zip(laid, (ATTENTION, RIVALS), strict=True):
            for row, old in zip(table.rows, before.rows, strict=True):
                ours = row.variant.model.startswith("tokenclipose-small")
                assert (row.variant.changes.get("coarse") == "mlp") == ours
                assert row.label == old.label
        # what the row is about is the row's own
        assert row_of(laid[0], "intention").variant.changes["attention"] == "intention"
        assert row_of(laid[0], "cross").variant.changes["attention"] == "self"

    def test_what_the_scale_sets_stands_in_no_recipe(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text("coarse = 'mlp'\n", "utf-8")
        assert read_changes(path) == {"coarse": "mlp"}
        path.write_text("images_seen = 5\n", "utf-8")
        with pytest.raises(UsageError, match=r"mine\.toml: 'images_seen' is what --scale sets"):
            read_changes(path)
        path.write_text("images_seen = \n", "utf-8")
        with pytest.raises(
            ReadError, match=r"mine\.toml: cannot read the recipe: Invalid value"
        ):
            read_changes(path)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("heads_up = 1\n", "unknown key 'heads_up'; nearest valid: "),
            ("coarse = 'guess'\n", "'coarse' is 'guess'; expected one of vote, mlp"),
        ],
    )
    def test_what_no_recipe_can_hold_is_told_with_the_file_it_stands_in(
        self, tmp_path: Path, text: str, said: str
    ) -> None:
        path = tmp_path / "mine.toml"
        path.write_text(text, "utf-8")

        with pytest.raises(InvalidDataError, match=f"^{re.escape(f'{path}: {said}')}"):
            read_changes(path)

    def test_a_key_that_no_recipe_has_is_refused_before_anything_is_trained(self) -> None:
        with pytest.raises(InvalidDataError, match="unknown key 'heads_up'"):
            make_run(row_of(on_recipe((RIVALS,), {"heads_up": 1})[0], "learned tokens").variant,
                     64, 0, DATA, Path("runs"))  # fmt: skip

    def test_other_data_are_another_run(self) -> None:
        other = replace(DATA, sha256="cd" * 32)

        assert make_run(FULL, 64, 0, other, Path("runs")).name != run_name(FULL)

    def test_other_pictures_of_the_users_own_are_another_run_and_other_boxes(
        self, players: Dataset, tmp_path: Path
    ) -> None:
        """Also of the same size, and under a schema file of another content."""
        runs, found = tmp_path / "runs", []
        for content in (b"ones", b"twos"):
            data = given_data(own_file(players, tmp_path, content), tmp_path, "hockey", runs)
            found.append(data)
        other = replace(data.test, schema_sha256="ef" * 32)
        found.append(replace(data, train=other, test=other))

        assert len({make_run(FULL, 64, 0, data.train, runs).name for data in found}) == 3
        assert len({boxes_folder(data, "small-detector", runs) for data in found}) == 3
        assert len({boxes_folder(data, "faster-rcnn", runs) for data in found}) == 3

    def test_other_files_beside_the_pictures_change_no_run(
        self, players: Dataset, tmp_path: Path
    ) -> None:
        """The runs' own folder may lie there, too."""
        path, runs = own_file(players, tmp_path, b"same"), tmp_path / "runs"
        names = []
        for _ in range(2):
            data = given_data(path, tmp_path, "hockey", runs)
            names.append(make_run(FULL, 64, 0, data.train, runs).name)
            (tmp_path / ".DS_Store").write_bytes(b"of a file browser")

        assert names[0] == names[1]

    def test_runs_and_boxes_of_rendered_data_keep_their_names(self, players: Dataset) -> None:
        """Networks that were trained are found by them."""
        data = Data(HOCKEY, DATA, replace(DATA, sha256="cd" * 32), players, True, ())

        assert run_name(FULL) == "tokenclipose-small-0e96e2817d96-seed0-abababababab"
        for boxes, name in (
            ("small-detector", "person-small-64-seed0-abababababab-cdcdcdcdcdcd"),
            ("faster-rcnn", f"fasterrcnn-{sha256_bytes(b'COCO_V1')[:12]}-cdcdcdcdcdcd"),
        ):
            assert boxes_folder(data, boxes, Path("runs")) == Path("runs") / name

    def test_another_schema_file_is_another_run(self, root: Path, tmp_path: Path) -> None:
        mine = tmp_path / "mine.yaml"
        text = (root / "datasets" / "hockey" / "schema.yaml").read_text("utf-8")
        names = []
        for title in ("Ice hockey", "Field hockey"):
            mine.write_text(text.replace("Ice hockey", title, 1), "utf-8")
            data = Files.of(mine, Path("images"), str(mine))
            data = replace(data, sha256=DATA.sha256)
            names.append(make_run(FULL, 64, 0, data, Path("runs")).name)

        assert len({*names, run_name(FULL)}) == 3

    def test_tables_go_by_the_papers_numbers_too(self) -> None:
        assert choose_tables("7,rivals,4") == (BOXES, RIVALS, MODALITIES)
        assert len(choose_tables(None)) == 5

    @pytest.mark.parametrize("text", ["8", "", "4,nothing"])
    def test_an_unknown_table_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="option --tables"):
            choose_tables(text)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("0,0", "twice"),
            ("one", "whole numbers"),
            ("", "whole numbers"),
            ("0,4294967296", "up to 4294967295"),
            ("9" * 5000, "up to 4294967295"),
        ],
    )
    def test_seeds_that_make_no_sense_are_refused(self, text: str, said: str) -> None:
        with pytest.raises(UsageError, match=said):
            parse_seeds(text)

    def test_a_recipe_is_written_as_toml_that_says_the_same(self, tmp_path: Path) -> None:
        import tomllib

        recipe = {
            "family": "tokenclipose",
            "input_wh": [96, 128],
            "flip": 0.5,
            "evidence": True,
        }

        assert tomllib.loads(recipe_text(recipe)) == recipe


class TestSeedScores:
    def test_resampled_medians_equal_those_of_repeated_values(self) -> None:
        rng = np.random.default_rng(3)
        errors = rng.random(40)
        errors[:3] = np.inf
        image = np.sort(rng.integers(0, 6, 40))
        weights = rng.integers(0, 3, (30, 6)).astype(np.int16)
        weights[0] = 0

        found = resampled_medians(errors, image, weights)

        wanted = [
            np.median(np.repeat(errors, w[image])) if w.any() else np.nan for w in weights
        ]
        assert np.allclose(found, wanted, equal_nan=True)

    def test_the_interval_over_three_seeds_is_students(self) -> None:
        """Mean 2, deviation 1: 2 +- 4.303 / sqrt(3)."""
        low, high = t_interval([1.0, 2.0, 3.0]) or (0.0, 0.0)

        assert (low, high) == pytest.approx((-0.4843, 4.4843), abs=1e-3)
        assert t_interval([1.0]) is None

    def test_a_row_is_the_mean_of_its_seeds(
        self, players: Dataset, shifted: Callable[..., Predictions]
    ) -> None:
        """Heel and toe 2 px off are right (half a head is 3 px), 12 px off wrong: 2 heads."""
        layout = make_layout(players.schema)
        options = Options.make("extension", ["PCKh"], groups=layout.groups)
        weights = sorted_weights(players, 20, "image", 0)

        scores = score_row(
            players, [shifted(2.0), shifted(12.0)], layout.places, options, weights
        )

        outside = scores["Heel+Toe outside box"]
        assert outside.seeds == (1.0, 0.0)
        assert outside.mean == 0.5
        assert outside.over_instances == (0.5, 0.5)  # all players are alike
        assert scores["Stick in box"].seeds == (1.0, 1.0)  # the butt end, which did not move
        median = scores["Heel+Toe outside box, median"]
        assert median.seeds == pytest.approx((2 / 6, 2.0))
        assert median.over_instances == pytest.approx((7 / 6, 7 / 6))

    def test_the_test_is_paired_by_resample(self) -> None:
        noise = np.linspace(-0.2, 0.2, 101)
        a = SeedScore((0.6, 0.6), 0.6 + noise)
        b = SeedScore((0.5, 0.5), 0.5 + noise)

        test = compare_rows(a, b)

        assert test.difference == pytest.approx(0.1)
        assert test.interval == pytest.approx((0.1, 0.1))
        assert test.p_value == pytest.approx(2 / 102)


def scored(label: str, seeds: tuple[float, ...], schema: Schema) -> ScoredRow:
    layout = make_layout(schema)
    score = SeedScore(seeds, np.full(50, np.mean(seeds)))
    planned = row_of(MODALITIES, label)
    return ScoredRow(planned, dict.fromkeys(layout.places, score), {}, "")


class TestTables:
    @pytest.fixture
    def tables(self) -> Any:
        schema = Schema.load("hockey")
        rows = [
            scored(row.label, (0.10 + 0.01 * n, 0.12 + 0.01 * n), schema)
            for n, row in enumerate(MODALITIES.rows)
        ]
        return make_tables(MODALITIES, make_layout(schema), rows, (0, 1), ("a rule",))

    def test_what_the_paper_states_stands_beside_ours(self, tables: Any) -> None:
        lines = stated_lines(tables[0])

        (line,) = [line for line in lines if "text tokens" in line]
        assert "states +3.35 points" in line
        assert "image + text minus image: +2.0" in line
        assert "seeds +2.0 +2.0" in line

    def test_every_seed_and_the_range_are_printed(self, tables: Any) -> None:
        text = render_table(tables[1])

        assert "10.0 12.0 (10.0-12.0)" in text
        assert "t-interval" in text

    def test_json_has_each_seed_and_each_contrast(self, tables: Any) -> None:
        document = tables[0].to_json()

        (values,) = [
            item["seeds"]
            for item in document["training_seeds"]
            if item["model"] == "image" and item["column"] == "Body"
        ]
        assert values == {"0": 0.10, "1": 0.12}
        stated = [c for c in document["contrasts"] if c["stated"] == "location tokens"]
        assert stated[0]["stated_difference"] == 0.0045
        assert stated[0]["difference"] == pytest.approx(0.01)

    def test_a_row_that_could_not_be_run_is_empty_and_says_why(self) -> None:
        schema = Schema.load("hockey")
        score = SeedScore((0.1,), np.empty(0))
        layout = make_layout(schema)
        rows = [
            ScoredRow(BOXES.rows[0], dict.fromkeys(layout.places, score), {}, ""),
            ScoredRow(BOXES.rows[1], dict.fromkeys(layout.places, score), {}, ""),
            ScoredRow(BOXES.rows[2], None, {}, "not run: needs weights"),
        ]

        table, _ = make_tables(BOXES, layout, rows, (0,), ())

        assert table.measured[2].values == {}
        assert "not run: needs weights" in render_table(table)
        assert any("not measured" in line for line in stated_lines(table))

    def test_a_schema_without_sticks_has_columns_of_its_own(self) -> None:
        keys = [column.key for column in make_layout(Schema.load("crowdpose")).columns]

        assert keys[:4] == ["Body", "In box", "Outside box", "Mean"]


class TestShipped:
    """The checkpoint that ships is full scale's network of seed 0, and no other one's."""

    @pytest.fixture
    def data(self, root: Path) -> Files:
        beside = root / "tokenclipose" / "checkpoints" / "tokenclipose-small_hockey.json"
        facts = json.loads(beside.read_text("utf-8"))
        return replace(DATA, sha256=facts["data_sha256"])

    def test_a_network_that_ships_is_not_trained_again(
        self, data: Files, root: Path, tmp_path: Path
    ) -> None:
        run = make_run(FULL, SCALES["full"].images_seen, 0, data, tmp_path)
        assert not run.is_done

        shipped = take_shipped(run)

        assert (
            shipped == root / "tokenclipose/checkpoints/tokenclipose-small_hockey.safetensors"
        )
        assert run.is_done
        assert run.checkpoint.read_bytes() == shipped.read_bytes()
        assert run.facts()["shipped"] == shipped.name
        facts = json.loads(run.checkpoint.with_suffix(".json").read_text("utf-8"))
        assert facts["images_seen"] == 60_000
        assert "calibration" not in facts, "the other networks are not calibrated either"

    @pytest.mark.parametrize(
        "change",
        [
            {"seed": 1},
            {"images_seen": 6_000},
            {"variant": Variant(changes={"text": "learned"})},
            {"variant": Variant("rle-small")},
            {"variant": Variant("body-to-stick")},
            {"data": replace(DATA, sha256="cd" * 32)},
            {"data": replace(DATA, schema="lacrosse")},
        ],
        ids=str,
    )
    def test_another_network_is_trained(
        self, data: Files, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        wanted = {"variant": FULL, "images_seen": 60_000, "seed": 0, "data": data}
        run = make_run(**(wanted | change), runs=tmp_path)

        assert take_shipped(run) is None
        assert not run.folder.exists()


class TestBoxes:
    def test_a_box_becomes_a_person_without_labels(
        self, players: Dataset, tmp_path: Path
    ) -> None:
        """Of four boxes one is unsure, one flat, one in an unknown image.

        It gets the category of the data, and not that of the detector.
        """
        category = np.full(4, 7, np.int64)
        people = replace(players.annotations, category_id=category)
        players = replace(players, annotations=people)
        records = [
            {"image_id": 2, "category_id": 1, "bbox": [5, 5, 30, 40], "score": 0.9},
            {"image_id": 2, "category_id": 1, "bbox": [5, 5, 30, 40], "score": 0.1},
            {"image_id": 1, "category_id": 1, "bbox": [5, 5, 0, 40], "score": 0.9},
            {"image_id": 9, "category_id": 1, "bbox": [5, 5, 30, 40], "score": 0.9},
        ]
        path = tmp_path / "boxes.json"
        path.write_text(json.dumps(records))

        boxes = read_predictions(path, players.schema, boxes=True)
        found = people_of(players, boxes).annotations

        assert found.bbox_xywh.tolist() == [[5, 5, 30, 40]]
        assert found.image_id.tolist() == [2]
        assert found.category_id.tolist() == [7]
        assert not found.labelled.any()

    def test_a_detector_that_found_nobody_gives_nobody(
        self, players: Dataset, tmp_path: Path
    ) -> None:
        (tmp_path / "boxes.json").write_text("[]\n")

        boxes = read_predictions(tmp_path / "boxes.json", players.schema, boxes=True)

        assert len(people_of(players, boxes).annotations) == 0


class TestFigures:
    def test_distance_from_the_crop_is_negative_inside(self, players: Dataset) -> None:
        """Boxes 40 x 60 make crops 45 x 60; the stick lies 10 px below the box, heads are 6."""
        distance = edge_distance(players, Crop(aspect=3 / 4, padding=1.0))

        heel, nose = players.schema.index("stick_heel"), players.schema.index("nose")
        assert distance[0, heel] == pytest.approx(10 / 6)
        assert distance[0, nose] == pytest.approx(-22.5 / 6)

    def test_bins_hold_medians_or_shares_and_few_values_say_nothing(self) -> None:
        by = np.concatenate([np.full(11, 0.5), np.full(3, 1.5), np.full(10, 2.0)])
        values = np.concatenate([np.arange(11) / 10, np.zeros(3), np.full(10, 9.0)])
        edges = np.array([0.0, 1.0, 1.8, 2.0])

        assert binned(values, by, edges, share=False) == (
            pytest.approx([0.5, 1.4, 1.9]),
            [0.5, None, 9.0],
        )
        assert binned(values, by, edges, share=True)[1] == [pytest.approx(6 / 11), None, 0.0]

    def test_the_charts_by_scale_need_a_head_size_and_say_so(
        self, players: Dataset, shifted: Callable[..., Predictions]
    ) -> None:
        torso = [name.endswith(("shoulder", "hip")) for name in players.schema.names]
        people = players.annotations
        keypoints, visibility = people.keypoints.copy(), people.visibility.copy()
        keypoints[:, torso], visibility[:, torso] = np.nan, 0
        people = replace(
            people,
            keypoints=keypoints,
            visibility=visibility,
            head_box_xywh=np.full((4, 4), np.nan),
        )
        found = replace(shifted(2.0), sigma=np.ones((4, 20, 2)))

        with pytest.raises(InvalidDataError, match=r"no labelled keypoint .* a head size"):
            make_figures(replace(players, annotations=people), {"one": found}, "players")

    def test_one_image_has_its_charts_without_fitted_scores(
        self, players: Dataset, shifted: Callable[..., Predictions]
    ) -> None:
        people = replace(players.annotations, image_id=np.full(4, players.images.ids[0]))
        found = replace(
            shifted(2.0), sigma=np.ones((4, 20, 2)), image_id=people.image_id.copy()
        )

        charts = make_figures(replace(players, annotations=people), {"one": found}, "players")

        (chart,) = [chart for chart in charts if chart.name == "reliability"]
        assert "No fitted scores: calibration: labelled people " in chart.note
        assert "fitted scores" not in chart.svg

    def test_panels_show_the_strongest_of_each_scene(self) -> None:
        strength = np.array([5.0, 9.0, np.nan, 7.0, 6.0])
        usable = np.array([True, False, True, True, True])
        scenes = ["a", "a", "a", "b", "b"]

        assert strongest(strength, usable, scenes, 2).tolist() == [0, 3]
        assert strongest(strength, usable, scenes, 1).tolist() == [3]


def test_a_task_that_fails_is_named_with_its_log(tmp_path: Path) -> None:
    content: dict[str, object] = {"lock": str(tmp_path / "lock"), "model": "nobody"}
    content |= {"done": str(tmp_path / "done.json")}
    task = Task("first network", tmp_path / "run", "train", content, 1)

    with pytest.raises(
        ToolkitError, match=r"first network: no model 'nobody'.*train\.log"
    ) as e:
        run_tasks([task], 1, lambda done, total: None)

    assert e.value.exit_code == 2


def end_with(text: str) -> Callable[..., subprocess.Popen[str]]:
    """Starts a child that does `text` in place of a task."""
    popen = subprocess.Popen

    def begin(command: list[str], **options: Any) -> subprocess.Popen[str]:
        run_it = f"from toolkit.benchmark.ablations import worker; {text}"
        return popen([command[0], "-c", run_it], **options)

    return begin


def test_a_child_that_was_killed_most_likely_ran_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", end_with("import os; os.kill(os.getpid(), 9)"))

    with pytest.raises(ResourceError, match=r"one: killed, most likely .* --jobs .*\.log"):
        run_tasks([Task("one", tmp_path, "train", {}, 1)], 1, lambda done, total: None)


@pytest.mark.parametrize(
    ("raised", "said", "code"),
    [
        ("MemoryError()", "one: out of memory; give a smaller --jobs", 5),
        ("OSError(28, 'No space left on device', 'x')", "one: x: No space left on device", 5),
        ("IndexError('a fault of ours')", "one: IndexError: a fault of ours", 70),
        ("toolkit.errors.InvalidDataError('no people')", "one: no people", 1),
    ],
)
def test_a_child_ends_with_the_code_that_the_command_line_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: str, said: str, code: int
) -> None:
    """1 would say that the data are bad."""
    fail = f"import toolkit.errors; worker.main = lambda path: (_ for _ in ()).throw({raised})"
    monkeypatch.setattr(subprocess, "Popen", end_with(f"{fail}; worker.command('task.json')"))

    with pytest.raises(ToolkitError, match=re.escape(said)) as e:
        run_tasks([Task("one", tmp_path, "train", {}, 1)], 1, lambda done, total: None)

    assert e.value.exit_code == code


def test_a_child_that_begins_just_after_a_failure_is_ended(tmp_path: Path) -> None:
    shared = _Shared([0], 1, lambda done, total: None, lambda line: None)
    shared.fail(ToolkitError("another task failed"))
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    task = Task("one", tmp_path, "train", {}, 1)

    with subprocess.Popen(sleep, stdout=subprocess.PIPE, text=True) as child:
        code = _watch(child, task, 0, shared)

    assert code == -signal.SIGTERM


def test_a_control_killed_before_it_was_noted_as_done_is_fitted_anew(
    players: Dataset, tmp_path: Path
) -> None:
    """By itself a control is never fitted over weights that are there."""
    write(players, tmp_path / "people.json")
    left = tmp_path / "run" / "best.safetensors"
    left.parent.mkdir()
    left.write_bytes(b"a part")
    task = {
        "model": "mean-pose",
        "recipe": None,
        "data": str(tmp_path / "people.json"),
        "images": str(tmp_path),
        "out": str(left.parent),
        "done": str(tmp_path / "done.json"),
        "device": "cpu",
        "seed": 0,
        "schema": players.schema.name,
        "joints": None,
    }

    worker.train(task)

    done = json.loads((tmp_path / "done.json").read_text())
    assert done["checkpoint_sha256"] == sha256_file(left) != sha256_bytes(b"a part")


def test_annotations_that_are_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"missing\.json"):
        given_data(tmp_path / "missing.json", tmp_path, "hockey", tmp_path / "runs")


def test_two_suites_begun_together_split_the_users_file_once(
    players: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.split import Split

    path, write_split = own_file(players, tmp_path, b"a picture"), Split.write

    def second(self: Split, folder: Path) -> None:
        write_split(self, folder)  # the other suite's
        write_split(self, folder)

    monkeypatch.setattr(Split, "write", second)

    data = given_data(path, tmp_path, "hockey", tmp_path / "runs")

    assert len(data.truth.images) == 1


def test_given_weights_of_a_detector_are_tried_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(
        "toolkit.benchmark.ablations.run.run_tasks",
        lambda tasks, *_: begun.extend(task.name.partition("-")[0] for task in tasks),
    )
    data = draw_clips(tmp_path)
    request = AblationRequest(
        tables=(BOXES,),
        scale=Scale("test", 64, 0, 0),
        seeds=(0,),
        data=data,
        images=tmp_path / "images",
        runs=tmp_path / "runs",
        detector_weights="fasterrcm.pth",
    )

    _Suite(request, lambda label: nullcontext(lambda done, total: None), None).train()

    assert begun == ["fasterrcnn", "person", "tokenclipose"]


@pytest.mark.parametrize("damage", ["", "[1]", '{"seconds": '])
def test_damage_in_what_says_that_a_network_is_done_is_told_at_once(
    tmp_path: Path, damage: str
) -> None:
    run = make_run(FULL, 64, 0, DATA, tmp_path)
    run.checkpoint.parent.mkdir(parents=True)
    run.checkpoint.write_bytes(b"weights")
    (run.folder / "done.json").write_text(damage)

    with pytest.raises(ReadError, match=r"done\.json: cannot read it: .*; remove the folder"):
        assert run.is_done


def done_run(folder: Path, **recipe: object) -> TrainingRun:
    """A run that is done, with `recipe` beside its weights."""
    run = make_run(Variant("hrnet-small"), 64, 0, DATA, folder)
    run.checkpoint.parent.mkdir(parents=True)
    run.checkpoint.write_bytes(b"weights")
    (run.folder / "done.json").write_text("{}")
    own = {"images_seen": 64, "validate_every": 16, "input_wh": [96, 128]}
    run.checkpoint.with_suffix(".json").write_text(json.dumps({"recipe": own | recipe}))
    return run


@pytest.mark.parametrize(
    "recipe",
    [{}, {"learning_rate": 2e-3, "flip": 0.5}, {"learning_rate": 1.0, "gone_since": 1}],
    ids=["keys came since", "the same values", "a key went since"],
)
def test_a_network_counts_as_done_where_its_recipe_says_nothing_else(
    tmp_path: Path, recipe: dict[str, object]
) -> None:
    assert done_run(tmp_path, **recipe).is_done


def test_a_network_of_a_default_that_changed_is_neither_taken_nor_thrown_away(
    tmp_path: Path,
) -> None:
    run = done_run(tmp_path, learning_rate=1e-3, flip=0.25)

    with pytest.raises(
        UsageError, match=r"another value of flip, learning_rate than .* another --runs"
    ):
        assert run.is_done


@pytest.mark.parametrize(("rate", "stays"), [(2e-3, True), (1e-3, False)])
def test_half_a_training_goes_on_by_the_same_recipe_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float, stays: bool
) -> None:
    run = make_run(Variant("hrnet-small"), 64, 0, DATA, tmp_path)
    out = run.folder / "run"
    out.mkdir(parents=True)
    begun = {"seed": 0, "learning_rate": rate, **(run.recipe or {})}
    (out / "recipe.json").write_text(json.dumps(begun))
    (run.folder / "recipe.toml").write_text(recipe_text(run.recipe or {}))
    found: list[bool] = []

    def train(request: TrainRequest) -> Path:
        found.append((request.out / "recipe.json").is_file())
        run.checkpoint.parent.mkdir(exist_ok=True)
        run.checkpoint.write_bytes(b"weights")
        return run.checkpoint

    model = replace(find_models()["hrnet-small"], train=train)
    monkeypatch.setattr("toolkit.models.get_model", lambda name: model)
    keys = ("data", "images", "device", "schema", "joints")
    worker.train(
        dict.fromkeys(keys, "")
        | {"model": "hrnet-small", "seed": 0, "out": str(out)}
        | {"recipe": str(run.folder / "recipe.toml"), "done": str(run.folder / "done.json")}
    )

    assert found == [stays]


def test_a_file_of_one_clip_has_nothing_to_test_on(players: Dataset, tmp_path: Path) -> None:
    alone = replace(players.images, clips=("a", "a"))
    write(Dataset(players.schema, alone, players.annotations), tmp_path / "d.json")

    with pytest.raises(InvalidDataError, match="side has no labelled person; the suite needs"):
        given_data(tmp_path / "d.json", tmp_path, "hockey", tmp_path / "runs")


def test_images_without_clips_cannot_be_split_honestly(
    players: Dataset, tmp_path: Path
) -> None:
    nameless = replace(players.images, clips=(None, None))
    write(Dataset(players.schema, nameless, players.annotations), tmp_path / "d.json")

    with pytest.raises(UsageError, match="clip"):
        given_data(tmp_path / "d.json", tmp_path, "hockey", tmp_path / "runs")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--suite", "hockey", "--seeds", "1"], "--seeds.*for --suite ablations"),
        (["--suite", "ablations", "--models", "mean-pose"], "--models.*another --suite"),
        (["--suite", "ablations", "--data", "x.json"], "needs both or none"),
    ],
)
def test_an_option_of_another_suite_is_refused(
    toolkit_cli: Callable[..., Any], arguments: list[str], said: str
) -> None:
    result = toolkit_cli("benchmark", *arguments)

    assert result.exit_code == 2
    assert re.search(said, result.stderr)


SUITE = """
import sys
from pathlib import Path
from toolkit.benchmark.ablations.plan import PlannedRow, PlannedTable, Scale, Variant
from toolkit.benchmark.ablations.run import AblationRequest, _Suite, run_ablations
from toolkit.benchmark.runner import write_report
from toolkit.cli.common import progress_bar

def main():
    data, images, runs, out = map(Path, sys.argv[1:])
    rows = (PlannedRow("one", Variant("hrnet-small")), PlannedRow("two", Variant("mean-pose")))
    table = PlannedTable("two-rows", "Two rows: a test", rows, "one")
    request = AblationRequest(
        tables=(table,), scale=Scale("test", 192, 0, 0), seeds=(0, 1), data=data,
        images=images, runs=runs, jobs=1, bootstrap=20, figures=True,
    )
    write_report(run_ablations(request, progress_bar), out)

main()
"""


def draw_clips(folder: Path, schema_name: str = "hockey") -> Path:
    """Four clips of one frame with two people each, on noise; a head size in hockey alone."""
    schema = Schema.load(schema_name)
    count = schema.num_keypoints
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = tuple(f"{clip}.png" for clip in "abcd")
    for name in names:
        picture = rng.integers(0, 255, (100, 160, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / name), picture)
    boxes = np.tile([[20.0, 20, 40, 60], [100.0, 20, 40, 60]], (4, 1))
    points = boxes[:, None, :2] + rng.random((8, count, 2)) * boxes[:, None, 2:]
    points[:, schema.is_extension, 1] += 45
    visibility = np.full((8, count), 2, np.uint8)
    if schema_name != "hockey":  # no torso and no neck, either, that could be measured
        for place, keypoints in enumerate((("head", "shoulder"), ("neck", "hip"))):
            visibility[place::2, [key.endswith(keypoints) for key in schema.names]] = 0
    people = Annotations.from_arrays(
        schema,
        np.repeat([1, 2, 3, 4], 2),
        points,
        visibility,
        boxes,
        head_box_xywh=boxes * [1, 1, 0.3, 0.2] if schema_name == "hockey" else None,
    )
    images = Images(
        ids=np.arange(1, 5),
        file_names=names,
        size_wh=np.tile([160, 100], (4, 1)),
        clips=tuple("abcd"),
        frames=np.zeros(4, dtype=np.int64),
        crowd_index=np.full(4, np.nan),
    )
    write(Dataset(schema, images, people), folder / "all.json")
    return folder / "all.json"


def test_tables_are_made_where_a_row_or_a_figure_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schema without extension keypoints, nobody with a head size, no scikit-learn."""
    pytest.importorskip("torch")
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    known = find_models()
    known["mean-pose"] = replace(known["mean-pose"], text_tokens=lambda path: None)
    monkeypatch.setattr("toolkit.benchmark.ablations.run.find_models", lambda: known)

    def no_map(*_: object) -> None:
        raise MissingExtraError("the map of prompts needs scikit-learn")

    monkeypatch.setattr("toolkit.benchmark.ablations.run.token_map", no_map)
    data = draw_clips(tmp_path / "data", "crowdpose")
    rows = (PlannedRow("one", Variant("mean-pose")), row_of(RIVALS, "body-to-stick"))
    request = AblationRequest(
        tables=(PlannedTable("two-rows", "Two rows: a test", rows, "one"),),
        scale=Scale("test", 64, 0, 0),
        seeds=(0,),
        data=data,
        images=data.parent / "images",
        schema="crowdpose",
        runs=tmp_path / "runs",
        bootstrap=0,
        figures=True,
    )

    results = run_ablations(request, lambda label: nullcontext(lambda done, total: None))

    one, control = results.tables[0].measured
    assert one.values["images seen"] == 0
    assert control.note == "not run: schema 'crowdpose' has no extension keypoints"
    json.dumps(results.to_json(), allow_nan=False)
    assert results.figures == ()
    said = "\n".join(results.notices)
    assert "no map of the prompts: the map of prompts needs scikit-learn" in said
    assert "no charts: test.json: no labelled keypoint of a person with a head size" in said


def start(tmp_path: Path, data: Path, name: str) -> subprocess.Popen[bytes]:
    """The suite in a process of its own, with runs and a cache of its own."""
    script = tmp_path / "suite.py"
    script.write_text(SUITE)
    runs, out = tmp_path / f"runs-{name}", tmp_path / f"report-{name}"
    with (tmp_path / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, script, data, data.parent / "images", runs, out],
            env={**os.environ, "TOOLKIT_CACHE": str(tmp_path / f"cache-{name}")},
            stderr=log,
        )


def gone(pattern: str) -> bool:
    """Whether no process has `pattern` in its command line."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if pattern in entry.read_bytes().decode("utf-8", errors="replace"):
                return False
        except OSError:
            continue
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.timeout(600)
def test_a_suite_killed_in_a_training_goes_on_and_prints_the_same_tables(
    tmp_path: Path,
) -> None:
    pytest.importorskip("torch")
    data = draw_clips(tmp_path / "data")
    assert start(tmp_path, data, "whole").wait() == 0, (tmp_path / "whole.log").read_text()

    broken = start(tmp_path, data, "broken")
    runs = tmp_path / "runs-broken"
    deadline = time.monotonic() + 300
    while not (states := list(runs.glob("hrnet-small-*/run/last.state.safetensors"))):
        assert broken.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    broken.send_signal(signal.SIGKILL)
    broken.wait()
    while not gone(str(runs)):  # the child ends by itself, soon
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not (states[0].parent.parent / "done.json").exists()
    assert start(tmp_path, data, "broken").wait() == 0, (tmp_path / "broken.log").read_text()

    first, second = (
        json.loads((tmp_path / f"report-{name}" / "results.json").read_text())
        for name in ("whole", "broken")
    )
    for document in (first, second):
        for table in document["tables"]:
            table["rules"] = [line for line in table["rules"] if str(tmp_path) not in line]
    assert first["tables"] == second["tables"]
    assert first["ablations"]["runs"].keys() == second["ablations"]["runs"].keys()
    hashes = [
        {name: run["checkpoint_sha256"] for name, run in document["ablations"]["runs"].items()}
        for document in (first, second)
    ]
    assert hashes[0] == hashes[1]
    figures = {path.name for path in (tmp_path / "report-broken" / "figures").iterdir()}
    assert "reliability.svg" in figures

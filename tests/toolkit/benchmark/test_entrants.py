"""A model's row: predicted once, remembered, and described by its facts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.annotations import Predictions
from toolkit.benchmark.demo import DEMO, HOCKEY, TEST_SEEDS, TRAIN_SEEDS, VALIDATION_SEEDS
from toolkit.benchmark.demo_data import demo_set
from toolkit.benchmark.entrants import (
    Contender,
    code_of,
    load_models,
    model_entrant,
    parse_named_files,
)
from toolkit.benchmark.measure import Entrant
from toolkit.benchmark.pictures import pictures_sha256
from toolkit.benchmark.prediction_cache import cache_key, cached
from toolkit.benchmark.runner import Request, run
from toolkit.dataset import Dataset
from toolkit.errors import ReadError, ResourceError, UsageError, WriteError
from toolkit.formats import read
from toolkit.models import ModelEntry, TrainRequest, get_model
from toolkit.schema import Schema


class Still:
    """A model that puts every keypoint in the box's corner, and counts its calls."""

    name = "still"
    num_parameters = 7

    def __init__(self, facts: dict[str, object]) -> None:
        self.schema = Schema.load("hockey")
        self.facts = facts
        self.calls = 0

    def predict(
        self,
        dataset: Dataset,
        images_dir: Path,
        *,
        boxes: object = None,
        batch_size: int = 64,
        progress: Callable[[int, int], None] | None = None,
    ) -> Predictions:
        self.calls += 1
        people = dataset.annotations
        points = np.repeat(people.bbox_xywh[:, None, :2], 20, axis=1)
        return Predictions.from_arrays(
            self.schema,
            people.image_id,
            points,
            annotation_id=people.instance_id,
            category_id=people.category_id,
        )


def contender(**facts: object) -> Contender:
    def load(schema: str | Path, device: str) -> Still:
        return Still(facts)

    def train(request: TrainRequest) -> Path:
        return request.out

    entry = ModelEntry("still", "Still", "baseline", load, train, note="It stands still.")
    return Contender("still", entry, load("hockey", "cpu"))


def nothing(done: int, total: int) -> None:
    return None


def test_a_model_predicts_once_and_again_when_its_checkpoint_changes(
    players: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    one, same, other = (contender(checkpoint_sha256=key) for key in ("a", "a", "b"))

    rows = [model_entrant(HOCKEY, c, players, tmp_path, nothing) for c in (one, same, other)]

    assert [c.model.calls for c in (one, same, other)] == [1, 0, 1]
    np.testing.assert_array_equal(rows[0].predictions.keypoints, rows[1].predictions.keypoints)
    assert rows[0].costs["s/person"] == rows[1].costs["s/person"]


def test_predictions_from_the_cache_keep_their_category(
    players: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    first, again, others = contender(), contender(), contender()
    people = replace(players.annotations, category_id=np.full(4, 7))
    sevens = replace(players, annotations=people)

    model_entrant(HOCKEY, others, players, tmp_path, nothing)
    rows = [model_entrant(HOCKEY, c, sevens, tmp_path, nothing) for c in (first, again)]

    assert [c.model.calls for c in (others, first, again)] == [1, 1, 0]
    for row in rows:
        assert row.predictions.category_id.tolist() == [7] * 4


def test_a_model_predicts_again_where_it_reads_another_truth_or_speaks_other_prompts(
    players: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    people = players.annotations
    hidden = replace(
        people,
        keypoints=np.full_like(people.keypoints, np.nan),
        visibility=np.zeros_like(people.visibility),
    )
    first, fewer, other = contender(), contender(), contender()
    schema = Schema.load("hockey")
    nose = replace(schema.keypoints[0], prompts=("a nose",) * 5)
    other.model.schema = replace(schema, keypoints=(nose, *schema.keypoints[1:]))

    model_entrant(HOCKEY, first, players, tmp_path, nothing)
    model_entrant(HOCKEY, fewer, replace(players, annotations=hidden), tmp_path, nothing)
    model_entrant(HOCKEY, other, players, tmp_path, nothing)

    assert [c.model.calls for c in (first, fewer, other)] == [1, 1, 1]


def test_a_model_predicts_again_where_pictures_of_the_same_names_and_size_show_another_thing(
    players: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not again where they are the same in another folder, or something lies beside."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    calls = []
    for folder, content in (("a", b"white"), ("a", b"black"), ("b", b"black")):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in players.images.file_names:
            (tmp_path / folder / name).write_bytes(content)
        one = contender()
        pictures = pictures_sha256(players.images, tmp_path / folder)
        (tmp_path / folder / "notes.txt").write_text(content.decode())
        model_entrant(HOCKEY, one, players, tmp_path / folder, nothing, pictures=pictures)
        calls.append(one.model.calls)

    assert calls == [1, 1, 0]


def test_a_benchmark_on_own_data_looks_at_the_pictures_themselves(
    players: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    shown: list[str | None] = []

    def note(*_: object, pictures: str | None = None, **__: object) -> Entrant:
        shown.append(pictures)
        return Entrant("still", contender().model.predict(players, tmp_path))

    monkeypatch.setattr("toolkit.benchmark.runner.load_models", lambda *_: ([contender()], []))
    monkeypatch.setattr("toolkit.benchmark.runner.model_entrant", note)
    for content in (b"white", b"black"):
        for name in players.images.file_names:
            (tmp_path / name).write_bytes(content)
        run(Request("hockey", data=players.path, images=tmp_path, bootstrap=0))

    assert None not in shown
    assert len(set(shown)) == 2


def test_predictions_that_cannot_be_kept_are_given_with_a_notice(
    players: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may have taken an hour. Who needs them in the cache is told by an error."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))

    def full(*_: object, **__: object) -> None:
        raise ResourceError("kept.npz: cannot write: No space left on device")

    monkeypatch.setattr("toolkit.benchmark.prediction_cache.write_bytes", full)
    said: list[str] = []

    row = model_entrant(HOCKEY, contender(), players, tmp_path, nothing, say=said.append)

    assert len(row.predictions) == 4
    assert said == [
        "predictions were not kept for the next run: kept.npz: cannot write: No space left "
        "on device"
    ]
    with pytest.raises(ResourceError, match="No space left"):
        model_entrant(HOCKEY, contender(), players, tmp_path, nothing)


def test_a_broken_file_of_the_last_table_is_told_before_any_model_runs(
    players: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.benchmark.runner.load_models", lambda *_: ([contender()], []))
    monkeypatch.setattr(
        "toolkit.benchmark.runner._rendered_truth", lambda *_: (players, tmp_path)
    )
    monkeypatch.setattr(
        "toolkit.benchmark.runner.model_entrant", lambda *_, **__: pytest.fail("a model ran")
    )
    (tmp_path / "broken.json").write_text("[")

    with pytest.raises(ReadError, match=r"broken\.json"):
        run(Request("demo", predictions={"crowdpose:mine": tmp_path / "broken.json"}))


def test_two_rows_of_one_name_are_told_before_any_model_runs(
    players: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "toolkit.benchmark.runner.load_models", lambda *_: ([contender(), contender()], [])
    )
    monkeypatch.setattr(
        "toolkit.benchmark.runner.model_entrant", lambda *_, **__: pytest.fail("a model ran")
    )

    with pytest.raises(
        UsageError, match="--models and --predictions: two rows have the name 'still'"
    ):
        run(Request("hockey", data=players.path, images=tmp_path, models=("a", "b")))


def test_the_code_of_a_model_is_that_of_all_packages_that_register_models(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(
        "toolkit.benchmark.entrants.code_hash", lambda path: hashed.append(path.name) or ""
    )

    code_of(get_model("tokenclipose-small"))

    assert {"baselines", "tokenclipose"} <= set(hashed)


def test_facts_become_costs_and_notes(
    players: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    row = model_entrant(
        HOCKEY,
        contender(images_seen=10, text_encoder="minilm"),
        players,
        tmp_path,
        nothing,
    )

    assert row.costs["params"] == 7
    assert row.costs["images seen"] == 10
    assert row.costs["text"] == "minilm"
    assert row.note == "It stands still"
    assert row.is_ours is row.given_truth is False


def test_a_broken_cache_file_is_made_again(players: Dataset, tmp_path: Path) -> None:
    path = tmp_path / f"{cache_key('a', 1)}.npz"
    path.write_bytes(b"broken")
    model = contender().model

    def compute() -> tuple[Predictions, float]:
        return model.predict(players, tmp_path), 2.0

    first = cached(path, model.schema, compute)
    second = cached(path, model.schema, compute)

    assert model.calls == 1
    assert first[1] == second[1] == 2.0
    assert cache_key("a", 1) != cache_key("a", 2)


def test_names_of_prediction_files_are_parsed_or_refused() -> None:
    assert parse_named_files(["a=x.json", "b=y=z.json"]) == {
        "a": Path("x.json"),
        "b": Path("y=z.json"),
    }
    for bad in ("a", "=x", "a="):
        with pytest.raises(UsageError, match="wanted NAME=FILE"):
            parse_named_files([bad])


def test_a_demo_set_is_rendered_once_from_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))

    folder = demo_set(HOCKEY, people=6)
    stamp = (folder / "annotations.json").stat().st_mtime_ns
    again = demo_set(HOCKEY, people=6)

    truth = read(folder / "annotations.json")
    assert truth.schema.name == "hockey"
    assert len(truth.annotations) == 6
    assert again == folder
    assert (again / "annotations.json").stat().st_mtime_ns == stamp
    assert f"seed{HOCKEY.seed}" in folder.parent.name


def test_a_cache_that_cannot_be_made_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "file" / "cache"))

    with pytest.raises(WriteError, match="TOOLKIT_CACHE"):
        demo_set(HOCKEY, people=6)


def test_no_test_seed_was_trained_or_chosen_on() -> None:
    used = {*TRAIN_SEEDS.values(), *VALIDATION_SEEDS.values()}

    assert used.isdisjoint(TEST_SEEDS.values())
    assert [suite.seed for suite in DEMO] == [404, 424, 414]
    assert replace(HOCKEY, seed=1).schema == HOCKEY.trained_on


def test_what_reads_anothers_weights_stands_in_a_table_only_where_it_is_named() -> None:
    coarse = "tokenclipose-small-coarse"
    everybody, _ = load_models(HOCKEY, None, "cpu")
    named, _ = load_models(HOCKEY, [coarse], "cpu")

    assert coarse not in [found.label for found in everybody]
    assert [found.label for found in named] == [coarse]

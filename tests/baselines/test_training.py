"""The training loop on eight drawn people: a few steps, stopped and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from baselines.checkpoints import (
    read_metadata,
    read_tensors,
    save_checkpoint,
    write_tensors,
)
from baselines.config import TrainConfig, load_recipe
from baselines.family import HEATMAP, Family
from baselines.pipeline import prefetched
from baselines.precision import Precision, choose_precision, full
from baselines.predictor import NetworkModel
from baselines.regression import REGRESSION
from baselines.requests import start_from
from baselines.run_state import STATE, Run
from baselines.training import batch_rows, deterministic, rate, train, with_budget
from baselines.validation import pckh_shares
from tokenclipose.family import TOKENCLIPOSE
from toolkit.catalog import sample_path
from toolkit.dataset import Dataset
from toolkit.errors import (
    InvalidDataError,
    MissingExtraError,
    OutputExistsError,
    ReadError,
    ResourceError,
    SchemaError,
    ToolkitError,
    UnsafeInputError,
    UsageError,
)
from toolkit.formats import read
from toolkit.models import get_model
from toolkit.schema import Schema

TINY = TrainConfig(
    input_wh=(32, 32), images_seen=24, batch_size=4, validate_every=8, precision="float32"
)
MEANS = ("exp_avg", "exp_avg_sq")  # of AdamW
SMALL = {"dim": 16, "layers": 1, "heads": 2, "guide_weight": 1.0, "error_weight": 1.0}


def run(people: tuple[Dataset, Path], out: Path, **options: object) -> Path:
    dataset, folder = people
    return train(
        HEATMAP,
        dataset,
        folder,
        out,
        TINY,
        model="hrnet-small",
        validation=(dataset, folder),
        **options,
    )


def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    whole = run(people, tmp_path / "whole", seed=3)
    run(people, tmp_path / "parts", seed=3, stop_after=12)
    parts = run(people, tmp_path / "parts", seed=3, resume=True)
    for name in ("best.safetensors", "last.safetensors"):
        expected = read_tensors(whole.parent / name)
        found = read_tensors(parts.parent / name)
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert torch.equal(value, found[key]), key


def test_the_facts_beside_the_weights_say_what_they_are(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    path = run(people, tmp_path / "run", seed=5, progress=lambda *pair: seen.append(pair))
    facts = json.loads((path.parent / "last.json").read_text())
    assert facts["model"] == "hrnet-small"
    assert facts["schema"]["name"] == "hockey"
    assert facts["seed"] == 5
    assert facts["images_seen"] == 24
    assert facts["recipe"]["box"] == "human"
    assert facts["training_instances"] == 8
    assert set(facts["validation"]) >= {"all", "body", "Stick Heel out"}
    assert seen[-1] == (24, 24)
    log = (path.parent / "log.csv").read_text().splitlines()
    assert len(log) == 4  # a header and three validations
    recipe = json.loads((path.parent / "recipe.json").read_text())
    assert recipe["images_seen"] == 24


def test_a_finished_folder_is_not_trained_over(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    run(people, tmp_path, seed=1, stop_after=4)
    with pytest.raises(UsageError, match="holds a training run already; pass --resume"):
        run(people, tmp_path, seed=1)


@pytest.mark.parametrize("resume", [False, True])
def test_two_trainings_do_not_write_to_one_folder_at_a_time(
    people: tuple[Dataset, Path], tmp_path: Path, resume: bool
) -> None:
    alone = run(people, tmp_path / "alone", seed=1)
    refused = []

    def second(seen: int, total: int) -> None:
        with pytest.raises(UsageError, match="run: another training writes here; wait for its"):
            run(people, tmp_path / "run", seed=2, resume=resume)
        refused.append(seen)

    found = run(people, tmp_path / "run", seed=1, progress=second)

    assert len(refused) == 6, "from its first step to its last"
    assert found.read_bytes() == alone.read_bytes()
    assert json.loads((found.parent / "recipe.json").read_text())["seed"] == 1
    with pytest.raises(UsageError, match="holds a training run already"):
        run(people, tmp_path / "run", seed=2)


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors", STATE])
@pytest.mark.parametrize("resume", [False, True])
def test_weights_of_something_else_are_not_trained_over(
    people: tuple[Dataset, Path], tmp_path: Path, name: str, resume: bool
) -> None:
    """A control, a detector or a network from elsewhere has no recipe.json beside it."""
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=f"holds '{name}' and no recipe.json.*--out"):
        run(people, tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


def test_a_run_whose_state_is_gone_does_not_begin_anew_over_its_weights(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    best = run(people, tmp_path, seed=1)
    before = best.read_bytes()
    (tmp_path / STATE).unlink()
    with pytest.raises(UsageError, match=r"is gone; .*--init best.safetensors with another"):
        run(people, tmp_path, seed=1, resume=True)
    assert best.read_bytes() == before


def test_a_run_killed_while_it_writes_its_first_weights_goes_on(
    people: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It validates at every step, so no state of its own accord comes before them."""
    config = replace(TINY, validate_every=4)
    whole = train(HEATMAP, *people, tmp_path / "whole", config, model="x", seed=1)

    def killed(*arguments: object, **options: object) -> None:
        save_checkpoint(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("baselines.training.save_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            train(HEATMAP, *people, tmp_path / "cut", config, model="x", seed=1)
    assert (tmp_path / "cut" / "best.safetensors").exists()

    cut = train(HEATMAP, *people, tmp_path / "cut", config, model="x", seed=1, resume=True)
    expected, found = read_tensors(whole), read_tensors(cut)
    assert all(torch.equal(value, found[key]) for key, value in expected.items())


def test_a_run_is_not_resumed_with_another_seed(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    run(people, tmp_path, seed=1, stop_after=4)
    with pytest.raises(UsageError, match="another recipe or seed"):
        run(people, tmp_path, seed=2, resume=True)


def test_two_people_can_be_learned_by_heart(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, folder = people
    two = dataset.subset(slice(0, 2))
    config = replace(
        TINY, input_wh=(32, 32), images_seen=480, batch_size=4, ema_decay=0.9,
        validate_every=480, scale=0, rotation=0, shift=0, flip=0, color=0,
        learning_rate=5e-3,
    )  # fmt: skip
    train(
        HEATMAP, two, folder, tmp_path, config, model="x", validation=(two, folder)
    )  # fmt: skip
    facts = json.loads((tmp_path / "last.json").read_text())
    assert facts["validation"]["body"] > 60


def test_every_instance_is_shown_once_an_epoch() -> None:
    """Ten instances in batches of four: the first ten places hold each once."""
    rows = np.concatenate([batch_rows(10, 4, step, seed=0) for step in range(5)])
    assert sorted(rows[:10].tolist()) == list(range(10))
    assert sorted(rows[10:20].tolist()) == list(range(10))
    assert rows[:10].tolist() != rows[10:20].tolist()


def test_the_learning_rate_warms_up_and_comes_down() -> None:
    config = replace(TINY, warmup=0.1)
    rates = [rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[-1] < 0.001
    stepped = [rate(step, 100, replace(config, schedule="step")) for step in range(100)]
    assert sorted(set(stepped[10:])) == [0.01, 0.1, 1.0]


def test_perfect_keypoints_score_100_in_every_column(people: tuple[Dataset, Path]) -> None:
    dataset, _ = people
    shares = pckh_shares(dataset, dataset.annotations.keypoints)
    assert shares["all"] == shares["body"] == shares["Stick Toe out"] == 100
    assert "Stick Toe in" not in shares, "no toe lies in the box, so nothing is counted"


def test_without_a_head_box_the_schema_s_next_rule_gives_the_head(
    people: tuple[Dataset, Path],
) -> None:
    dataset, _ = people
    bare = np.full_like(dataset.annotations.head_box_xywh, np.nan)
    torsos = replace(dataset, annotations=replace(dataset.annotations, head_box_xywh=bare))
    assert pckh_shares(torsos, dataset.annotations.keypoints)["body"] == 100


def test_a_prediction_that_is_no_number_is_wrong_and_changes_no_column(
    people: tuple[Dataset, Path],
) -> None:
    dataset, _ = people
    right = pckh_shares(dataset, dataset.annotations.keypoints)
    none = pckh_shares(dataset, np.full_like(dataset.annotations.keypoints, np.nan))
    assert list(none) == list(right)
    assert set(none.values()) == {0.0}


def test_without_any_rule_for_a_head_a_tenth_of_the_box_s_diagonal_is_the_limit(
    people: tuple[Dataset, Path],
) -> None:
    dataset, _ = people
    headless = replace(dataset.schema, head_size=())
    truth = replace(
        dataset, schema=headless, annotations=replace(dataset.annotations, schema=headless)
    )
    limit = np.hypot(*truth.annotations.bbox_xywh[:, 2:].T) / 10

    for factor, right in ((0.99, 100), (1.01, 0)):
        moved = truth.annotations.keypoints.copy()
        moved[..., 0] += factor * limit[:, None]
        assert pckh_shares(truth, moved)["all"] == right


def test_shipped_recipes_are_read_and_paired_models_share_what_must_be_equal() -> None:
    ours, rival = load_recipe("tokenclipose_small"), load_recipe("hrnet_small")
    for key in ("backbone", "input_wh", "box", "box_padding", "images_seen", "batch_size"):
        assert getattr(ours, key) == getattr(rival, key)
    assert load_recipe("tokenclipose_w48").input_wh == (192, 256)
    assert load_recipe("hrnet_small", images_seen=5).images_seen == 5


def test_a_budget_spreads_the_validations_of_a_recipe_that_has_one() -> None:
    """An adopted network's recipe has seen no image: there is nothing to spread them over."""
    recipe = replace(TINY, images_seen=1000, validate_every=200)
    assert with_budget(recipe, None) == recipe
    assert with_budget(recipe, 500).validate_every == 100
    adopted = with_budget(replace(recipe, images_seen=0), 500)
    assert (adopted.images_seen, adopted.validate_every) == (500, 200)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("batchsize = 3", InvalidDataError, "unknown key 'batchsize'.*batch_size"),
        ('box = "big"', InvalidDataError, "'box' is 'big'; expected one of human, enlarged"),
        ("batch_size = 1.5", InvalidDataError, "'batch_size' is 1.5; expected int"),
        ("input_wh = [96]", InvalidDataError, "'input_wh' is .96.; expected tuple"),
        ("batch_size = 0", InvalidDataError, "'batch_size' is 0; expected 1 or more"),
        ("flip = 1.5", InvalidDataError, "'flip' is 1.5; expected 0 to 1"),
        ("scale = 1.0", InvalidDataError, "'scale' is 1; expected 0 to 0.95"),
        ("learning_rate = nan", InvalidDataError, "'learning_rate' is nan; expected 0 or more"),
        (
            'family = "tokenclipose"\ndim = 90',
            InvalidDataError,
            "'dim' is 90 and 'heads' 4; 'dim' must be a multiple of 4 and of 'heads'",
        ),
        ("box =", ReadError, "cannot read the recipe"),
    ],
)
def test_a_wrong_recipe_is_refused(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        load_recipe(path)


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no recipe 'none'.*known: hrnet_small, "):
        load_recipe("none")


def test_a_run_is_not_resumed_on_other_annotations(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, folder = people
    first = replace(dataset, digest=lambda: "a" * 64)
    run((first, folder), tmp_path, seed=1, stop_after=4)
    other = replace(dataset, digest=lambda: "b" * 64)
    with pytest.raises(UsageError, match=r"other annotations \(SHA-256 aaaa.*--init"):
        run((other, folder), tmp_path, seed=1, resume=True)


def test_a_run_is_not_resumed_on_another_schema(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, folder = people
    run(people, tmp_path, seed=1, stop_after=4)
    coco = Schema.load("coco")
    people17 = replace(
        dataset.annotations,
        schema=coco,
        keypoints=dataset.annotations.keypoints[:, :17],
        visibility=dataset.annotations.visibility[:, :17],
    )
    other = replace(dataset, schema=coco, annotations=people17)
    with pytest.raises(SchemaError, match="20 keypoints of another schema; 'coco' has 17"):
        run((other, folder), tmp_path, seed=1, resume=True)


def _in_schema(dataset: Dataset, schema: Schema, columns: Sequence[int]) -> Dataset:
    people = dataset.annotations
    chosen = replace(
        people,
        schema=schema,
        keypoints=people.keypoints[:, columns],
        visibility=people.visibility[:, columns],
    )
    return replace(dataset, schema=schema, annotations=chosen)


def _trained_beside(
    people: tuple[Dataset, Path], out: Path, validation: tuple[Dataset, Path], **options: object
) -> Path:
    return train(HEATMAP, *people, out, TINY, model="x", validation=validation, **options)


def test_validation_data_of_another_schema_are_refused_before_anything_is_written(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, folder = people
    coco = _in_schema(dataset, Schema.load("coco"), range(17))
    with pytest.raises(SchemaError, match=r"--val-data: .*'coco' with 17 .*'hockey' with 20"):
        _trained_beside(people, tmp_path / "run", (coco, folder))
    order = [*range(1, 20), 0]
    keypoints = tuple(dataset.schema.keypoints[k] for k in order)
    turned = _in_schema(dataset, replace(dataset.schema, keypoints=keypoints), order)
    with pytest.raises(SchemaError, match=r"'hockey' with 20 \(in another order\); give"):
        _trained_beside(people, tmp_path / "run", (turned, folder))
    assert not (tmp_path / "run").exists()


def test_a_validation_that_cannot_be_done_is_told_before_the_first_step(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, folder = people
    out = tmp_path / "run"
    with pytest.raises(ReadError, match=r"--val-data: .*none.*with --val-images"):
        _trained_beside(people, out, (dataset, tmp_path / "none"))
    with pytest.raises(InvalidDataError, match=r"--val-data: 4 of 4 images.*--val-images"):
        _trained_beside(people, out, (dataset, tmp_path))
    boxes = dataset.annotations.bbox_xywh.copy()
    boxes[3, 2] = 0
    empty = replace(dataset, annotations=replace(dataset.annotations, bbox_xywh=boxes))
    with pytest.raises(InvalidDataError, match=r"--val-data: .*annotation id=4: bbox"):
        _trained_beside(people, out, (empty, folder))
    assert not out.exists()


def test_a_run_is_not_resumed_on_another_validation(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    """The best by one measure is not compared with the best by another."""
    dataset, folder = people
    first = replace(dataset, digest=lambda: "a" * 64)
    _trained_beside(people, tmp_path, (first, folder), stop_after=12)
    other = replace(dataset, digest=lambda: "b" * 64)
    with pytest.raises(UsageError, match=r"validated on other .*SHA-256 aaaa.*same --val-data"):
        _trained_beside(people, tmp_path, (other, folder), resume=True)


def _rewrite_state(
    out: Path, change: Callable[[dict[str, torch.Tensor], dict[str, str]], object]
) -> None:
    tensors, told = read_tensors(out / STATE), read_metadata(out / STATE)
    change(tensors, told)
    write_tensors(out / STATE, tensors, force=True, metadata=told)


def test_a_state_of_an_older_version_says_nothing_of_its_validation_and_is_resumed(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, folder = people
    known = replace(dataset, digest=lambda: "a" * 64)
    _trained_beside(people, tmp_path, (known, folder), stop_after=12)
    _rewrite_state(tmp_path, lambda _, told: told.pop("validation_sha256"))
    _trained_beside(people, tmp_path, (known, folder), resume=True)
    assert json.loads((tmp_path / "last.json").read_text())["images_seen"] == 24


@pytest.mark.parametrize(
    ("key", "value"),
    [("history", "3"), ("history", "[3]"), ("keypoint_names", "3"), ("data_sha256", "3")],
)
def test_a_state_that_says_something_else_is_named(
    people: tuple[Dataset, Path], tmp_path: Path, key: str, value: str
) -> None:
    run(people, tmp_path, seed=1, stop_after=4)
    _rewrite_state(tmp_path, lambda _, told: told.update({key: value}))
    with pytest.raises(ReadError, match=f"state of a training run: '{key}' is .?3.?; train"):
        run(people, tmp_path, seed=1, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name: None, "step 1 without the optimizer's tensors"),
        (lambda name: name.replace(".0.", ".999."), r"optimizer.999 of \d+ parameters"),
        (lambda name: name.replace(".0.", ".1."), r"optimizer.\d+ is not of a parameter \("),
    ],
    ids=["none", "too many", "another shape"],
)
def test_a_state_with_an_optimizer_of_something_else_is_named(
    people: tuple[Dataset, Path],
    tmp_path: Path,
    change: Callable[[str], str | None],
    message: str,
) -> None:
    def changed(tensors: dict[str, torch.Tensor], _: dict[str, str]) -> None:
        for key in [key for key in tensors if key.startswith("optimizer.")]:
            value, name = tensors.pop(key), change(key)
            if name is not None:
                tensors[name] = value

    run(people, tmp_path, seed=1, stop_after=4)
    _rewrite_state(tmp_path, changed)
    with pytest.raises(ReadError, match=f"does not fit the recipe: {message}"):
        run(people, tmp_path, seed=1, resume=True)


def test_a_resumed_run_has_the_optimizer_s_means_in_the_layout_of_their_parameters(
    people: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside parameters in channels last, means in rows make each step slower."""
    run(people, tmp_path, seed=1, stop_after=4)
    strides = []

    def stepped(run: Run, *_: object) -> torch.Tensor:
        for parameter, values in run.optimizer.state.items():
            strides.extend((parameter.stride(), values[n].stride()) for n in MEANS)
        raise KeyboardInterrupt

    monkeypatch.setattr("baselines.training.one_step", stepped)
    with pytest.raises(KeyboardInterrupt):
        run(people, tmp_path, seed=1, resume=True)
    assert any(len(stride) == 4 for stride, _ in strides)
    assert all(stride == found for stride, found in strides)


def test_a_damaged_state_is_named(people: tuple[Dataset, Path], tmp_path: Path) -> None:
    run(people, tmp_path, seed=1, stop_after=4)
    state = tmp_path / STATE
    state.write_bytes(state.read_bytes()[:-9])
    with pytest.raises(ReadError, match=r"last.state.safetensors: not a whole safetensors"):
        run(people, tmp_path, seed=1, resume=True)


def test_a_state_of_something_else_is_named(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    run(people, tmp_path, seed=1, stop_after=4)
    write_tensors(tmp_path / STATE, {}, force=True, metadata={"format": "pt"})
    with pytest.raises(ReadError, match="not the state of a training run"):
        run(people, tmp_path, seed=1, resume=True)


def test_a_run_is_not_resumed_without_its_validation(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, folder = people
    run(people, tmp_path, seed=1, stop_after=12)
    with pytest.raises(UsageError, match="was begun with --val-data; resume it with"):
        train(
            HEATMAP, dataset, folder, tmp_path, TINY, model="hrnet-small", seed=1, resume=True
        )


def test_a_run_of_an_older_version_is_resumed(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    """Its recipe lacks a key that came later and has its default now."""
    run(people, tmp_path, seed=1, stop_after=4)
    path = tmp_path / "recipe.json"
    recipe = json.loads(path.read_text())
    del recipe["half_body"]
    path.write_text(json.dumps(recipe))
    run(people, tmp_path, seed=1, resume=True)
    assert json.loads((tmp_path / "last.json").read_text())["images_seen"] == 24


def test_a_loss_that_is_no_number_ends_the_run_before_anything_is_saved(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, folder = people
    config = replace(TINY, learning_rate=1e30, warmup=0.0)
    with pytest.raises(ToolkitError, match=r"loss became \w+ by image \d+; lower"):
        train(HEATMAP, dataset, folder, tmp_path, config, model="x")
    assert not (tmp_path / "best.safetensors").exists()


def test_the_best_checkpoint_is_the_one_of_the_best_validation(
    people: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([10.0, 30.0, 20.0])
    monkeypatch.setattr("baselines.training.validate", lambda *_, **__: {"all": next(scores)})
    run(people, tmp_path, seed=1)
    facts = [json.loads((tmp_path / f"{n}.json").read_text()) for n in ("best", "last")]
    assert [f["images_seen"] for f in facts] == [16, 24]
    assert [f["validation"]["all"] for f in facts] == [30.0, 20.0]


def test_scalars_for_tensorboard_are_written_by_images_seen(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(people, tmp_path, seed=1, tensorboard=True, stop_after=16)
    run(people, tmp_path, seed=1, tensorboard=True, resume=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"train/loss", "train/rate", "validation/all"} <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Scalars("validation/all")] == [8, 16, 24]
    assert [e.step for e in events.Scalars("train/loss")] == [4, 8, 12, 16, 20, 24]


def test_without_tensorboard_the_message_says_how_to_get_it(
    people: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"install 'extension-keypoints.tensorboard"):
        run(people, tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_frozen_batchnorm_keeps_its_means(people: tuple[Dataset, Path], tmp_path: Path) -> None:
    dataset, folder = people
    for kind in ("frozen", "train"):
        config = replace(TINY, batchnorm=kind)
        train(HEATMAP, dataset, folder, tmp_path / kind, config, model="x")
        tensors = read_tensors(tmp_path / kind / "last.safetensors")
        means = [v for k, v in tensors.items() if k.endswith("running_mean")]
        assert all((mean == 0).all() for mean in means) == (kind == "frozen")


def test_a_network_starts_from_a_checkpoint_of_the_same_keypoints(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, _ = people
    path = run(people, tmp_path, seed=1)
    network = HEATMAP.build(dataset.schema, TINY, None)
    start_from(network, path=path, schema=dataset.schema)
    stored = read_tensors(path)
    for key, value in network.named_parameters():
        assert torch.equal(value, stored[key].float())
    with pytest.raises(
        SchemaError,
        match=r"schema 'hockey' with 20 keypoints.*'coco' with 17.*pretrained",
    ):
        start_from(network, path=path, schema=Schema.load("coco"))
    pickled = tmp_path / "weights.pth"
    torch.save({}, pickled)
    with pytest.raises(UnsafeInputError, match="refused: not safetensors"):
        start_from(network, path=pickled, schema=dataset.schema)


def test_a_cpu_computes_in_what_it_can() -> None:
    assert choose_precision("float64", "cpu") == Precision(torch.float64, None)
    assert choose_precision("float32", "cpu") == Precision()
    with pytest.raises(UsageError, match="float16': only GPUs train in it, not 'cpu'"):
        choose_precision("float16", "cpu")


def test_bfloat16_is_refused_where_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baselines.precision.bfloat16_is_native", lambda device: False)
    with pytest.raises(UsageError, match="70 times slower than float32; use 'auto'"):
        choose_precision("bfloat16", "cpu")
    assert choose_precision("auto", "cpu") == Precision()
    monkeypatch.setattr("baselines.precision.bfloat16_is_native", lambda device: True)
    assert choose_precision("auto", "cpu").compute is torch.bfloat16


class Seen(nn.Module):
    """A network that notes whether a GPU's convolutions would be rounded to TF32."""

    def __init__(self, network: nn.Module, seen: list[tuple[bool, bool]]) -> None:
        super().__init__()
        self.network, self.seen = network, seen

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, torch.backends.cudnn.allow_tf32))
        found: torch.Tensor = self.network(images)
        return found


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_only_training_in_precision_auto_is_rounded_to_tf32(
    people: tuple[Dataset, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    monkeypatch.setattr("baselines.precision.bfloat16_is_native", lambda device: False)
    seen: list[tuple[bool, bool]] = []
    family = replace(HEATMAP, build=lambda *given: Seen(HEATMAP.build(*given), seen))
    config = replace(TINY, precision=precision, images_seen=4)
    options = {"model": "x", "validation": people}
    assert torch.backends.cudnn.allow_tf32
    train(family, *people, tmp_path, config, **options)
    assert set(seen) == {(True, precision == "auto"), (False, False)}
    assert torch.backends.cudnn.allow_tf32


class Exhausted(nn.Module):
    """A network too large for its GPU, as torch says it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def test_a_gpu_without_the_memory_for_a_step_is_told_in_one_line(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    family = replace(HEATMAP, build=lambda *given: Exhausted())
    with pytest.raises(ResourceError, match=r"memory is exhausted; lower 'batch_size' \(now 4"):
        train(family, *people, tmp_path, TINY, model="x")
    schema = people[0].schema
    model = NetworkModel(Exhausted(), HEATMAP, TINY, schema, name="x")
    with pytest.raises(ResourceError, match=r"exhausted; 3 crops at a time.*--batch-size"):
        model.predict(*people, batch_size=3)


def test_losses_are_computed_in_at_least_single_precision() -> None:
    kinds = {
        torch.float64: torch.float64,
        torch.float32: torch.float32,
        torch.bfloat16: torch.float32,
        torch.float16: torch.float32,
    }
    for given, wanted in kinds.items():
        assert full(torch.zeros(1, dtype=given)).dtype is wanted


def test_deterministic_mode_ends_with_its_block() -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(wanted=True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_batches_are_made_ahead_in_order_and_errors_come_in_their_place() -> None:
    assert list(prefetched(lambda n: n * n, range(20), threads=4)) == [n * n for n in range(20)]

    def make(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    found = []
    with pytest.raises(ValueError, match="three"):
        found.extend(prefetched(make, range(9), threads=2))
    assert found == [0, 1, 2]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(
    "options",
    [
        {"precision": "float16"},
        {"precision": "bfloat16"},
        {"precision": "float32", "deterministic": True},
        {"precision": "auto", "compile": True},
    ],
)
@pytest.mark.parametrize(
    ("family", "changes"),
    [
        (HEATMAP, {}),
        (REGRESSION, {"family": "regression"}),
        (TOKENCLIPOSE, {"family": "tokenclipose", "attention": "cross", **SMALL}),
        (TOKENCLIPOSE, {"family": "tokenclipose", "attention": "intention", **SMALL}),
    ],
    ids=["heatmap", "regression", "cross", "intention"],
)
def test_a_gpu_trains_and_resumes_in_every_precision(
    people: tuple[Dataset, Path],
    tmp_path: Path,
    options: dict[str, object],
    family: Family,
    changes: dict[str, object],
) -> None:
    dataset, folder = people
    config = replace(TINY, **options, **changes)
    common = {"model": "x", "device": "cuda", "validation": (dataset, folder)}
    train(family, dataset, folder, tmp_path, config, stop_after=12, **common)
    path = train(family, dataset, folder, tmp_path, config, resume=True, **common)
    facts = json.loads((path.parent / "last.json").read_text())
    assert facts["images_seen"] == 24
    assert np.isfinite(facts["validation"]["loss"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_same_bits_again_in_deterministic_mode(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, folder = people
    config = replace(TINY, deterministic=True)
    found = []
    for name in "ab":
        train(HEATMAP, dataset, folder, tmp_path / name, config, model="x", device="cuda")
        found.append(read_tensors(tmp_path / name / "last.safetensors"))
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", ["hrnet-small", "tokenclipose-small"])
def test_a_gpu_predicts_what_a_cpu_predicts(name: str) -> None:
    sample = sample_path("hockey")
    dataset, images = read(sample), sample.parent / "images"
    found = [
        get_model(name).load("hockey", device).predict(dataset, images).keypoints
        for device in ("cpu", "cuda")
    ]
    assert found[0] == pytest.approx(found[1], abs=0.1)

"""The training loop on eight drawn people: a few steps, stopped and resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.checkpoints import read_tensors
from baselines.config import TrainConfig, load_recipe
from baselines.family import HEATMAP
from baselines.training import batch_rows, pckh_shares, rate, train
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, ReadError, UsageError

TINY = TrainConfig(
    input_wh=(32, 32), images_seen=24, batch_size=4, validate_every=8, precision="float32"
)


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
    assert shares["Stick Toe in"] == 0, "no toe lies in the box, so nothing is counted"


def test_shipped_recipes_are_read_and_paired_models_share_what_must_be_equal() -> None:
    ours, rival = load_recipe("tokenclipose_small"), load_recipe("hrnet_small")
    for key in ("backbone", "input_wh", "box", "box_padding", "images_seen", "batch_size"):
        assert getattr(ours, key) == getattr(rival, key)
    assert load_recipe("tokenclipose_w48").input_wh == (192, 256)
    assert load_recipe("hrnet_small", images_seen=5).images_seen == 5


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("batchsize = 3", InvalidDataError, "unknown key 'batchsize'.*batch_size"),
        ('box = "big"', InvalidDataError, "'box' is 'big'; expected one of human, enlarged"),
        ("batch_size = 1.5", InvalidDataError, "'batch_size' is 1.5; expected int"),
        ("input_wh = [96]", InvalidDataError, "'input_wh' is .96.; expected tuple"),
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

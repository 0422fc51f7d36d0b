"""`toolkit train` and `toolkit predict`, from files to files."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from baselines.entries import CHECKPOINTS as BASELINES
from tokenclipose import CHECKPOINTS
from toolkit import write
from toolkit.catalog import sample_path
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.formats import read
from toolkit.models import get_model
from toolkit.runtimes import in_runtime

OURS, COARSE = "tokenclipose-small", "tokenclipose-small-coarse"
SHIPPED = CHECKPOINTS / "tokenclipose-small_hockey.safetensors"
RECIPE = """
family = "{family}"
input_wh = [64, 64]
images_seen = 16
batch_size = 4
validate_every = 8
dim = 16
layers = 1
heads = 2
guide_weight = 1.0
error_weight = 1.0
"""


@pytest.fixture
def files(people: tuple[Dataset, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Eight drawn people on disk: annotations and images."""
    dataset, folder = people
    path = tmp_path / "annotations.json"
    write(dataset, path)
    return path, folder


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], Path]:
    def make(family: str) -> Path:
        path = tmp_path / f"{family}.toml"
        path.write_text(RECIPE.format(family=family))
        return path

    return make


@pytest.mark.parametrize(
    ("model", "family"),
    [("hrnet-small", "heatmap"), ("tokenclipose-small", "tokenclipose")],
)
def test_a_model_is_trained_in_two_parts_and_predicts(
    toolkit_cli: Callable[..., object],
    files: tuple[Path, Path],
    recipe: Callable[[str], Path],
    tmp_path: Path,
    model: str,
    family: str,
) -> None:
    data, images = files
    out = tmp_path / "run"
    arguments = (
        "train", model, "--data", data, "--images", images, "--out", out,
        "--recipe", recipe(family), "--val-data", data, "--val-images", images,
        "--device", "cpu", "--json",
    )  # fmt: skip
    trained = toolkit_cli(*arguments)
    assert trained.exit_code == 0, trained.stderr
    checkpoint = json.loads(trained.stdout)["checkpoint"]
    again = toolkit_cli(*arguments, "--resume")
    assert again.exit_code == 0, again.stderr

    results = tmp_path / "results.json"
    predicted = toolkit_cli(
        "predict", checkpoint, "--data", data, "--images", images, "--out", results,
        "--device", "cpu",
    )  # fmt: skip
    assert predicted.exit_code == 0, predicted.stderr
    records = json.loads(results.read_text())
    assert [record["annotation_id"] for record in records] == list(range(1, 9))
    for record in records:
        assert len(record["keypoints"]) == 60
        assert len(record["keypoint_scores"]) == 20
        assert ("sigmas" in record) == (model == "tokenclipose-small")


def test_boxes_of_a_file_take_the_place_of_the_annotations(
    toolkit_cli: Callable[..., object],
    files: tuple[Path, Path],
    recipe: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    data, images = files
    out = tmp_path / "run"
    trained = toolkit_cli(
        "train", "hrnet-small", "--data", data, "--images", images, "--out", out,
        "--recipe", recipe("heatmap"), "--device", "cpu",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.stderr
    boxes = tmp_path / "boxes.json"
    detection = {"image_id": 2, "category_id": 1, "bbox": [20, 20, 40, 60], "score": 0.9}
    boxes.write_text(json.dumps([detection]))
    results = tmp_path / "results.json"
    predicted = toolkit_cli(
        "predict", out / "best.safetensors", "--data", data, "--images", images,
        "--out", results, "--boxes", boxes, "--device", "cpu",
    )  # fmt: skip
    assert predicted.exit_code == 0, predicted.stderr
    (record,) = json.loads(results.read_text())
    assert record["image_id"] == 2
    assert record["bbox"] == [20, 20, 40, 60]


def test_the_controls_are_trained_by_the_same_command(
    toolkit_cli: Callable[..., object], files: tuple[Path, Path], tmp_path: Path
) -> None:
    data, images = files
    for name in ("mean-pose", "body-to-stick"):
        out = tmp_path / name
        trained = toolkit_cli("train", name, "--data", data, "--images", images, "--out", out)
        assert trained.exit_code == 0, trained.stderr
        predicted = toolkit_cli(
            "predict", out / "best.safetensors", "--data", data, "--images", images,
            "--out", out / "results.json",
        )  # fmt: skip
        assert predicted.exit_code == 0, predicted.stderr


@pytest.mark.parametrize(
    ("form", "target"),
    [
        ("parquet", "train.parquet"),
        ("csv", "train.csv"),
        ("yolo", "yolo"),
        ("cvat", "train.xml"),
        ("labelstudio", "tasks.json"),
    ],
)
def test_networks_and_controls_are_trained_from_any_format(
    toolkit_cli: Callable[..., object],
    files: tuple[Path, Path],
    recipe: Callable[[str], Path],
    tmp_path: Path,
    form: str,
    target: str,
) -> None:
    """What rendered the data is told where the format has a place for it."""
    source, images = files
    keep = ("parquet", "labelstudio")
    document = json.loads(source.read_text())
    document["info"] = {"generator": "drawn", "generator_version": 3}
    source.write_text(json.dumps(document))
    data = tmp_path / target
    converted = toolkit_cli("convert", source, data, "--to", form)
    assert converted.exit_code == 0, converted.stderr
    runs: dict[str, tuple[object, ...]] = {
        "hrnet-small": ("--recipe", recipe("heatmap"), "--device", "cpu"),
        "mean-pose": (),
        "person-small": ("--images-seen", 4, "--device", "cpu"),
    }
    for name, options in runs.items():
        out = tmp_path / name
        trained = toolkit_cli(
            "train", name, "--data", data, "--images", images, "--out", out,
            "--schema", "hockey", *options,
        )  # fmt: skip
        assert trained.exit_code == 0, trained.stderr
        facts = json.loads((out / "best.json").read_text())
        assert facts["generator"] == ("drawn 3" if form in keep else None)
        assert facts["training_instances"] == 8
        assert len(facts["data_sha256"]) == 64


def test_a_malicious_checkpoint_is_refused_with_exit_code_4_and_not_run(
    toolkit_cli: Callable[..., object], files: tuple[Path, Path], tmp_path: Path
) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "canary",)

    data, images = files
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Payload()))
    result = toolkit_cli(
        "predict", path, "--data", data, "--images", images, "--out", tmp_path / "out.json"
    )
    assert result.exit_code == 4
    assert "refused: not safetensors but a pickle" in result.stderr
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "out.json").exists()


def test_missing_images_are_all_listed(
    toolkit_cli: Callable[..., object],
    files: tuple[Path, Path],
    recipe: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    data, _ = files
    empty = tmp_path / "empty"
    empty.mkdir()
    result = toolkit_cli(
        "train", "hrnet-small", "--data", data, "--images", empty, "--out", tmp_path / "run",
        "--recipe", recipe("heatmap"), "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "4 of 4 images are missing" in result.stderr
    assert "'3.png'" in result.stderr


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("hrnet-smal", "did you mean 'hrnet-small'?"),
        ("nothing.safetensors", "neither a file nor one of body-to-stick,"),
        ("tokenclipose-w48", "no checkpoint 'hockey'"),
    ],
)
def test_an_unknown_model_is_refused_with_exit_code_2(
    toolkit_cli: Callable[..., object],
    files: tuple[Path, Path],
    tmp_path: Path,
    model: str,
    message: str,
) -> None:
    data, images = files
    result = toolkit_cli(
        "predict", model, "--data", data, "--images", images, "--out", tmp_path / "o.json"
    )
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_unknown_device_is_refused(
    toolkit_cli: Callable[..., object], files: tuple[Path, Path], tmp_path: Path
) -> None:
    data, images = files
    result = toolkit_cli(
        "train", "hrnet-small", "--data", data, "--images", images,
        "--out", tmp_path / "run", "--device", "quantum",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "device 'quantum' cannot be used here" in result.stderr


def test_a_seed_below_zero_is_refused(
    toolkit_cli: Callable[..., object], files: tuple[Path, Path], tmp_path: Path
) -> None:
    data, images = files
    result = toolkit_cli(
        "train", "hrnet-small", "--data", data, "--images", images,
        "--out", tmp_path / "run", "--seed", -1,
    )  # fmt: skip
    assert result.exit_code == 2
    assert "-1 is not in the range" in result.stderr


def test_weights_of_a_schema_with_all_the_keypoints_stand_in_on_real_images(
    toolkit_cli: Callable[..., object], shared_data: Path, tmp_path: Path
) -> None:
    """COCO's 17 keypoints are all in hockey's 20."""
    folder = shared_data / "mmpose" / "coco"
    out = tmp_path / "results.json"
    result = toolkit_cli(
        "predict", "hrnet-small", "--data", folder / "test_coco.json", "--images", folder,
        "--out", out, "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "no weights for schema 'coco': using those for 'hockey'" in result.stderr
    assert all(len(record["keypoints"]) == 51 for record in json.loads(out.read_text()))


def test_the_coarse_output_is_converted_apart_from_the_final_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    sample = sample_path("hockey")
    dataset, images = read(sample), sample.parent / "images"
    points = {}
    for name in (OURS, COARSE):
        model = get_model(name).load("hockey", "cpu")
        converted = in_runtime(model, "onnx", "cpu", threads=1, announce=lambda _: None)
        points[name] = converted.predict(dataset, images).keypoints
        assert converted.name == name
        assert points[name] == pytest.approx(model.predict(dataset, images).keypoints, abs=0.5)

    assert np.abs(points[OURS] - points[COARSE]).max() > 1


def test_the_coarse_output_is_read_from_the_weights_that_ship_with_the_network() -> None:
    shipped = get_model(OURS).load("hockey", "cpu")
    for weights in ("hockey", SHIPPED):
        coarse = get_model(COARSE).load(weights, "cpu")
        assert coarse.facts["data_sha256"] == shipped.facts["data_sha256"]

    with pytest.raises(UsageError, match="train one with 'toolkit train tokenclipose-small'"):
        get_model(COARSE).load("lacrosse", "cpu")


def test_the_coarse_output_has_no_calibration_of_the_final_one() -> None:
    final, coarse = get_model(OURS).load(SHIPPED, "cpu"), get_model(COARSE).load(SHIPPED, "cpu")

    assert final.facts["calibration"] is not None
    assert coarse.facts["calibration"] is None


def test_weights_of_another_model_are_refused() -> None:
    wanted = r"tokenclipose-small_hockey.safetensors: holds model 'tokenclipose-small', not "
    with pytest.raises(UsageError, match=wanted + "'tokenclipose-w48'"):
        get_model("tokenclipose-w48").load(SHIPPED, "cpu")


def test_a_control_that_is_given_less_does_not_read_the_weights_of_one_that_is_given_more() -> (
    None
):
    truth = BASELINES / "body-to-stick_hockey.safetensors"
    with pytest.raises(UsageError, match="holds model 'body-to-stick', not 'body-to-stick-p"):
        get_model("body-to-stick-predicted").load(truth, "cpu")

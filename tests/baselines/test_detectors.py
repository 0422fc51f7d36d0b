"""Person detectors: boxes learnt, found, written and used."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from baselines.checkpoints import save_checkpoint, schema_to_facts
from baselines.detector import (
    DetectorConfig,
    TorchvisionDetector,
    build_detector,
    load_small_detector,
)
from baselines.detector_training import Frame, augmented, fit, load_frames
from baselines.entries import CHECKPOINTS
from baselines.keypoint_rcnn import (
    KeypointRCNNConfig,
    KeypointRCNNModel,
    build_keypoint_rcnn,
    train_keypoint_rcnn,
)
from baselines.lazy import train_small_detector
from baselines.torchvision_weights import build_faster_rcnn, keypoint_rcnn_eps
from toolkit import write
from toolkit.catalog import sample_path
from toolkit.dataset import Dataset
from toolkit.detector_scores import box_ap
from toolkit.detectors import Detections, load_detector, write_detections
from toolkit.errors import (
    OutputExistsError,
    ReadError,
    ResourceError,
    ServiceError,
    ToolkitError,
    UnsafeInputError,
    UsageError,
)
from toolkit.files import sha256_file
from toolkit.formats import read_predictions
from toolkit.models import TrainRequest
from toolkit.runtimes import find_runtime

TINY = DetectorConfig(input_wh=(160, 100), dim=32, images_seen=8, batch_size=4)
STILL = replace(TINY, scale=0.0, shift=0.0, flip=0.0, color=0.0)


@pytest.fixture
def files(people: tuple[Dataset, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Eight drawn people on disk: annotations and images."""
    dataset, folder = people
    path = tmp_path / "annotations.json"
    write(dataset, path)
    return path, folder


def test_box_ap_is_one_for_the_truth_and_halves_where_half_is_found(
    people: tuple[Dataset, Path],
) -> None:
    """Recall stops at one half: 51 of COCO's 101 recall points have precision one."""
    dataset, _ = people
    boxes, images = dataset.annotations.bbox_xywh, dataset.annotations.image_id
    every = Detections(images, boxes, np.ones(len(boxes)))
    half = Detections(images[::2], boxes[::2], np.ones(len(boxes) // 2))
    shifted = Detections(images, boxes + np.array([8, 0, 0, 0]), np.ones(len(boxes)))

    assert box_ap(dataset, every) == {"AP": 1.0, "AP50": 1.0, "AP75": 1.0, "AR": 1.0}
    assert box_ap(dataset, half)["AP50"] == pytest.approx(51 / 101)
    # IoU (40 - 8) / (40 + 8) = 2/3: right at .50, .55, .60 and .65 only.
    found = box_ap(dataset, shifted)
    assert (found["AP50"], found["AP75"]) == (1.0, 0.0)
    assert found["AP"] == pytest.approx(0.4)


def test_box_ap_of_nothing_is_zero_and_against_nothing_unknown(
    people: tuple[Dataset, Path],
) -> None:
    dataset, _ = people
    none = Detections(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))
    bare = replace(dataset, annotations=dataset.annotations[:0])
    assert box_ap(dataset, none)["AP"] == 0
    assert math.isnan(box_ap(bare, none)["AP"])


def test_box_ap_against_crowds_alone_is_unknown(people: tuple[Dataset, Path]) -> None:
    dataset, _ = people
    annotations = dataset.annotations
    crowds = replace(
        dataset, annotations=replace(annotations, is_crowd=np.ones(len(annotations), bool))
    )
    one = Detections(annotations.image_id[:1], annotations.bbox_xywh[:1], np.ones(1))

    assert all(math.isnan(value) for value in box_ap(crowds, one).values())


def test_a_moved_frame_takes_its_boxes_and_keypoints_along() -> None:
    """A bright block in the left half, mirrored: x from 10..20 becomes 159 - 20 .. 159 - 10."""
    pixels = np.zeros((100, 160, 3), np.uint8)
    pixels[30:60, 10:21] = 255
    keypoints = np.array([[[10.0, 30.0], [20.0, 59.0], [np.nan, np.nan]]])
    frame = Frame(pixels, np.array([[10.0, 30, 20, 59]]), keypoints)

    image, target = augmented(
        frame, replace(STILL, flip=1.0), np.random.default_rng(0), "cpu", np.array([1, 0, 2])
    )

    assert target["boxes"].tolist() == [[139, 30, 149, 59]]
    assert target["keypoints"].tolist() == [[[139, 59, 1], [149, 30, 1], [0, 0, 0]]]
    lit = (image[0] > 0.9).nonzero()
    assert lit.min(0).values.tolist() == [30, 139]
    assert lit.max(0).values.tolist() == [59, 149]


def test_a_person_moved_out_of_the_frame_is_left_out() -> None:
    frame = Frame(np.zeros((100, 160, 3), np.uint8), np.array([[0.0, 0, 10, 10]]))
    chance = np.random.default_rng(0)
    counts = {
        len(augmented(frame, replace(TINY, shift=0.9), chance, "cpu")[1]["boxes"])
        for _ in range(20)
    }
    assert counts == {0, 1}


def test_the_small_detector_learns_two_frames_by_heart(people: tuple[Dataset, Path]) -> None:
    dataset, folder = people
    frames = load_frames(dataset, folder, STILL)[:2]
    config = replace(STILL, images_seen=110, batch_size=2)
    torch.manual_seed(0)
    network = build_detector(config)
    fit(network, frames, config, TrainRequest(Path(), Path(), Path()), "cpu")

    image = torch.from_numpy(frames[0].pixels).permute(2, 0, 1).float() / 255
    with torch.no_grad():
        (found,) = network([image])

    best = found["boxes"][found["scores"].argsort(descending=True)[:2]].numpy()
    best = best[best[:, 0].argsort()]
    assert np.abs(best - frames[0].corners).max() < 8


def test_every_parameter_of_the_detectors_is_reached(people: tuple[Dataset, Path]) -> None:
    dataset, folder = people
    config = KeypointRCNNConfig(
        input_wh=(160, 100), dim=32, scale=0, shift=0, backbone="hrnet-small"
    )
    frames = load_frames(dataset, folder, config, keypoints=True)
    flips = dataset.schema.flip_index
    batch = [augmented(f, config, np.random.default_rng(0), "cpu", flips) for f in frames]
    for network in (build_detector(config), build_keypoint_rcnn(20, config)):
        torch.manual_seed(0)
        losses = network.train()([i for i, _ in batch], [t for _, t in batch])
        sum(losses.values()).backward()
        silent = [
            key
            for key, value in network.named_parameters()
            if value.grad is None or not value.grad.any()
        ]
        # The finest map is not read: people are larger than its cells.
        assert [k for k in silent if ".stage4.0.fuse_layers.0." not in k] == []


def test_a_detector_is_trained_by_the_train_command_and_serves_predict(
    toolkit_cli: Callable[..., object], files: tuple[Path, Path], tmp_path: Path
) -> None:
    data, images = files
    out = tmp_path / "run"
    trained = toolkit_cli(
        "train", "person-small", "--data", data, "--images", images, "--out", out,
        "--images-seen", 8, "--val-data", data, "--val-images", images, "--device", "cpu",
    )  # fmt: skip
    assert trained.exit_code == 0, trained.stderr
    facts = json.loads((out / "best.json").read_text())
    assert facts["detector"] == "person-small"
    assert set(facts["validation"]) == {"data_sha256", "AP", "AP50", "AP75", "AR"}
    again = toolkit_cli(
        "train", "person-small", "--data", data, "--images", images, "--out", out,
    )  # fmt: skip
    assert again.exit_code == 2
    assert (
        "holds 'best.safetensors', which 'person-small' would replace; choose" in again.stderr
    )

    boxes, results = tmp_path / "boxes.json", tmp_path / "results.json"
    found = toolkit_cli(
        "detect", "person-small", "--weights", out / "best.safetensors", "--data", data,
        "--images", images, "--out", boxes, "--min-score", 0.0, "--device", "cpu", "--json",
    )  # fmt: skip
    assert found.exit_code == 0, found.stderr
    assert set(json.loads(found.stdout)["scores"]) == {"AP", "AP50", "AP75", "AR"}
    predicted = toolkit_cli(
        "predict", "hrnet-small", "--data", data, "--images", images, "--out", results,
        "--boxes", f"person-small={out / 'best.safetensors'}", "--device", "cpu",
        "--runtime", "torch",
    )  # fmt: skip
    assert predicted.exit_code == 0, predicted.stderr
    assert "people found by person-small" in predicted.stderr


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("person-small", ["--tensorboard"], "no use for --tensorboard"),
        ("keypoint-rcnn", ["--tensorboard"], "no use for --tensorboard"),
        ("person-small", ["--init", "weights.safetensors"], "no use for --init"),
        ("keypoint-rcnn", ["--val-data", "val.json"], "no use for --val-data"),
        ("person-small", ["--val-data", "val.json"], "--val-data needs --val-images"),
        ("mean-pose", ["--images-seen", 8], "'mean-pose' is fitted at once"),
    ],
)
def test_an_option_without_effect_is_refused_before_anything_is_trained(
    toolkit_cli: Callable[..., object],
    files: tuple[Path, Path],
    tmp_path: Path,
    name: str,
    options: list[object],
    message: str,
) -> None:
    data, images = files
    out = tmp_path / "run"
    done = toolkit_cli(
        "train", name, "--data", data, "--images", images, "--out", out, *options
    )
    assert done.exit_code == 2
    assert message in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    "name", ["person-small", "keypoint-rcnn", "body-to-stick", "hrnet-small"]
)
def test_a_folder_that_cannot_be_made_is_told_before_the_training(
    toolkit_cli: Callable[..., object],
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    for trainer in ("detector_training.fit", "keypoint_rcnn.fit", "controls.fit_body_to_stick"):
        monkeypatch.setattr(f"baselines.{trainer}", lambda *_, **__: pytest.fail("trained"))
    (tmp_path / "file").write_text("no folder")
    data, images = files

    done = toolkit_cli(
        "train", name, "--data", data, "--images", images, "--out", tmp_path / "file" / "run"
    )

    assert done.exit_code == 5
    assert "file/run: cannot make the folder: Not a directory; choose another" in done.stderr


def test_facts_without_their_weights_are_not_replaced_by_a_training(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "best.json").write_text("precious")
    data, images = files
    with pytest.raises(
        OutputExistsError, match=r"holds 'best\.json', which 'person-small' would replace"
    ):
        train_small_detector(TrainRequest(data=data, images=images, out=tmp_path))
    assert [path.name for path in tmp_path.glob("best*")] == ["best.json"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("text", "val.json: .* the file ends in the middle"),
        ("boxes", "--val-data: val.json: nobody has a box to score the detector by"),
        ("images", "--val-data: .*--val-images"),
    ],
)
def test_validation_data_of_a_detector_are_looked_at_before_the_training(
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    said: str,
) -> None:
    monkeypatch.setattr(
        "baselines.detector_training.fit", lambda *_, **__: pytest.fail("trained")
    )
    data, images = files
    document = json.loads(data.read_text("utf-8"))
    if change == "boxes":
        for person in document["annotations"]:
            del person["bbox"]
    val = tmp_path / "val.json"
    val.write_text("[" if change == "text" else json.dumps(document), "utf-8")
    request = TrainRequest(
        data=data,
        images=images,
        out=tmp_path / "run",
        val_data=val,
        val_images=tmp_path if change == "images" else images,
        device="cpu",
    )
    with pytest.raises(ToolkitError, match=said):
        train_small_detector(request)


def test_a_detector_is_not_trained_by_several_processes(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, images = files
    for name, value in (("RANK", 0), ("WORLD_SIZE", 2), ("LOCAL_RANK", 0)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    with pytest.raises(UsageError, match="'person-small' trains in one process"):
        train_small_detector(TrainRequest(data=data, images=images, out=tmp_path / "run"))


def test_a_box_score_multiplies_the_score_of_its_pose(
    toolkit_cli: Callable[..., object], files: tuple[Path, Path], tmp_path: Path
) -> None:
    data, images = files
    scores = []
    for score in (1.0, 0.25):
        boxes, out = tmp_path / f"{score}.json", tmp_path / f"out{score}.json"
        record = {"image_id": 2, "category_id": 1, "bbox": [20, 20, 40, 60], "score": score}
        boxes.write_text(json.dumps([record]))
        ran = toolkit_cli(
            "predict", "hrnet-small", "--data", data, "--images", images, "--out", out,
            "--boxes", boxes, "--device", "cpu", "--runtime", "torch",
        )  # fmt: skip
        assert ran.exit_code == 0, ran.stderr
        scores.append(json.loads(out.read_text())[0]["score"])
    assert scores[1] == pytest.approx(scores[0] / 4, rel=1e-4)


def test_boxes_that_are_nothing_known_are_refused_with_what_is(
    toolkit_cli: Callable[..., object], files: tuple[Path, Path], tmp_path: Path
) -> None:
    data, images = files
    ran = toolkit_cli(
        "predict", "hrnet-small", "--data", data, "--images", images,
        "--out", tmp_path / "o.json", "--boxes", "yolo", "--device", "cpu",
    )  # fmt: skip
    assert ran.exit_code == 2
    assert "neither 'gt', a file, nor a detector (fasterrcnn, fasterrcnn-mobile" in ran.stderr
    with pytest.raises(UsageError, match="no detector 'fastercnn'; did you mean 'fasterrcnn'"):
        load_detector("fastercnn", "cpu")


def test_written_boxes_are_read_back_as_boxes(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    found = Detections(np.array([3, 1]), np.array([[1.25, 2, 3, 4], [5, 6, 7, 8]]), np.ones(2))
    write_detections(found, path)
    back = read_predictions(path, "coco", boxes=True)
    assert back.image_id.tolist() == [3, 1]
    assert back.bbox_xywh.tolist() == [[1.25, 2, 3, 4], [5, 6, 7, 8]]


def test_the_shipped_detector_loads_and_names_its_training() -> None:
    detector = load_detector("person-small", "cpu")
    assert detector.facts["validation"]["AP50"] > 0.9
    assert detector.num_parameters == 1_308_663


def test_faster_rcnn_loads_from_a_file_and_names_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "fasterrcnn-mobile"
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn as make

    source = make(weights=None, weights_backbone=None)
    save_file(source.state_dict(), tmp_path / "whole.safetensors")
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickled.pth")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")

    network = build_faster_rcnn(name, str(tmp_path / "whole.safetensors"))

    for key, value in source.state_dict().items():
        if value.dim():
            assert torch.equal(network.state_dict()[key], value)
    with pytest.raises(UnsafeInputError, match="refused: not safetensors"):
        build_faster_rcnn(name, str(tmp_path / "pickled.pth"))
    with pytest.raises(ReadError, match=r"other.safetensors: lacks tensor"):
        build_faster_rcnn(name, str(tmp_path / "other.safetensors"))
    with pytest.raises(
        UsageError, match=r"neither a file nor one of torchvision's tags \(COCO"
    ):
        build_faster_rcnn(name, "COCO_V9")

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("socket.create_connection", unreachable)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    with pytest.raises(
        ServiceError, match=r"'COCO_V1' could not be fetched.*elsewhere and put"
    ):
        build_faster_rcnn(name, "COCO_V1")


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04"], ids=["0", "page", "cut"])
def test_a_damaged_file_in_torchs_cache_is_named_and_not_read(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub/checkpoints/fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(content)
    with pytest.raises(ReadError, match=r"907ea3f9.pth: is damaged: .*name says 907ea3f9; rem"):
        build_faster_rcnn("fasterrcnn-mobile", "COCO_V1")


def test_a_whole_file_of_another_hash_in_torchs_cache_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn as make

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub/checkpoints/fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth"
    cached.parent.mkdir(parents=True)
    torch.save(make(weights=None, weights_backbone=None).state_dict(), cached)
    with pytest.raises(ReadError, match=r"907ea3f9.pth: is damaged: its SHA-256 begins with"):
        build_faster_rcnn("fasterrcnn-mobile", "COCO_V1")


TORCHVISIONS = {
    "fasterrcnn": ("fasterrcnn_resnet50_fpn", "FasterRCNN_ResNet50_FPN_Weights"),
    "fasterrcnn-v2": ("fasterrcnn_resnet50_fpn_v2", "FasterRCNN_ResNet50_FPN_V2_Weights"),
    "fasterrcnn-mobile": (
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights",
    ),
    "keypoint-rcnn": ("keypointrcnn_resnet50_fpn", "KeypointRCNN_ResNet50_FPN_Weights"),
}


def torchvisions_own(
    name: str, tag: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """torchvision's network for a tag whose download is this random state, and the state.

    Variances are as small as `eps` here and there, and scores leave the background's.
    """
    from torchvision.models import WeightsEnum, detection

    make, tags = (getattr(detection, part) for part in TORCHVISIONS[name])
    torch.manual_seed(4)
    state = make(weights=None, weights_backbone=None).state_dict()
    for key, value in state.items():
        if key.endswith("running_var") and key.startswith("backbone"):
            small = torch.where(torch.rand(len(value)) < 0.05, 1e-5, 1.0)
            value.mul_(small)
            state[key.replace("running_var", "weight")].mul_(small.sqrt() * 0.7)
        if key.endswith("cls_score.weight"):
            value.mul_(100)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, **_: state)
    theirs = make(weights=getattr(tags, tag))
    return theirs.eval(), {k: v for k, v in state.items() if v.dim()}


def found_by(network: torch.nn.Module) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The finest map of a small picture, and the detections in it."""
    network.eval().transform.min_size, network.transform.max_size = (96,), 128
    picture = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        (detections,) = network([picture])
        return network.backbone(picture[None])["0"], detections


@pytest.mark.parametrize("name", ["fasterrcnn", "fasterrcnn-v2", "fasterrcnn-mobile"])
def test_faster_rcnn_finds_what_torchvisions_own_function_finds(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, state = torchvisions_own(name, "COCO_V1", monkeypatch)
    save_file(state, tmp_path / "w.safetensors")

    ours = build_faster_rcnn(name, str(tmp_path / "w.safetensors"))

    (their_map, wanted), (our_map, found) = found_by(theirs), found_by(ours)
    assert torch.isfinite(their_map).all()
    assert torch.equal(our_map, their_map)
    assert len(wanted["boxes"])
    for key in ("boxes", "labels", "scores"):
        assert torch.equal(found[key], wanted[key]), key


@pytest.mark.parametrize("tag", ["COCO_V1", "COCO_LEGACY"])
def test_an_adopted_keypoint_rcnn_finds_what_torchvisions_own_function_finds(
    tag: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    toolkit_cli: Callable[..., object],
) -> None:
    """A local file is COCO_V1's, unless it has the other file's name."""
    theirs, state = torchvisions_own("keypoint-rcnn", tag, monkeypatch)
    name = {"COCO_V1": "w", "COCO_LEGACY": "keypointrcnn_resnet50_fpn_coco-9f466800"}[tag]
    save_file(state, tmp_path / f"{name}.safetensors")
    out = tmp_path / "adopted.safetensors"

    ran = toolkit_cli("adopt", "keypoint-rcnn", tmp_path / f"{name}.safetensors", "--out", out)

    assert ran.exit_code == 0, ran.stderr
    ours = KeypointRCNNModel(out, "cpu").net
    (their_map, wanted), (our_map, found) = found_by(theirs), found_by(ours)
    assert torch.isfinite(their_map).all()
    assert torch.equal(our_map, their_map)
    assert len(wanted["boxes"])
    for key, value in wanted.items():
        assert torch.equal(found[key], value), key
    assert keypoint_rcnn_eps(tag) == keypoint_rcnn_eps(str(tmp_path / f"{name}.safetensors"))


@pytest.fixture
def rcnn(tmp_path: Path) -> Path:
    """An untrained small Keypoint R-CNN for hockey."""
    from toolkit.schema import Schema

    torch.manual_seed(0)
    schema = Schema.load("hockey")
    config = KeypointRCNNConfig(input_wh=(160, 100), dim=32, backbone="hrnet-small")
    path = tmp_path / "rcnn.safetensors"
    facts = {
        "model": "keypoint-rcnn", "schema": schema_to_facts(schema), "recipe": config.to_dict()
    }  # fmt: skip
    save_checkpoint(path, build_keypoint_rcnn(20, config), facts)
    return path


def test_keypoint_rcnn_answers_for_given_boxes_in_their_order(
    rcnn: Path, people: tuple[Dataset, Path]
) -> None:
    dataset, folder = people
    model = KeypointRCNNModel(rcnn, "cpu")

    whole = model.predict(dataset, folder)
    order = np.array([5, 0, 3])
    some = model.predict(replace(dataset, annotations=dataset.annotations[order]), folder)

    assert whole.annotation_id.tolist() == list(range(1, 9))
    np.testing.assert_allclose(some.keypoints, whole.keypoints[order], atol=1e-3)
    low = whole.bbox_xywh[:, None, :2]
    high = low + whole.bbox_xywh[:, None, 2:]
    assert (whole.keypoints >= low - 1).all()
    assert (whole.keypoints <= high + 1).all()
    assert ((whole.keypoint_scores > 0) & (whole.keypoint_scores <= 1)).all()
    assert not find_runtime("onnx").can_export(model)


class Watching(torch.nn.Module):
    """Part of a network that notes whether TF32 is allowed, and may need too much memory."""

    def __init__(self, part: torch.nn.Module, *, too_large: bool = False) -> None:
        super().__init__()
        self.part, self.too_large = part, too_large
        self.allowed: list[bool] = []

    def forward(self, *given: object) -> object:
        self.allowed.append(torch.backends.cudnn.allow_tf32)
        if self.too_large:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return self.part(*given)


def test_detectors_and_keypoint_rcnn_predict_without_tf32(
    people: tuple[Dataset, Path], rcnn: Path
) -> None:
    detector = TorchvisionDetector("x", build_detector(TINY), "cpu", {})
    detector.network.backbone = Watching(detector.network.backbone)
    model = KeypointRCNNModel(rcnn, "cpu")
    model.net.backbone = Watching(model.net.backbone)
    assert torch.backends.cudnn.allow_tf32

    detector.detect(*people)
    model.predict(*people)

    assert set(detector.network.backbone.allowed) == set(model.net.backbone.allowed) == {False}
    assert torch.backends.cudnn.allow_tf32


def test_a_gpu_without_the_memory_for_a_frame_is_told_in_one_line(
    people: tuple[Dataset, Path], rcnn: Path
) -> None:
    network = build_detector(TINY)
    network.backbone = Watching(network.backbone, too_large=True)
    model = KeypointRCNNModel(rcnn, "cpu")
    model.net.backbone = Watching(model.net.backbone, too_large=True)
    said = r"device 'cpu': its memory is exhausted; one frame .* \(--device cpu\)"
    with pytest.raises(ResourceError, match=said):
        TorchvisionDetector("x", network, "cpu", {}).detect(*people)
    with pytest.raises(ResourceError, match=said):
        model.predict(*people)
    frames = load_frames(*people, TINY)
    with pytest.raises(ResourceError, match=r"exhausted; train on the CPU \(--device cpu\)"):
        fit(network, frames, TINY, TrainRequest(Path(), Path(), Path()), "cpu")


def test_keypoint_rcnn_trains_a_step_and_its_checkpoint_predicts(
    files: tuple[Path, Path], people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    data, images = files
    config = KeypointRCNNConfig(
        input_wh=(160, 100), dim=32, backbone="hrnet-small", images_seen=2, batch_size=2
    )
    path = train_keypoint_rcnn(
        TrainRequest(data=data, images=images, out=tmp_path / "run", device="cpu"), config
    )
    predictions = KeypointRCNNModel(path, "cpu").predict(*people)
    assert np.isfinite(predictions.keypoints).all()


@pytest.mark.parametrize("sport", ["hockey", "coco"])
def test_keypoint_rcnn_starts_from_a_checkpoint_of_the_same_or_other_keypoints(
    sport: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    """With no step that changes anything, all is as it came but a last layer of its own."""
    from toolkit.schema import Schema

    torch.manual_seed(0)
    schema = Schema.load(sport)
    before = KeypointRCNNConfig(input_wh=(320, 200), dim=32, backbone="hrnet-small")
    source = build_keypoint_rcnn(schema.num_keypoints, before)
    start, (data, images) = tmp_path / "start.safetensors", files
    facts = {
        "model": "keypoint-rcnn", "schema": schema_to_facts(schema), "recipe": before.to_dict()
    }  # fmt: skip
    save_checkpoint(start, source, facts, half=False)
    request = TrainRequest(
        data=data, images=images, out=tmp_path / "run", device="cpu", init=start
    )
    still = KeypointRCNNConfig(
        input_wh=(160, 100), images_seen=2, batch_size=2, learning_rate=0.0
    )

    path = train_keypoint_rcnn(request, still)

    trained = KeypointRCNNModel(path, "cpu")
    assert trained.facts["init_sha256"] == sha256_file(start)
    assert trained.facts["recipe"]["input_wh"] == [160, 100]
    after = trained.net.state_dict()
    given = source.state_dict()
    last = "roi_heads.keypoint_predictor."
    for key, parameter in source.named_parameters():
        if sport == "coco" and key.startswith(last):
            assert after[key].shape != parameter.shape or "bias" in key
        else:
            torch.testing.assert_close(after[key], given[key], rtol=2e-3, atol=1e-6)


def test_keypoint_rcnn_starts_from_nothing_but_its_own_weights(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    data, images = files
    hrnet = CHECKPOINTS / "hrnet-small_hockey.safetensors"
    request = TrainRequest(data=data, images=images, out=tmp_path / "run", init=hrnet)
    with pytest.raises(ReadError, match="not weights of 'keypoint-rcnn' but of 'hrnet-small'"):
        train_keypoint_rcnn(request)


def test_batchnorm_is_frozen_where_the_weights_are_torchvisions() -> None:
    config = KeypointRCNNConfig(frozen_eps=0.0)
    network = build_keypoint_rcnn(17, config).train()
    assert not [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not any("bn1" in name for name, _ in network.named_parameters())
    learned = build_keypoint_rcnn(17, KeypointRCNNConfig())
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in learned.modules())


def test_a_checkpoint_of_something_else_is_named(rcnn: Path) -> None:
    with pytest.raises(ReadError, match="not weights of the detector 'person-small'"):
        load_small_detector(rcnn, "cpu")


BAD_RECIPES = [
    ({"dim": "64"}, "recipe: 'dim' is '64'; expected int like"),
    ({"input_wh": [1]}, r"recipe: 'input_wh' is \[1\]; expected tuple like"),
    ({"input_wh": ["a", "b"]}, r"recipe: 'input_wh' is \['a', 'b'\]; expected tuple like"),
    ({"input_wh": [160, 0]}, r"recipe: 'input_wh' is \[160, 0\]; expected a width and a"),
    ({"learning_rate": 10**400}, "recipe: 'learning_rate' is inf; expected 0 or more"),
    ({"width": 3}, "recipe: unknown key 'width'; nearest valid: "),
]


@pytest.mark.parametrize(
    ("change", "said"),
    [*BAD_RECIPES, ({"dim": 33}, "recipe: no detector can be built by it: num_channels")],
)
def test_a_damaged_recipe_of_the_small_detector_is_refused(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    path = changed(CHECKPOINTS / "person-small_hockey.safetensors", change, tmp_path)
    with pytest.raises(ReadError, match=f"changed.json: {said}"):
        load_small_detector(path, "cpu")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        *BAD_RECIPES,
        ({"backbone": "foo"}, "recipe: 'backbone' is 'foo'; expected one of "),
        ({"backbone": "hrnet-w32"}, "'backbone' is 'hrnet-w32'; expected one of resnet50, hrn"),
        ({"frozen_eps": "no"}, "recipe: 'frozen_eps' is 'no'; expected float like 0.0"),
    ],
)
def test_a_damaged_recipe_of_keypoint_rcnn_is_refused(
    change: dict[str, object], said: str, rcnn: Path, tmp_path: Path
) -> None:
    with pytest.raises(ReadError, match=f"changed.json: .*{said}"):
        KeypointRCNNModel(changed(rcnn, change, tmp_path), "cpu")


def test_a_recipe_that_does_not_say_the_size_is_refused(rcnn: Path) -> None:
    beside = rcnn.with_suffix(".json")
    facts = json.loads(beside.read_text("utf-8"))
    del facts["recipe"]["input_wh"]
    beside.write_text(json.dumps(facts), "utf-8")
    with pytest.raises(ReadError, match=r"rcnn\.json: recipe: 'input_wh' is missing; fetch"):
        KeypointRCNNModel(rcnn, "cpu")


def changed(checkpoint: Path, change: dict[str, object], folder: Path) -> Path:
    """A copy of a checkpoint whose recipe has other values."""
    path = folder / "changed.safetensors"
    path.write_bytes(checkpoint.read_bytes())
    facts = json.loads(checkpoint.with_suffix(".json").read_text("utf-8"))
    facts["recipe"].update(change)
    path.with_suffix(".json").write_text(json.dumps(facts), "utf-8")
    return path


def test_people_found_have_the_category_of_the_data(
    toolkit_cli: Callable[..., object], tmp_path: Path
) -> None:
    """Else AP, which compares within a category, would count nobody."""
    sample = sample_path("hockey")
    document = json.loads(sample.read_text("utf-8"))
    for record in (*document["categories"], *document["annotations"]):
        record["category_id" if "category_id" in record else "id"] = 3
    data, out = tmp_path / "data.json", tmp_path / "found.json"
    data.write_text(json.dumps(document), "utf-8")

    result = toolkit_cli(
        "predict", "mean-pose", "--data", data, "--images", sample.parent / "images",
        "--boxes", "person-small", "--out", out, "--device", "cpu",
    )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    assert {record["category_id"] for record in json.loads(out.read_text())} == {3}

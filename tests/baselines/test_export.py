"""ONNX files compute what PyTorch computes, say what they are, and run without torch."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import baselines
import tokenclipose
from baselines import onnx_export
from baselines.crops import normalised
from baselines.onnx_export import ExportError, export_onnx, random_crops
from baselines.onnx_model import OnnxModel, open_session
from baselines.onnx_runtime import ONNX
from baselines.pipeline import Batch, ahead, network_inputs
from baselines.predictor import CheckpointModel
from tokenclipose.model import Intention
from toolkit.catalog import sample_path
from toolkit.errors import OutputExistsError, ReadError, UsageError
from toolkit.formats import read

ENTRIES = {
    "hrnet-small": baselines.HRNET_SMALL,
    "tokenclipose-small": tokenclipose.TOKENCLIPOSE_SMALL,
}


@pytest.fixture(scope="module", params=list(ENTRIES))
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CheckpointModel, Path]:
    """A shipped model in PyTorch, and the ONNX file made of it."""
    model = ENTRIES[request.param].load("hockey", "cpu")
    assert isinstance(model, CheckpointModel)
    path = tmp_path_factory.mktemp("onnx") / f"{request.param}.onnx"
    written = export_onnx(model, path)
    assert written.max_difference_px < 0.01
    assert written.crops_checked == 12
    return model, path


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one convolution as an ONNX file, quick to make."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    export_onnx(with_network(OneConvolution()), path)
    return path


class OneConvolution(nn.Module):
    """Heatmaps of 20 keypoints at stride 4, for batches of any size or of one only."""

    def __init__(self, *, fixed: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 20, 4, stride=4)
        self.fixed = fixed

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.conv(images)
        if self.fixed:
            return torch.stack([one * 1.0 for one in maps])
        return maps[: len(images)]


class LeastSquares(nn.Module):
    """The same heatmaps, each row of them with what attention by least squares adds."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = OneConvolution()
        self.attention = Intention(24, 2)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.maps(images)  # (B, 20, 32, 24)
        tokens = maps.mean(dim=2)
        added: Tensor = self.attention(tokens, tokens)
        return maps + added[:, :, None]


def with_network(network: nn.Module) -> CheckpointModel:
    """The shipped heatmap model with another network in it."""
    model = copy.copy(baselines.HRNET_SMALL.load("hockey", "cpu"))
    assert isinstance(model, CheckpointModel)
    model.network = network.eval()
    return model


@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_any_batch_gives_what_pytorch_gives(
    pair: tuple[CheckpointModel, Path], count: int
) -> None:
    model, path = pair
    images = network_inputs(random_crops(count, model.config.input_wh, seed=count))

    points, scores, sigma = OnnxModel(path).forward(images)
    with torch.inference_mode():
        wanted = model.family.decode(model.network(torch.from_numpy(images)), model.config)

    np.testing.assert_allclose(points, wanted.points, atol=0.01)
    np.testing.assert_allclose(scores, wanted.scores, atol=1e-4)
    assert (sigma is None) == (wanted.sigma is None)
    if sigma is not None and wanted.sigma is not None:
        np.testing.assert_allclose(sigma, wanted.sigma, atol=0.01)


def test_the_hockey_sample_is_predicted_within_a_tenth_of_a_px(
    pair: tuple[CheckpointModel, Path],
) -> None:
    model, path = pair
    sample = sample_path("hockey")
    dataset = read(sample)

    wanted = model.predict(dataset, sample.parent / "images")
    found = OnnxModel(path, threads=1).predict(dataset, sample.parent / "images", batch_size=7)

    assert np.abs(found.keypoints - wanted.keypoints).max() < 0.1
    np.testing.assert_allclose(found.keypoint_scores, wanted.keypoint_scores, atol=1e-4)
    assert found.annotation_id.tolist() == wanted.annotation_id.tolist()
    assert found.schema.names == wanted.schema.names
    assert found.model == wanted.model
    assert (found.sigma is None) == (wanted.sigma is None)


def test_attention_by_least_squares_is_exported_though_onnx_cannot_solve(
    tmp_path: Path,
) -> None:
    written = export_onnx(with_network(LeastSquares()), tmp_path / "solved.onnx")

    assert written.max_difference_px < 0.01


def test_nobody_to_predict_gives_no_predictions(onnx_file: Path) -> None:
    dataset = read(sample_path("hockey"))
    nobody = replace(dataset, annotations=dataset.annotations[:0])

    found = OnnxModel(onnx_file).predict(nobody, sample_path("hockey").parent / "images")

    assert len(found) == 0
    assert found.sigma is None


def test_the_file_says_what_it_is(pair: tuple[CheckpointModel, Path]) -> None:
    model, path = pair
    proto = onnx.load(path)
    held = {item.key: json.loads(item.value) for item in proto.metadata_props}

    assert held["model"] == model.name
    assert held["keypoint_names"] == list(model.schema.names)
    assert held["schema"]["name"] == "hockey"
    assert held["input"]["shape"] == ["batch", 3, 128, 96]
    assert held["input"]["mean"] == [123.675, 116.28, 103.53]
    assert held["input"]["std"] == [58.395, 57.12, 57.375]
    assert held["facts"]["checkpoint_sha256"] == model.facts["checkpoint_sha256"]
    assert list(held["outputs"]) == sorted(output.name for output in proto.graph.output)
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    opened = OnnxModel(path)
    assert opened.facts["box"] == "human"
    assert opened.num_parameters == model.num_parameters


def test_the_same_model_gives_the_same_bytes(onnx_file: Path, tmp_path: Path) -> None:
    export_onnx(with_network(OneConvolution()), tmp_path / "again.onnx")

    assert (tmp_path / "again.onnx").read_bytes() == onnx_file.read_bytes()


def test_a_file_that_differs_from_pytorch_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.onnx"
    monkeypatch.setattr(onnx_export, "MAX_DIFFERENCE", -1.0)

    with pytest.raises(ExportError, match=r"out.onnx: not written: .* px from PyTorch's"):
        export_onnx(with_network(OneConvolution()), out)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda points: points * np.nan,
            r"'points' are \(1, 20, 2\), 40 of them no",
        ),
        (lambda points: points[:, :1], r"'points' are \(1, 1, 2\), .* expected \(1, 20, 2\)"),
    ],
    ids=["no numbers", "another shape"],
)
def test_a_file_that_answers_in_no_numbers_or_another_shape_is_not_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[np.ndarray], np.ndarray],
    message: str,
) -> None:
    class Broken:
        def __init__(self, path: Path) -> None:
            self.session = open_session(path)

        def run(self, *arguments: object) -> list[np.ndarray]:
            points, *others = self.session.run(*arguments)
            return [change(points), *others]

    monkeypatch.setattr(onnx_export, "open_session", Broken)
    with pytest.raises(ExportError, match=f"out.onnx: not written: .*{message}"):
        export_onnx(with_network(OneConvolution()), tmp_path / "out.onnx")

    assert list(tmp_path.iterdir()) == []


def test_a_network_of_one_batch_size_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"not written: the file does not take 1 crops"):
        export_onnx(with_network(OneConvolution(fixed=True)), tmp_path / "out.onnx")

    assert list(tmp_path.iterdir()) == []


def test_an_output_is_not_replaced_unasked(onnx_file: Path) -> None:
    before = onnx_file.read_bytes()

    with pytest.raises(OutputExistsError, match=r"tiny\.onnx"):
        export_onnx(with_network(OneConvolution()), onnx_file)

    assert onnx_file.read_bytes() == before


def test_a_model_without_a_network_cannot_be_exported(tmp_path: Path) -> None:
    control = baselines.MEAN_POSE.load("hockey", "cpu")

    assert not ONNX.can_export(control)
    with pytest.raises(UsageError, match="model 'mean-pose' has no network"):
        ONNX.export(control, tmp_path / "out.onnx")


def test_damaged_and_foreign_files_are_named(onnx_file: Path, tmp_path: Path) -> None:
    whole = onnx_file.read_bytes()
    foreign = onnx.load(onnx_file)
    del foreign.metadata_props[:]
    later = onnx.load(onnx_file)
    next(p for p in later.metadata_props if p.key == "format").value = "99"
    odd = onnx.load(onnx_file)
    next(p for p in odd.metadata_props if p.key == "schema").value = '{"name": "x"}'
    cases = [
        (whole[:-500], "not a whole ONNX model"),
        (b"no model", "not a whole ONNX model"),
        (b"", "not a whole ONNX model"),
        (foreign.SerializeToString(), "its metadata lack 'format'; only files that"),
        (later.SerializeToString(), "format 99; this version reads 1"),
        (odd.SerializeToString(), "'schema' does not describe a schema"),
    ]
    for number, (content, message) in enumerate(cases):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(content)
        with pytest.raises(ReadError, match=f"{number}.onnx: {message}"):
            OnnxModel(path)
    with pytest.raises(ReadError, match=r"absent\.onnx: cannot read the model: No such file"):
        OnnxModel(tmp_path / "absent.onnx")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ('{"parameters": "abc"}', "'parameters' is 'abc'; expected a whole number; write"),
        ("[" * 100_000, "its metadata are damaged: maximum recursion"),
    ],
    ids=["no number", "deep"],
)
def test_damaged_facts_in_a_file_are_named(
    facts: str, said: str, onnx_file: Path, tmp_path: Path
) -> None:
    odd = onnx.load(onnx_file)
    next(p for p in odd.metadata_props if p.key == "facts").value = facts
    onnx.save(odd, tmp_path / "odd.onnx")
    with pytest.raises(ReadError, match=f"odd.onnx: .*{said}"):
        OnnxModel(tmp_path / "odd.onnx")


def test_running_a_file_needs_no_torch(onnx_file: Path, tmp_path: Path) -> None:
    sample = sample_path("hockey")
    code = (
        "import sys; from pathlib import Path; from toolkit.formats import read;"
        "from baselines.onnx_model import OnnxModel;"
        f"found = OnnxModel(Path({str(onnx_file)!r})).predict("
        f"read({str(sample)!r}), Path({str(sample.parent / 'images')!r}));"
        "assert len(found) and 'torch' not in sys.modules and 'onnx' not in sys.modules"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr


def test_a_conversion_is_kept_and_made_again_where_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    said: list[str] = []
    model = with_network(OneConvolution())

    first = ONNX.converted(model, announce=said.append)
    (path,) = (tmp_path / "onnx").iterdir()
    content = path.read_bytes()
    ONNX.converted(model, announce=said.append)
    assert len(said) == 1
    assert str(path) in said[0]
    path.write_bytes(content[:100])
    ONNX.converted(model, announce=said.append)

    assert first.name == "hrnet-small"
    assert path.read_bytes() == content
    assert len(said) == 2


def test_the_cache_keeps_the_newest_conversions_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    (tmp_path / "onnx").mkdir()
    for number in range(10):
        old = tmp_path / "onnx" / f"{number}.onnx"
        old.write_text("old", "utf-8")
        os.utime(old, (number, number))

    ONNX.converted(with_network(OneConvolution()))

    names = {path.name for path in (tmp_path / "onnx").iterdir()}
    assert len(names) == 8
    assert names > {f"{number}.onnx" for number in range(3, 10)}


def test_inputs_are_normalised_as_in_training() -> None:
    crops = random_crops(3, (20, 30))

    inputs = network_inputs(crops)

    assert inputs.flags.c_contiguous
    np.testing.assert_array_equal(inputs, normalised(crops).transpose(0, 3, 1, 2))


def numbered(count: int, fail: bool = False) -> Iterator[Batch]:
    for number in range(count):
        yield np.array([number]), np.zeros((1, 3, 2, 2), np.float32)
    if fail:
        raise ReadError("frame 7 is damaged")


def test_batches_made_ahead_keep_their_order_and_their_errors() -> None:
    assert [int(rows[0]) for rows, _ in ahead(numbered(9))] == list(range(9))

    broken = ahead(numbered(3, fail=True))
    assert [int(next(broken)[0][0]) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ReadError, match="frame 7 is damaged"):
        next(broken)


def test_a_reader_who_leaves_stops_the_thread() -> None:
    source = ahead(numbered(10**9))
    next(source)

    source.close()

    assert "crops" not in [thread.name for thread in threading.enumerate()]

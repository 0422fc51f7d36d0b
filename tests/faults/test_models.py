"""Rows 58 to 60 of the catalogue: images that are missing, checkpoints that lie or attack."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]


class Payload:
    """Makes a file when it is unpickled: what a malicious checkpoint would do."""

    def __init__(self, canary: Path) -> None:
        self.command = f"touch {canary}"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained checkpoint of the small heatmap network for COCO's 17 keypoints."""
    import torch

    from baselines.checkpoints import save_checkpoint, schema_to_facts
    from baselines.config import TrainConfig
    from baselines.family import HEATMAP
    from toolkit.schema import Schema

    torch.manual_seed(0)
    schema, config = Schema.load("coco"), TrainConfig()
    path = tmp_path_factory.mktemp("checkpoint") / "sound.safetensors"
    facts = {
        "model": "hrnet-small",
        "schema": schema_to_facts(schema),
        "recipe": config.to_dict(),
    }
    save_checkpoint(path, HEATMAP.build(schema, config, None), facts)
    return path


@pytest.fixture
def checkpoint(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sound checkpoint, to be damaged."""
    path = tmp_path / "weights.safetensors"
    path.write_bytes(sound.read_bytes())
    path.with_suffix(".json").write_bytes(sound.with_suffix(".json").read_bytes())
    return path


@pytest.fixture
def data(coco_document: Document, write_json: Callable[..., Path], tmp_path: Path) -> Path:
    """Two people in one grey image, in `images` beside the file."""
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.new("RGB", (100, 80), "grey").save(tmp_path / "images" / "seven.jpg")
    return write_json(coco_document)


@pytest.fixture
def predict(data: Path, fault: Callable[..., str]) -> Callable[..., str]:
    """Run `toolkit predict` on the two people; it must fail and leave no output."""

    def run(checkpoint: Path, *, exit_code: int, message: str) -> str:
        out = data.parent / "predictions.json"
        words = ("--data", data, "--images", data.parent / "images", "--out", out)
        return fault("predict", checkpoint, *words, exit_code=exit_code, message=message)

    return run


def header_of(path: Path) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and the bytes of its tensors."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def write_header(path: Path, header: dict[str, Any], tensors: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + tensors)


def test_a_sound_checkpoint_predicts(
    checkpoint: Path, data: Path, toolkit_cli: Callable[..., Any]
) -> None:
    out = data.parent / "predictions.json"

    result = toolkit_cli(
        *("predict", checkpoint, "--data", data, "--images", data.parent / "images"),
        *("--out", out),
    )

    assert result.exit_code == 0, result.stderr
    assert [record["annotation_id"] for record in json.loads(out.read_text())] == [1, 2]


def test_58_missing_images_are_all_listed_and_nothing_is_written(
    coco_document: Document,
    checkpoint: Path,
    data: Path,
    predict: Callable[..., str],
) -> None:
    for number in (8, 9):
        image = coco_document["images"][0] | {"id": number, "file_name": f"{number}.jpg"}
        person = coco_document["annotations"][0] | {"id": number, "image_id": number}
        coco_document["images"].append(image)
        coco_document["annotations"].append(person)
    data.write_text(json.dumps(coco_document))

    output = predict(checkpoint, exit_code=1, message="2 of 3 images are missing in")

    assert "'8.jpg' (image id=8)" in output
    assert "'9.jpg' (image id=9)" in output


@pytest.mark.parametrize(
    "name", ["../outside.jpg", "/etc/hostname", "C:\\x.jpg", "\\\\host\\x.jpg", "a\0b.jpg"]
)
def test_51_an_image_outside_the_folder_is_refused(
    coco_document: Document,
    checkpoint: Path,
    data: Path,
    predict: Callable[..., str],
    name: str,
) -> None:
    coco_document["images"][0]["file_name"] = name
    data.write_text(json.dumps(coco_document))

    # A NUL is a fault of the text itself, which is found before any image is looked for.
    code, message = (
        (1, "NUL") if "\0" in name else (4, "image id=7 field 'file_name': .*refused")
    )
    predict(checkpoint, exit_code=code, message=message)


@pytest.mark.parametrize(
    "name", ["weights.pt", "weights.pth", "weights.bin", "weights.safetensors"]
)
@pytest.mark.parametrize("kind", ["pickle 0", "pickle 2", "pickle 5", "torch archive"])
def test_59_a_malicious_pickle_is_refused_and_does_not_run(
    tmp_path: Path,
    checkpoint: Path,
    predict: Callable[..., str],
    name: str,
    kind: str,
) -> None:
    canary, path = tmp_path / "canary", tmp_path / name
    checkpoint.unlink()
    path.with_suffix(".json").write_bytes(checkpoint.with_suffix(".json").read_bytes())
    if kind == "torch archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Payload(canary)))
            archive.writestr("archive/version", "3\n")
    else:
        path.write_bytes(pickle.dumps(Payload(canary), protocol=int(kind[-1])))

    predict(path, exit_code=4, message="refused: not safetensors but a pickle or torch archive")

    assert not canary.exists()


def test_59_the_payload_of_these_tests_would_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    pickle.loads(pickle.dumps(Payload(canary)))

    assert canary.exists()


def test_60_a_tensor_of_another_shape_is_named(
    checkpoint: Path, predict: Callable[..., str]
) -> None:
    header, tensors = header_of(checkpoint)
    name = next(n for n, item in header.items() if len(item.get("shape", ())) == 4)
    shape = header[name]["shape"]
    header[name]["shape"] = [shape[1], shape[0], *shape[2:]]
    if shape[0] == shape[1]:
        header[name]["shape"] = [shape[0] * shape[1], 1, *shape[2:]]
    write_header(checkpoint, header, tensors)

    predict(checkpoint, exit_code=3, message=rf"tensor '{name}' has shape .*; expected")


def test_60_a_tensor_under_another_name_is_named(
    checkpoint: Path, predict: Callable[..., str]
) -> None:
    header, tensors = header_of(checkpoint)
    name = next(n for n in header if n != "__metadata__")
    header["other.weight"] = header.pop(name)
    write_header(checkpoint, header, tensors)

    predict(
        checkpoint,
        exit_code=3,
        message=rf"lacks tensor '{name}' and has unknown tensor 'other.weight'",
    )


def test_60_a_tensor_that_holds_nan_is_named(
    checkpoint: Path, predict: Callable[..., str]
) -> None:
    header, tensors = header_of(checkpoint)
    name = next(n for n, item in header.items() if item.get("dtype") == "F16")
    begin, end = header[name]["data_offsets"]
    broken = tensors[:begin] + b"\xff\x7f" * ((end - begin) // 2) + tensors[end:]
    write_header(checkpoint, header, broken)

    predict(checkpoint, exit_code=3, message=rf"tensor '{name}' holds values that are not")


def beyond(header: dict[str, Any]) -> None:
    """Let a tensor reach beyond the end of the file."""
    name = next(n for n in header if n != "__metadata__")
    begin, end = header[name]["data_offsets"]
    header[name]["data_offsets"] = [begin + 10**9, end + 10**9]


def overlapping(header: dict[str, Any]) -> None:
    """Let two tensors share their bytes."""
    first, second = [n for n in header if n != "__metadata__"][:2]
    header[second] = dict(header[first])


def longer(header: dict[str, Any]) -> None:
    """Let a shape need more bytes than the tensor has."""
    name = next(n for n in header if n != "__metadata__")
    header[name]["shape"] = [10**6, *header[name]["shape"]]


@pytest.mark.parametrize("lie", [beyond, overlapping, longer])
def test_60_a_header_that_lies_is_refused(
    checkpoint: Path, predict: Callable[..., str], lie: Callable[[dict[str, Any]], None]
) -> None:
    header, tensors = header_of(checkpoint)
    lie(header)
    write_header(checkpoint, header, tensors)

    predict(checkpoint, exit_code=3, message=r"weights.safetensors: .*tensor")


@pytest.mark.parametrize(
    "content",
    [b"", b"x", struct.pack("<Q", 1 << 60) + b"{}", struct.pack("<Q", 2) + b"[]"],
    ids=["empty", "short", "huge header", "no object"],
)
def test_60_a_file_that_is_no_checkpoint_is_refused(
    checkpoint: Path, predict: Callable[..., str], content: bytes
) -> None:
    checkpoint.write_bytes(content)

    predict(checkpoint, exit_code=3, message="weights.safetensors: not a whole safetensors")


def test_60_a_truncated_checkpoint_is_refused(
    checkpoint: Path, predict: Callable[..., str]
) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: len(content) // 2])

    predict(checkpoint, exit_code=3, message="weights.safetensors: not a whole safetensors")


def test_60_weights_of_another_schema_are_named(
    checkpoint: Path, predict: Callable[..., str]
) -> None:
    from baselines.checkpoints import schema_to_facts
    from toolkit.schema import Schema

    beside = checkpoint.with_suffix(".json")
    facts = json.loads(beside.read_text())
    facts["schema"] = schema_to_facts(Schema.load("hockey"))
    beside.write_text(json.dumps(facts))

    predict(checkpoint, exit_code=3, message=r"tensor '.*' has shape \(17.*; expected \(20")

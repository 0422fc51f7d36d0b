"""A model in an ONNX file: opened and run.

Running needs onnxruntime and no torch. The file says everything itself: the schema, the crop
and its normalisation, and the checkpoint it came from stand in its metadata under the keys
below (`baselines.onnx_export` writes them), each value one JSON document:

    format            1
    model             name, as in `toolkit predict`
    schema            all of it, see `toolkit.schema_facts`
    keypoint_names    in the order of the outputs
    recipe            of the training, with input_wh, box and box_padding
    input             layout, mean and std of the pixels
    outputs           what each output is, and its unit
    facts             seed, images_seen, ..., checkpoint_sha256
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from baselines.config import TrainConfig, make_config
from baselines.pipeline import Answer, CropModel
from toolkit.errors import MissingExtraError, ReadError
from toolkit.schema_facts import read_schema

if TYPE_CHECKING:
    import onnxruntime

FORMAT = 1
KEYS = ("format", "model", "schema", "keypoint_names", "recipe", "input", "outputs", "facts")
INPUT = "images"
OUTPUTS = ("points", "scores", "sigmas")


class OnnxModel(CropModel):
    """A network in an ONNX file behind the toolkit's `PoseModel` protocol.

    Attributes:
        name: Of the model.
        schema: Whose keypoints it predicts.
        num_parameters: Of the network.
        facts: What stood beside the checkpoint, plus `box` and `checkpoint_sha256`.
        config: Crop size and box policy.
        runtime: `onnx`.
    """

    runtime = "onnx"

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        """Open a file that `toolkit export` wrote.

        Args:
            path: The ONNX file.
            threads: CPU threads; None leaves the choice to ONNX Runtime.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            ReadError: It cannot be read, is no ONNX, or lacks the metadata.
        """
        self.session = open_session(path, threads)
        held = _metadata(path, self.session.get_modelmeta().custom_metadata_map)
        self.schema = read_schema(held["schema"], where=str(path))
        self.config: TrainConfig = make_config(held["recipe"], where=f"{path}: recipe")
        self.name = str(held["model"])
        self.facts: dict[str, object] = held["facts"]
        parameters = self.facts.get("parameters")
        if parameters is not None and type(parameters) is not int:
            raise ReadError(
                f"{path}: metadata 'facts': 'parameters' is {parameters!r}; expected a whole "
                f"number; write the file again with 'toolkit export {self.name}'"
            )
        self.num_parameters = parameters or 0
        self._check_shapes(path)

    def forward(self, images: NDArray[np.float32]) -> Answer:
        """Keypoints of crops; see `baselines.pipeline.Forward`."""
        points, scores, *sigma = self.session.run(None, {INPUT: images})
        return points, scores, sigma[0] if sigma else None

    def _check_shapes(self, path: Path) -> None:
        width, height = self.config.input_wh
        given = [(item.name, item.shape) for item in self.session.get_inputs()]
        fits = (
            len(given) == 1 and given[0][0] == INPUT and given[0][1][1:] == [3, height, width]
        )
        names = tuple(item.name for item in self.session.get_outputs())
        if not fits or names not in (OUTPUTS[:2], OUTPUTS):
            raise ReadError(
                f"{path}: inputs {given} and outputs {list(names)} are not those that its "
                f"metadata describe; write it again with 'toolkit export {self.name}'"
            )


def open_session(path: Path, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session on the CPU.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ReadError: The file is absent, cut or no ONNX.
    """
    try:
        import onnxruntime  # lazy: costs 0.3 s, and is an extra
    except ImportError as error:
        raise MissingExtraError(
            "running an ONNX model needs onnxruntime, which is not installed; install it "
            "with: pip install 'extension-keypoints[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised; nothing else goes to stderr
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReadError(f"{path}: cannot read the model: {error.strerror}") from error
    try:
        # From bytes: a file that points to other files as its weights finds none.
        return onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its exceptions have no common class of their own
        reason = str(error).split("\n", 1)[0][:200]
        raise ReadError(f"{path}: not a whole ONNX model: {reason}") from error


def _metadata(path: Path, stored: dict[str, str]) -> dict[str, Any]:
    """The JSON documents of a file's metadata."""
    missing = [key for key in KEYS if key not in stored]
    if missing:
        raise ReadError(
            f"{path}: its metadata lack '{missing[0]}'; only files that 'toolkit export' wrote "
            "say how their crops are made"
        )
    try:
        held = {key: json.loads(stored[key]) for key in KEYS}
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{path}: its metadata are damaged: {error}") from error
    if held["format"] != FORMAT:
        raise ReadError(f"{path}: format {held['format']}; this version reads {FORMAT}")
    for key in ("schema", "recipe", "facts"):
        if not isinstance(held[key], dict):
            raise ReadError(f"{path}: metadata '{key}' is no JSON object")
    return held

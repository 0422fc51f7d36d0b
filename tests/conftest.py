"""Builders that all tests share: tiny data whose numbers a reader can check by hand."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from toolkit.annotations import Annotations, Images
from toolkit.dataset import Dataset
from toolkit.schema import HeadSizeStep, Keypoint, Schema

ROOT = Path(__file__).resolve().parent.parent


ALLOWED_SKIPS = ("../shared/data is absent", "no GPU")
_unexpected_skips: list[str] = []


def pytest_configure() -> None:
    """A run in the background ignores Ctrl-C, and so would every child that a test stops."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember every skip whose reason is not that real files or a GPU are absent."""
    if report.skipped and not any(reason in str(report.longrepr) for reason in ALLOWED_SKIPS):
        _unexpected_skips.append(f"{report.nodeid}: {report.longrepr}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A test that does not run proves nothing: such a skip fails the whole run."""
    if _unexpected_skips and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the skips that fail the run."""
    for line in _unexpected_skips:
        terminalreporter.write_line(f"unexpected skip: {line}", red=True)


@dataclass(frozen=True)
class Result:
    """What a run of the command line left: exit code and both streams."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout's folder."""
    return ROOT


@pytest.fixture(scope="session")
def benchmark_script() -> Callable[[str], ModuleType]:
    """Loads a program of `benchmarks/` by name, as a module."""

    def load(name: str) -> ModuleType:
        spec = spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = module_from_spec(spec)  # dataclasses look it up there
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files that nobody on this project wrote; they are not part of the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is absent")
    return folder


@pytest.fixture
def toolkit_cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the real command line in this process, exit codes and error lines included."""
    from toolkit.cli import cli
    from toolkit.cli.running import run

    def call(*arguments: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit, match=r"\d") as ended:
            run(cli, [str(argument) for argument in arguments])
        streams = capfd.readouterr()
        code = ended.value.code
        return Result(code if isinstance(code, int) else 1, streams.out, streams.err)

    return call


@pytest.fixture
def tiny_schema() -> Schema:
    """Three keypoints: `head` and `foot` of the body (sigma 0.05), `tip` of a stick (0.1)."""
    return Schema(
        name="tiny",
        title="Tiny",
        keypoints=(
            Keypoint("head", sigma=0.05, sigma_source="made up", sigma_published=True),
            Keypoint("foot", sigma=0.05, sigma_source="made up", sigma_published=True),
            Keypoint(
                "tip", group="extension", sigma=0.1, sigma_source="made up", report_group="Tip"
            ),
        ),
        edges=(("head", "foot"), ("foot", "tip")),
        head_size=(
            HeadSizeStep("head_box", 0.6),
            HeadSizeStep("segment", 0.5, (("head", "foot"),)),
        ),
    )


@pytest.fixture
def make_dataset(tiny_schema: Schema) -> Callable[..., Dataset]:
    """Two people in a 100x100 image: a head at the top of a 10x20 box, a tip outside it.

    Person i stands at x = 20 + 40 i: box [x, 10, 10, 20], head (x + 5, 10), foot (x + 5, 30),
    tip (x + 15, 30), five px right of the box; all visible; area 200.
    """

    def build(count: int = 2, schema: Schema = tiny_schema) -> Dataset:
        x = 20.0 + 40.0 * np.arange(count)
        y = np.zeros(count)
        points = np.stack(
            [
                np.stack([x + 5, y + 10], axis=1),
                np.stack([x + 5, y + 30], axis=1),
                np.stack([x + 15, y + 30], axis=1),
            ],
            axis=1,
        )
        people = Annotations.from_arrays(
            schema,
            image_id=np.ones(count, np.int64),
            keypoints=points,
            visibility=np.full((count, 3), 2, np.uint8),
            bbox_xywh=np.stack([x, y + 10, y + 10, y + 20], axis=1),
            area=np.full(count, 200.0),
        )
        images = Images.from_ids(np.array([1]), size_wh=np.array([[100, 100]]))
        return Dataset(schema=schema, images=images, annotations=people)

    return build


@pytest.fixture
def coco_document() -> dict[str, object]:
    """A valid COCO file of one image and two people with COCO's 17 keypoints."""
    schema = Schema.load("coco")

    def person(instance_id: int, x: float) -> dict[str, object]:
        points = [value for k in range(17) for value in (x + k, 20 + 2 * k, 2)]
        return {
            "id": instance_id,
            "image_id": 7,
            "category_id": 1,
            "keypoints": points,
            "num_keypoints": 17,
            "bbox": [x, 20, 16, 32],
            "area": 300.5,
            "iscrowd": 0,
        }

    return {
        "info": {"description": "tiny"},
        "images": [{"id": 7, "file_name": "seven.jpg", "width": 100, "height": 80}],
        "annotations": [person(1, 10), person(2, 50)],
        "categories": [schema.coco_category()],
    }


@pytest.fixture
def write_json(tmp_path: Path) -> Callable[..., Path]:
    """Write a document (or raw text, or bytes) to a file and give its path."""

    def write(document: object, name: str = "annotations.json") -> Path:
        path = tmp_path / name
        if isinstance(document, bytes):
            path.write_bytes(document)
        else:
            text = document if isinstance(document, str) else json.dumps(document)
            path.write_text(text, encoding="utf-8")
        return path

    return write

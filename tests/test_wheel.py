"""A wheel carries the data and the checkpoints, and works without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout with the build tool of the test extra."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=root,
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_data_and_packages_but_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"toolkit", "baselines", "tokenclipose"}
    for name in ("coco", "crowdpose", "hockey", "lacrosse"):
        assert f"toolkit/_datasets/{name}/schema.yaml" in names
        assert f"toolkit/_datasets/{name}/card.md" in names
    assert "toolkit/_datasets/hockey/sample/annotations.json" in names
    assert "toolkit/py.typed" in names


def test_the_wheel_carries_every_checkpoint_with_its_facts(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    weights = [name for name in names if name.endswith(".safetensors")]

    assert any(name.startswith("tokenclipose/checkpoints/") for name in weights)
    assert any(name.startswith("baselines/checkpoints/") for name in weights)
    for name in weights:
        assert name.removesuffix(".safetensors") + ".json" in names
        assert zipfile.ZipFile(wheel).getinfo(name).file_size <= 6_000_000


def test_an_unpacked_wheel_finds_its_own_data(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    probe = (
        "import toolkit; from toolkit.schema import Schema; "
        "print(toolkit.__file__, Schema.load('hockey').num_keypoints)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.split() == [str(tmp_path / "site" / "toolkit" / "__init__.py"), "20"]

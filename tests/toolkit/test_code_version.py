"""What a checkpoint and a report say about the code that made them."""

from __future__ import annotations

from pathlib import Path

from toolkit import __version__
from toolkit.code_version import code_version, commit

SHA = "0123456789abcdef0123456789abcdef01234567"


def checkout(folder: Path, head: str, **files: str) -> Path:
    """A checkout with the files of git that say where it stands."""
    for name, text in {"HEAD": head, **files}.items():
        path = folder / ".git" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "ascii")
    return folder


def test_a_branch_is_looked_up_and_a_detached_head_is_the_commit_itself(tmp_path: Path) -> None:
    on_branch = checkout(tmp_path / "a", "ref: refs/heads/main\n", refs__heads__main=f"{SHA}\n")
    packed = tmp_path / "b"
    checkout(packed, "ref: refs/heads/main\n")
    (packed / ".git" / "packed-refs").write_text(
        f"# pack-refs\n{SHA} refs/heads/main\n", "ascii"
    )
    detached = checkout(tmp_path / "c", f"{SHA}\n")

    assert [commit(folder) for folder in (on_branch, packed, detached)] == [SHA] * 3
    assert code_version(detached) == f"{__version__}+g0123456789ab"


def test_outside_a_checkout_the_release_is_all_that_is_known(tmp_path: Path) -> None:
    lost = checkout(tmp_path / "a", "ref: refs/heads/gone\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / ".git").write_text("gitdir: elsewhere\n", "ascii")

    for folder in (tmp_path, lost, tmp_path / "b"):
        assert commit(folder) is None
        assert code_version(folder) == __version__

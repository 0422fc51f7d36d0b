"""Reading a schema's YAML file, with messages that name the file, keypoint and field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml

from toolkit.errors import ReadError, SchemaError
from toolkit.schema import Group, HeadSizeMethod, HeadSizeStep, Keypoint, Region, Schema

# libyaml, where PyYAML was built with it, reads a schema ten times as fast.
_BASE: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[valid-type, misc]
    """Refuses a key that a mapping has twice, of which YAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, each key once."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key '{key.value}' is there twice", key.start_mark
                    )
                seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


_TOP = {"name", "title", "category", "keypoints", "edges", "head_size", "notes"}
_KEYPOINT = {"name", "group", "flip", "sigma", "report_group", "region", "prompts"}
_SIGMA = {"value", "source", "published"}


def parse_schema(path: Path) -> Schema:
    """Read a schema file.

    Raises:
        ReadError: The file cannot be read or is not YAML.
        SchemaError: A field is missing, unknown or of the wrong kind.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: cannot read the schema: {error}") from error
    except yaml.YAMLError as error:
        detail = " ".join(str(error).split())
        raise ReadError(f"{path}: not YAML: {detail}") from error
    if not isinstance(document, dict):
        raise SchemaError(f"{path}: got {_kind(document)}; a schema is a mapping")
    _known_fields(str(path), document, _TOP)
    where = str(path)
    category = _mapping(where, document, "category")
    keypoints = _list(where, document, "keypoints")
    if not keypoints:
        raise SchemaError(f"{where}: field 'keypoints' is empty; list at least one")
    return Schema(
        name=_text(where, document, "name"),
        title=_text(where, document, "title"),
        keypoints=tuple(
            _keypoint(f"{where}: keypoints[{i}]", item) for i, item in enumerate(keypoints)
        ),
        edges=tuple(
            _pair(f"{where}: edges[{i}]", item)
            for i, item in enumerate(document.get("edges") or [])
        ),
        head_size=tuple(
            _head_step(f"{where}: head_size[{i}]", item)
            for i, item in enumerate(document.get("head_size") or [])
        ),
        category_id=int(str(category.get("id", 1))),
        category_name=str(category.get("name", "person")),
        supercategory=str(category.get("supercategory", "person")),
    )


def _keypoint(where: str, item: object) -> Keypoint:
    if not isinstance(item, dict):
        raise SchemaError(f"{where}: got {_kind(item)}; expected a mapping")
    name = _text(where, item, "name")
    where = f"{where} '{name}'"
    _known_fields(where, item, _KEYPOINT)
    sigma = item.get("sigma") or {}
    if not isinstance(sigma, dict):
        raise SchemaError(
            f"{where}: field 'sigma' is {_kind(sigma)}; expected value, source, published"
        )
    _known_fields(f"{where}: sigma", sigma, _SIGMA)
    value = sigma.get("value")
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise SchemaError(f"{where}: sigma value is {_kind(value)}; expected a number")
    if value is not None and not sigma.get("source"):
        raise SchemaError(f"{where}: sigma has a value but no 'source'; say where it is from")
    prompts = item.get("prompts") or []
    if not isinstance(prompts, list) or not all(isinstance(p, str) for p in prompts):
        raise SchemaError(f"{where}: field 'prompts' must be a list of sentences")
    group: Group = _choice(where, item, "group", get_args(Group), "body")  # type: ignore[assignment]
    region: Region = _choice(where, item, "region", get_args(Region), "anywhere")  # type: ignore[assignment]
    return Keypoint(
        name=name,
        group=group,
        flip=str(item.get("flip") or name),
        sigma=None if value is None else float(value),
        sigma_source=str(sigma.get("source", "unknown")),
        sigma_published=bool(sigma.get("published", False)),
        report_group=str(item.get("report_group", "Body")),
        region=region,
        prompts=tuple(prompts),
    )


def _head_step(where: str, item: object) -> HeadSizeStep:
    if not isinstance(item, dict):
        raise SchemaError(f"{where}: got {_kind(item)}; expected a mapping")
    _known_fields(where, item, {"method", "factor", "pairs"})
    methods = get_args(HeadSizeMethod)
    method: HeadSizeMethod = _choice(where, item, "method", methods, None)  # type: ignore[assignment]
    factor = item.get("factor")
    if not isinstance(factor, int | float) or isinstance(factor, bool) or not factor > 0:
        raise SchemaError(f"{where}: field 'factor' is {factor!r}; expected a positive number")
    pairs = tuple(_pair(f"{where}: pairs", pair) for pair in item.get("pairs") or [])
    if (method == "head_box") != (not pairs):
        raise SchemaError(
            f"{where}: method '{method}' with {len(pairs)} pairs; 'head_box' takes none, "
            "the others need at least one"
        )
    return HeadSizeStep(method=method, factor=float(factor), pairs=pairs)


def _pair(where: str, item: object) -> tuple[str, str]:
    if not isinstance(item, Sequence) or isinstance(item, str) or len(item) != 2:
        raise SchemaError(f"{where}: got {item!r}; expected two keypoint names")
    return str(item[0]), str(item[1])


def _choice(
    where: str,
    item: Mapping[str, object],
    field: str,
    allowed: tuple[str, ...],
    default: str | None,
) -> str:
    value = item.get(field, default)
    if value not in allowed:
        raise SchemaError(f"{where}: field '{field}' is {value!r}; one of {', '.join(allowed)}")
    return str(value)


def _known_fields(where: str, item: Mapping[str, object], known: set[str]) -> None:
    unknown = sorted(set(map(str, item)) - known)
    if unknown:
        raise SchemaError(
            f"{where}: unknown field '{unknown[0]}'; known: {', '.join(sorted(known))}"
        )


def _text(where: str, item: Mapping[str, object], field: str) -> str:
    value = item.get(field)
    if not isinstance(value, str) or not value:
        raise SchemaError(f"{where}: field '{field}' is {_kind(value)}; expected a text")
    return value


def _mapping(where: str, item: Mapping[str, object], field: str) -> Mapping[str, object]:
    value = item.get(field) or {}
    if not isinstance(value, dict):
        raise SchemaError(f"{where}: field '{field}' is {_kind(value)}; expected a mapping")
    return value


def _list(where: str, item: Mapping[str, object], field: str) -> list[object]:
    value = item.get(field)
    if not isinstance(value, list):
        raise SchemaError(f"{where}: field '{field}' is {_kind(value)}; expected a list")
    return value


def _kind(value: object) -> str:
    return "missing" if value is None else type(value).__name__

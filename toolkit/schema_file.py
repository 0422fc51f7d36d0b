"""Reading a schema's YAML file, with messages that name the file, keypoint and field."""

from __future__ import annotations

import sys
from collections.abc import Mapping
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
_CATEGORY = {"id", "name", "supercategory"}
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
    except (ValueError, LookupError, AttributeError, RecursionError) as error:
        # What YAML takes for a date or a tagged number, and Python does not.
        raise ReadError(
            f"{path}: not YAML: {error}; put quotes round dates and numbers that are text"
        ) from error
    return schema_from_document(document, where=str(path))


def schema_from_document(document: object, *, where: str) -> Schema:
    """The schema that plain values describe, every field checked.

    Args:
        document: What YAML or JSON gave: the fields of a schema file.
        where: The file, for errors.

    Raises:
        SchemaError: A field is missing, unknown or of the wrong kind.
    """
    if not isinstance(document, dict):
        raise SchemaError(f"{where}: got {_kind(document)}; a schema is a mapping")
    _known_fields(where, document, _TOP)
    category = _mapping(where, document, "category")
    of_category = f"{where}: category"
    _known_fields(of_category, category, _CATEGORY)
    keypoints = _list(where, document, "keypoints", required=True)
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
            for i, item in enumerate(_list(where, document, "edges"))
        ),
        head_size=tuple(
            _head_step(f"{where}: head_size[{i}]", item)
            for i, item in enumerate(_list(where, document, "head_size"))
        ),
        category_id=_whole(of_category, category, "id", 1),
        category_name=_text_or(of_category, category, "name", "person"),
        supercategory=_text_or(of_category, category, "supercategory", "person"),
    )


def _keypoint(where: str, item: object) -> Keypoint:
    if not isinstance(item, dict):
        raise SchemaError(f"{where}: got {_kind(item)}; expected a mapping")
    name = _text(where, item, "name")
    where = f"{where} '{name}'"
    _known_fields(where, item, _KEYPOINT)
    sigma, source, published = _sigma(where, item)
    prompts = [] if item.get("prompts") is None else item["prompts"]
    if not isinstance(prompts, list) or not all(isinstance(p, str) for p in prompts):
        raise SchemaError(f"{where}: field 'prompts' must be a list of sentences")
    group: Group = _choice(where, item, "group", get_args(Group), "body")  # type: ignore[assignment]
    region: Region = _choice(where, item, "region", get_args(Region), "anywhere")  # type: ignore[assignment]
    return Keypoint(
        name=name,
        group=group,
        flip=name if item.get("flip") is None else _text_or(where, item, "flip", name),
        sigma=sigma,
        sigma_source=source,
        sigma_published=published,
        report_group=_text_or(where, item, "report_group", "Body"),
        region=region,
        prompts=tuple(prompts),
    )


def _sigma(where: str, item: Mapping[str, object]) -> tuple[float | None, str, bool]:
    """A keypoint's sigma, its source, and whether somebody published it."""
    given = {} if item.get("sigma") is None else item["sigma"]
    if not isinstance(given, dict):
        raise SchemaError(
            f"{where}: field 'sigma' is {_kind(given)}; expected value, source, published"
        )
    inside = f"{where}: sigma"
    _known_fields(inside, given, _SIGMA)
    value = given.get("value")
    sigma = None if value is None else _number(f"{inside} value", value)
    if sigma is not None and not given.get("source"):
        raise SchemaError(f"{inside} has a value but no 'source'; say where it is from")
    published = given.get("published", False)
    if not isinstance(published, bool):
        raise SchemaError(
            f"{inside}: field 'published' is {_kind(published)}; expected true or false"
        )
    return sigma, _text_or(inside, given, "source", "unknown"), published


def _head_step(where: str, item: object) -> HeadSizeStep:
    if not isinstance(item, dict):
        raise SchemaError(f"{where}: got {_kind(item)}; expected a mapping")
    _known_fields(where, item, {"method", "factor", "pairs"})
    methods = get_args(HeadSizeMethod)
    method: HeadSizeMethod = _choice(where, item, "method", methods, None)  # type: ignore[assignment]
    factor = _number(f"{where}: field 'factor'", item.get("factor"))
    if not factor > 0:
        raise SchemaError(f"{where}: field 'factor' is {factor:g}; expected a positive number")
    pairs = tuple(_pair(f"{where}: pairs", pair) for pair in _list(where, item, "pairs"))
    if (method == "head_box") != (not pairs):
        raise SchemaError(
            f"{where}: method '{method}' with {len(pairs)} pairs; 'head_box' takes none, "
            "the others need at least one"
        )
    return HeadSizeStep(method=method, factor=factor, pairs=pairs)


def _pair(where: str, item: object) -> tuple[str, str]:
    if isinstance(item, list) and len(item) == 2:
        start, end = item
        if isinstance(start, str) and isinstance(end, str):
            return start, end
    raise SchemaError(f"{where}: got {item!r}; expected two keypoint names")


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


def _text_or(where: str, item: Mapping[str, object], field: str, default: str) -> str:
    """A text that may be empty, or left out."""
    value = item.get(field, default)
    if not isinstance(value, str):
        raise SchemaError(f"{where}: field '{field}' is {_kind(value)}; expected a text")
    return value


def _whole(where: str, item: Mapping[str, object], field: str, default: int) -> int:
    """A whole number that 64 bits hold."""
    value = item.get(field, default)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise SchemaError(
            f"{where}: field '{field}' is {_kind(value)}; expected a whole number of 64 bits"
        )
    return value


def _number(what: str, value: object) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SchemaError(f"{what} is {_kind(value)}; expected a number")
    if not abs(value) <= sys.float_info.max:  # NaN is not
        raise SchemaError(f"{what} is not finite; expected a number")
    return float(value)


def _mapping(where: str, item: Mapping[str, object], field: str) -> Mapping[str, object]:
    value = {} if item.get(field) is None else item[field]
    if not isinstance(value, dict):
        raise SchemaError(f"{where}: field '{field}' is {_kind(value)}; expected a mapping")
    return value


def _list(
    where: str, item: Mapping[str, object], field: str, *, required: bool = False
) -> list[object]:
    """A list; where it need not be there, an empty one stands for it."""
    value = item.get(field)
    if value is None and not required:
        return []
    if not isinstance(value, list):
        raise SchemaError(f"{where}: field '{field}' is {_kind(value)}; expected a list")
    return value


def _kind(value: object) -> str:
    return "missing" if value is None else type(value).__name__

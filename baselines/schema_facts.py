"""A schema as it stands in the facts of a checkpoint and in the metadata of an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from toolkit.errors import ReadError, SchemaError, UsageError
from toolkit.schema import HeadSizeStep, Keypoint, Schema


def schema_to_facts(schema: Schema) -> dict[str, object]:
    """A whole schema, so that a user's own travels along, its prompts and sigmas too."""
    return {
        "name": schema.name,
        "title": schema.title,
        "keypoints": [
            {**asdict(keypoint), "prompts": list(keypoint.prompts)}
            for keypoint in schema.keypoints
        ],
        "edges": [list(edge) for edge in schema.edges],
        "head_size": [
            {
                "method": step.method,
                "factor": step.factor,
                "pairs": [list(pair) for pair in step.pairs],
            }
            for step in schema.head_size
        ],
        "category": {
            "id": schema.category_id,
            "name": schema.category_name,
            "supercategory": schema.supercategory,
        },
    }


def read_schema(stored: object, *, where: str) -> Schema:
    """The schema that was stored.

    Older files hold names, groups and edges only. Theirs is the built-in schema of that name
    where the keypoints agree; else it has no prompts and no sigmas.

    Args:
        stored: What `schema_to_facts` gave, read back from JSON.
        where: The file, for errors.

    Raises:
        ReadError: It does not describe a schema.
    """
    facts: Any = stored  # of another's file: what does not fit is told below
    try:
        whole = "head_size" in facts
        names = tuple(k["name"] for k in facts["keypoints"])
        if not whole and facts["name"] in Schema.builtin_names():
            builtin = Schema.load(facts["name"])
            if builtin.names == names:
                return builtin
        category = facts["category"] if whole else {}
        return Schema(
            name=str(facts["name"]),
            title=str(facts["title"]),
            keypoints=tuple(_keypoint(k) for k in facts["keypoints"]),
            edges=tuple((a, b) for a, b in facts["edges"]),
            head_size=(
                tuple(_head_step(step) for step in facts["head_size"])
                if whole
                else (HeadSizeStep("head_box", 0.6),)
            ),
            category_id=int(category.get("id", 1)),
            category_name=str(category.get("name", "person")),
            supercategory=str(category.get("supercategory", "person")),
        )
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        SchemaError,
        UsageError,
    ) as error:
        raise ReadError(f"{where}: 'schema' does not describe a schema: {error!r}") from error


def _keypoint(stored: Mapping[str, Any]) -> Keypoint:
    prompts = stored.get("prompts", [])
    if not (isinstance(prompts, list) and all(isinstance(one, str) for one in prompts)):
        raise ValueError(f"prompts of '{stored['name']}' are no list of sentences")
    return Keypoint(**{**stored, "prompts": tuple(prompts)})


def _head_step(stored: Mapping[str, Any]) -> HeadSizeStep:
    pairs = tuple((str(a), str(b)) for a, b in stored["pairs"])
    return HeadSizeStep(stored["method"], float(stored["factor"]), pairs)

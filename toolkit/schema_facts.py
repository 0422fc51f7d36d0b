"""A schema as JSON: in a checkpoint's facts, an ONNX file, a data set of FiftyOne."""

from __future__ import annotations

from dataclasses import asdict

from toolkit.errors import ReadError, SchemaError
from toolkit.schema import Schema
from toolkit.schema_file import schema_from_document

# Facts keep a keypoint's sigma flat; a schema file has one field of three.
_SIGMA = {"sigma": "value", "sigma_source": "source", "sigma_published": "published"}


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
    """The schema that was stored: a schema file's document, but for the flat sigmas.

    Older files hold names, groups and edges only. Theirs is the built-in schema of that name
    where the keypoints agree; else it has no prompts and no sigmas.

    Args:
        stored: What `schema_to_facts` gave, read back from JSON.
        where: The file, for errors.

    Raises:
        ReadError: It does not describe a schema.
    """
    if not isinstance(stored, dict):
        raise ReadError(
            f"{where}: 'schema' is no JSON object and does not describe a schema; fetch or "
            "make the file again"
        )
    is_whole = "head_size" in stored
    document = {"head_size": [{"method": "head_box", "factor": 0.6}], **stored}
    keypoints = stored.get("keypoints")
    if isinstance(keypoints, list):
        document["keypoints"] = [_nested(keypoint) for keypoint in keypoints]
    try:
        schema = schema_from_document(document, where=where)
    except SchemaError as error:
        reason = str(error).removeprefix(f"{where}: ")
        raise ReadError(
            f"{where}: 'schema' does not describe a schema: {reason}; fetch or make the file "
            "again"
        ) from error
    if not is_whole and schema.name in Schema.builtin_names():
        builtin = Schema.load(schema.name)
        if builtin.names == schema.names:
            return builtin
    return schema


def _nested(keypoint: object) -> object:
    """A keypoint with its sigma in one field, as in a schema file."""
    if not isinstance(keypoint, dict):
        return keypoint
    sigma = {inner: keypoint[outer] for outer, inner in _SIGMA.items() if outer in keypoint}
    return {
        **{key: value for key, value in keypoint.items() if key not in _SIGMA},
        "sigma": sigma,
    }

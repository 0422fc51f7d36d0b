"""A schema as it stands in the facts of a checkpoint and in the metadata of an ONNX file."""

from __future__ import annotations

from toolkit.errors import ReadError, UsageError
from toolkit.schema import HeadSizeStep, Keypoint, Schema


def schema_to_facts(schema: Schema) -> dict[str, object]:
    """What a prediction needs of a schema, so that a user's own schema travels along."""
    return {
        "name": schema.name,
        "title": schema.title,
        "keypoints": [
            {"name": k.name, "group": k.group, "flip": k.flip, "report_group": k.report_group}
            for k in schema.keypoints
        ],
        "edges": [list(edge) for edge in schema.edges],
    }


def read_schema(stored: object, *, where: str) -> Schema:
    """The schema that was stored: the built-in one where names agree, else as it stands.

    Args:
        stored: What `schema_to_facts` gave, read back from JSON.
        where: The file, for errors.

    Raises:
        ReadError: It does not describe a schema.
    """
    try:
        names = tuple(k["name"] for k in stored["keypoints"])  # type: ignore[index]
        if stored["name"] in Schema.builtin_names():  # type: ignore[index]
            builtin = Schema.load(stored["name"])  # type: ignore[index]
            if builtin.names == names:
                return builtin
        return Schema(
            name=str(stored["name"]),  # type: ignore[index]
            title=str(stored["title"]),  # type: ignore[index]
            keypoints=tuple(Keypoint(**k) for k in stored["keypoints"]),  # type: ignore[index]
            edges=tuple((a, b) for a, b in stored["edges"]),  # type: ignore[index]
            head_size=(HeadSizeStep("head_box", 0.6),),
        )
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise ReadError(f"{where}: 'schema' does not describe a schema: {error!r}") from error

"""Croissant metadata of a release: what the files are, for machines that load data sets.

Croissant 1.1 with the responsible-AI vocabulary 1.0. There is no keypoint type in it, so an
instance's keypoints are an array of numbers as COCO has them, and the record set `keypoints`
says what each triple of the array is: name, group, flip partner, OKS sigma.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from toolkit.publish.manifest import FileEntry
from toolkit.publish.source import Source

# Field of the card's front matter under `rai` -> what it tells; the minimum that venues ask
# for comes first.
RAI_FIELDS = {
    "data_collection": "dataCollection",
    "data_annotation_protocol": "dataAnnotationProtocol",
    "data_limitations": "dataLimitations",
    "data_biases": "dataBiases",
    "personal_sensitive_information": "personalSensitiveInformation",
    "data_use_cases": "dataUseCases",
    "data_social_impact": "dataSocialImpact",
    "data_collection_type": "dataCollectionType",
    "data_collection_timeframe": "dataCollectionTimeframe",
    "data_preprocessing_protocol": "dataPreprocessingProtocol",
    "data_annotation_platform": "dataAnnotationPlatform",
    "data_annotation_analysis": "dataAnnotationAnalysis",
    "data_release_maintenance_plan": "dataReleaseMaintenancePlan",
    "annotations_per_item": "annotationsPerItem",
    "annotator_demographics": "annotatorDemographics",
}
RAI_MINIMUM = tuple(RAI_FIELDS)[:6]

_URLS = {
    "apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "mit": "https://opensource.org/license/mit",
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "cc-by-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "cc-by-sa-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "cc-by-nc-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "cc-by-nc-sa-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
}
_ANNOTATIONS = "annotations.json"
_IMAGE_LIST = "annotations.json-images"
_MEDIA = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def missing_rai(source: Source) -> list[str]:
    """Responsible-AI fields of the minimum that the card does not state."""
    stated = _rai(source)
    return [name for name in RAI_MINIMUM if not stated.get(name)]


def croissant(source: Source, files: Iterable[FileEntry]) -> dict[str, object]:
    """The metadata as a JSON-LD document.

    Args:
        source: What is published.
        files: The release's files as far as they are known: annotations and splits by hash.
    """
    card = source.card
    licence = card.licence.strip()
    document: dict[str, object] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": card.name,
        "description": card.text or source.schema.title or card.name,
        "version": card.version,
        "license": _URLS.get(licence.lower().replace(" ", "-"), licence),
        "citeAs": card.citation,
        "url": card.source_url or f"urn:dataset:{card.name}:{card.version}",
        "keywords": ["keypoints", "pose estimation", "COCO"],
    }
    for field, target in (("date_published", "datePublished"), ("creator", "creator")):
        if source.front.get(field):
            document[target] = str(source.front[field])
    stated = _rai(source)
    for field, target in RAI_FIELDS.items():
        if stated.get(field):
            document[f"rai:{target}"] = stated[field]
    document["distribution"] = _distribution(source, files)
    document["recordSet"] = [_images(), _annotations(source), _keypoints(source)]
    return document


def croissant_bytes(document: Mapping[str, object]) -> bytes:
    """The document as it is written: same content, same bytes."""
    # A date in the card is one to YAML, and has no JSON of its own.
    text = json.dumps(document, indent=1, ensure_ascii=False, default=str)
    return f"{text}\n".encode()


def _rai(source: Source) -> Mapping[str, object]:
    stated = source.front.get("rai")
    return stated if isinstance(stated, dict) else {}


def _distribution(source: Source, files: Iterable[FileEntry]) -> list[object]:
    found: list[object] = []
    for entry in files:
        if entry.path == _ANNOTATIONS:
            # Loaders make one table of all that is taken from one file object, so the list
            # of images needs an object of its own for the same file.
            found += [_json_file(_ANNOTATIONS, entry), _json_file(_IMAGE_LIST, entry)]
        elif entry.path.startswith("splits/") and entry.path.endswith(".json"):
            found.append(_json_file(entry.path, entry))
    endings = sorted({name.rpartition(".")[2] for name in source.images if "." in name})
    for ending in endings:
        found.append(
            {
                "@type": "cr:FileSet",
                "@id": f"images-{ending}",
                "name": f"images-{ending}",
                "description": f"The frames ({ending})",
                "encodingFormat": _MEDIA.get(ending.lower(), "application/octet-stream"),
                "includes": f"images/**/*.{ending}"
                if any("/" in name for name in source.images)
                else f"images/*.{ending}",
            }
        )
    return found


def _json_file(name: str, entry: FileEntry) -> dict[str, object]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": entry.path,
        "contentSize": f"{entry.bytes} B",
        "encodingFormat": "application/json",
        "sha256": entry.sha256,
    }


def _field(
    records: str, name: str, kind: str, path: str, description: str, **more: object
) -> dict[str, object]:
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{name}",
        "name": name,
        "description": description,
        "dataType": kind,
        "source": {
            "fileObject": {"@id": _IMAGE_LIST if records == "images" else _ANNOTATIONS},
            "extract": {"jsonPath": path},
        },
        **more,
    }


def _images() -> dict[str, object]:
    def field(name: str, kind: str, description: str) -> dict[str, object]:
        return _field("images", name, kind, f"$.images[*].{name}", description)

    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "description": "One record an image.",
        "key": {"@id": "images/id"},
        "field": [
            field("id", "sc:Integer", "Id of the image"),
            field("file_name", "sc:Text", "File below images/"),
            field("width", "sc:Integer", "Pixels"),
            field("height", "sc:Integer", "Pixels"),
        ],
    }


def _annotations(source: Source) -> dict[str, object]:
    def field(name: str, kind: str, description: str, **more: object) -> dict[str, object]:
        path = f"$.annotations[*].{name}"
        return _field("annotations", name, kind, path, description, **more)

    count = 3 * source.schema.num_keypoints
    return {
        "@type": "cr:RecordSet",
        "@id": "annotations",
        "name": "annotations",
        "description": "One record a person; keypoints may lie outside the box and the image.",
        "key": {"@id": "annotations/id"},
        "field": [
            field("id", "sc:Integer", "Id of the instance"),
            field(
                "image_id",
                "sc:Integer",
                "Id of its image",
                references={"field": {"@id": "images/id"}},
            ),
            field("bbox", "cr:BoundingBox", "x, y, width, height in px, round the person"),
            field(
                "keypoints",
                "sc:Float",
                "x, y in px and visibility (0 not labelled, 1 hidden, 2 visible) of each "
                "keypoint, in the order of the record set 'keypoints'",
                isArray=True,
                arrayShape=str(count),
            ),
        ],
    }


def _keypoints(source: Source) -> dict[str, object]:
    columns = {
        "index": ("sc:Integer", "Position in the keypoints array, in triples"),
        "name": ("sc:Text", "Name"),
        "group": ("sc:Text", "body, or extension: reaches beyond the person"),
        "flip": ("sc:Text", "The keypoint that it becomes in a mirrored image"),
        "region": ("sc:Text", "Where it may lie: box, image, anywhere"),
        "sigma": ("sc:Text", "OKS constant; empty where unknown"),
    }
    rows = [
        (
            index,
            keypoint.name,
            keypoint.group,
            keypoint.flip or keypoint.name,
            keypoint.region,
            "" if keypoint.sigma is None else f"{keypoint.sigma:g}",
        )
        for index, keypoint in enumerate(source.schema.keypoints)
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "keypoints",
        "name": "keypoints",
        "description": "What each triple of annotations/keypoints is.",
        "key": {"@id": "keypoints/name"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"keypoints/{name}",
                "name": name,
                "description": description,
                "dataType": kind,
            }
            for name, (kind, description) in columns.items()
        ],
        "data": [
            {f"keypoints/{name}": value for name, value in zip(columns, row, strict=True)}
            for row in rows
        ],
    }

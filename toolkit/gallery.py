"""The gallery: one page with many pictures, and filters by rule, keypoint, stratum and clip.

The page carries its pictures and its script inside itself and asks nothing of the network,
so that it can be mailed or archived. Without JavaScript it shows every picture. What a
filter matches is an instance: "stick_toe, out_of_box" finds the people whose toe is outside
their box, frames them, and hides the pictures that hold none. File names, ids and names of
keypoints are text for the script too, never markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.gallery_style import SCRIPT, STYLE
from toolkit.ink import encode_png, legend
from toolkit.metrics.strata import STRATA
from toolkit.page import data_uri, escape, html_page, script_data
from toolkit.schema import Schema

MAX_JPEG_BYTES = 17_000_000  # of all pictures: a page of at most about 25 MB
LEGEND_WIDTH = 372  # px: a telephone shows it unscaled
_DIGITS = "0123456789abcdefghijklmnopqrstuv"  # one a set of five strata


@dataclass(frozen=True)
class Person:
    """An instance in a picture.

    Attributes:
        instance_id: Of the annotation.
        place: Left, top, width and height of its box in per cent of the picture, or None.
        rules: Codes of the rules that it breaks.
        strata: (K,) uint8, bit `i` for `STRATA[i]`.
    """

    instance_id: int
    place: tuple[float, float, float, float] | None
    rules: tuple[str, ...]
    strata: NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """One picture of the gallery.

    Attributes:
        image_id: Of the image.
        source: The image's file name.
        clip: Its clip, or None.
        caption: Facts in a few words.
        jpeg: The drawing.
        size_wh: Its width and height in px.
        people: The annotated instances in it.
        rules: Codes of the rules that the image's own record breaks.
        close_up: Id of the annotation that the picture is cut round, None for a whole image.
    """

    image_id: int
    source: str
    clip: str | None
    caption: str
    jpeg: bytes
    size_wh: tuple[int, int]
    people: tuple[Person, ...]
    rules: tuple[str, ...]
    close_up: int | None = None


@dataclass(frozen=True)
class GalleryText:
    """What the page says beside its pictures.

    Attributes:
        title: Heading.
        summary: One line on the whole.
        left_out: Pictures that are not in the page.
        predicted: Whether predictions are drawn.
        crop: Whether crops are drawn.
    """

    title: str
    summary: str
    left_out: int = 0
    predicted: bool = False
    crop: bool = False


def gallery_page(schema: Schema, text: GalleryText, pictures: Sequence[Picture]) -> str:
    """The whole page."""
    data = _data(schema, pictures)
    strip = legend(schema, LEGEND_WIDTH, predicted=text.predicted, crop=text.crop)
    missing = ""
    if text.left_out:
        missing = (
            f'<p class="warning">{text.left_out:,} more '
            f"{'picture is' if text.left_out == 1 else 'pictures are'} not in this page, which "
            "is full; filters look at what is in it. Choose with --clip, --rule, --keypoint, "
            "--stratum or --limit.</p>"
        )
    cards = "\n".join(_card(number, picture) for number, picture in enumerate(pictures))
    body = (
        f'<header><h1>{escape(text.title)}</h1><p class="lead">{escape(text.summary)}</p>'
        f'{missing}<img class="legend" alt="Legend: colours and markers" '
        f'src="{data_uri(encode_png(strip), "image/png")}">'
        f"{_filters(data, pictures)}</header>"
        f'<main class="cards">{cards}</main>{_DIALOG}{script_data("data", data)}'
    )
    return html_page(text.title, body, style=STYLE, script=SCRIPT)


def _card(number: int, picture: Picture) -> str:
    name = escape(picture.source)
    clip = f" · clip {escape(picture.clip)}" if picture.clip is not None else ""
    width, height = picture.size_wh
    key, about = f"image-{picture.image_id}", ""
    if picture.close_up is not None:
        key, about = f"annotation-{picture.close_up}-{number}", f"#{picture.close_up} · image "
    return (
        f'<figure id="{key}" data-n="{number}">'
        f'<button class="picture" aria-label="Enlarge {name}"><img loading="lazy" '
        f'width="{width}" height="{height}" alt="{name}" src="{data_uri(picture.jpeg)}">'
        f"</button><figcaption><b>{name}</b> <span>{about}id {picture.image_id}{clip} · "
        f'{escape(picture.caption)}</span><span class="found"></span></figcaption></figure>'
    )


def _data(schema: Schema, pictures: Sequence[Picture]) -> dict[str, object]:
    """What the script filters by; rules and clips as indices into their lists."""
    rules = sorted(
        {code for picture in pictures for code in picture.rules}
        | {code for picture in pictures for person in picture.people for code in person.rules}
    )
    clips = list(dict.fromkeys(p.clip for p in pictures if p.clip is not None))
    at_rule = {code: index for index, code in enumerate(rules)}
    at_clip = {clip: index for index, clip in enumerate(clips)}
    cards = [
        {
            "c": -1 if picture.clip is None else at_clip[picture.clip],
            "f": picture.source,
            "r": [at_rule[code] for code in picture.rules],
            "p": [_person(person, at_rule) for person in picture.people],
        }
        for picture in pictures
    ]
    return {
        "rules": rules,
        "keypoints": list(schema.names),
        "strata": list(STRATA),
        "clips": clips,
        "cards": cards,
    }


def _person(person: Person, at_rule: dict[str, int]) -> list[object]:
    return [
        str(person.instance_id),
        None if person.place is None else [round(value, 2) for value in person.place],
        [at_rule[code] for code in person.rules],
        "".join(_DIGITS[bits] for bits in person.strata.tolist()),
    ]


def _filters(data: dict[str, object], pictures: Sequence[Picture]) -> str:
    """The form; each choice says how many people it finds."""
    people = [person for picture in pictures for person in picture.people]
    if not people:
        return ""
    strata = np.stack([person.strata for person in people])
    rules, clips = _rule_counts(pictures), _clip_counts(pictures)
    keypoints = {
        name: int((strata[:, k] > 0).sum()) for k, name in enumerate(_names(data["keypoints"]))
    }
    by_stratum = {
        name: int(((strata >> bit) & 1).any(axis=1).sum()) for bit, name in enumerate(STRATA)
    }
    return (
        '<form class="filters" id="filters">'
        f"{_select('rule', 'Rule', rules, 'no finding')}"
        f"{_select('keypoint', 'Keypoint', keypoints, '')}"
        f"{_select('stratum', 'Where', by_stratum, '')}"
        f"{_select('clip', 'Clip', clips, 'no clip named')}"
        '<label>File name<input id="name" type="search" autocomplete="off"></label>'
        '<button type="reset">Show all</button>'
        '<output id="shown" aria-live="polite"></output></form>'
    )


def _select(key: str, title: str, counts: dict[str, int], empty: str) -> str:
    first = empty if empty and not counts else "any"
    options = "".join(
        f'<option value="{index}">{escape(name)} ({count:,})</option>'
        for index, (name, count) in enumerate(counts.items())
    )
    disabled = "" if counts else " disabled"
    return (
        f'<label>{title}<select id="{key}"{disabled}><option value="">{first}</option>'
        f"{options}</select></label>"
    )


def _rule_counts(pictures: Sequence[Picture]) -> dict[str, int]:
    """People by rule; a rule that an image's record breaks counts for all in it."""
    counts: dict[str, int] = {}
    for picture in pictures:
        for person in picture.people:
            for code in {*picture.rules, *person.rules}:
                counts[code] = counts.get(code, 0) + 1
        for code in picture.rules:
            counts.setdefault(code, 0)
    return dict(sorted(counts.items()))


def _clip_counts(pictures: Sequence[Picture]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for picture in pictures:
        if picture.clip is not None:
            counts[picture.clip] = counts.get(picture.clip, 0) + len(picture.people)
    return counts


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []


_DIALOG = (
    '<dialog id="large" aria-label="Enlarged picture"><div class="bar">'
    '<button id="before" aria-label="Picture before">&larr;</button>'
    '<button id="after" aria-label="Picture after">&rarr;</button>'
    '<span id="large-name"></span><button id="close">Close</button></div>'
    '<div class="stage"><img id="large-image" alt=""></div></dialog>'
)

"""An agreement as a JSON document, and as a queue of people to look at again."""

from __future__ import annotations

from toolkit.curate.agreement import Agreement
from toolkit.curate.annotators import Panel
from toolkit.curate.habits import FLAGS, AnnotatorHabits
from toolkit.curate.resample import Interval

Json = dict[str, object]


def agreement_json(result: Agreement, panel: Panel, limit: int | None = None) -> Json:
    """All of an agreement; the queue up to `limit` people."""
    shown = result.queue if limit is None else result.queue[:limit]
    return {
        "annotators": [_habits(row) for row in result.annotators],
        "people": result.people,
        "labelled_by_all": result.shared,
        "oks": result.oks,
        "oks_interval": _pair(result.oks_interval),
        "keypoints": {
            row.keypoint: {
                "pairs": row.pairs,
                "median_px": row.median_px,
                "p90_px": row.p90_px,
                "mean_of_size": row.mean_of_size,
                "interval": _pair(row.interval),
                "same_visibility": row.same_visibility,
            }
            for row in result.keypoints
        },
        "visibility": {
            "flags": [*FLAGS, "missing person"],
            "pairs": result.confusion.tolist(),
            "rule": "rows: the earlier annotator of a pair; columns: the later",
        },
        "settings": {
            "size": "root of the mean area over annotators; 0.53 * box where there is no area",
            "oks": "over keypoints that either labels; one that only one labels counts 0",
            "intervals": "95 % percentile bootstrap by clip, else by image; 1,000 resamples",
            "singled_out": "p < 0.001 over the number of comparisons; offsets of at least 2 % "
            "of the size",
            "swap": "exchanging the two labels at least halves their distance from the others'",
        },
        "queue": queue_json(result, panel, limit)["queue"],
        "queued": len(result.queue),
        "shown": len(shown),
    }


def queue_json(result: Agreement, panel: Panel, limit: int | None = None) -> Json:
    """The queue, worst first, by image and annotation id.

    The id is the first annotator's: another's may be somebody else's in that file. It is null
    where the first annotator lacks the person.
    """
    return {
        "queue": [
            {
                "image_id": item.image_id,
                "annotation_id": item.instance_ids[0],
                "ids": dict(zip(panel.names, item.instance_ids, strict=True)),
                "score": item.score,
                "reason": "; ".join(item.why) or "alike",
            }
            for item in (result.queue if limit is None else result.queue[:limit])
        ]
    }


def _habits(row: AnnotatorHabits) -> Json:
    return {
        "annotator": row.annotator,
        "people": row.people,
        "missing": row.missing,
        "extra": row.extra,
        "bias_of_size": _pair(row.bias_of_size),
        "bias_px": _pair(row.bias_px),
        "bias_interval": [_pair(interval) for interval in row.bias_interval],
        "biased": row.biased,
        "biased_keypoints": list(row.biased_keypoints),
        "swaps": row.swaps,
        "visibility_differs": {
            f"{own} where others say {other}": count
            for (own, other), count in row.visibility.items()
            if own != other and count
        },
        "habits": list(row.habits),
    }


def _pair(values: Interval) -> list[float] | None:
    return None if values is None else list(values)

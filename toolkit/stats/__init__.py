"""Statistics of annotations: what is labelled, where it lies, how large, how crowded.

* `measure`: everything as one `Statistics`, ready for JSON
* `keypoints`: visibility, and shares outside the box and outside the image
* `people`: sizes, people per image, overlap with neighbours
* `files`: images, categories, clips
* `density`: where the keypoints lie relative to the box
* `text` and `webpage`: how it is shown

A share of nothing is None, never 0 and never NaN.
"""

from __future__ import annotations

from toolkit.stats.measure import Statistics, measure

__all__ = ["Statistics", "measure"]

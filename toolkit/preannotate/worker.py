"""Runs in mediapipe's own environment: crops in, landmarks out, over two pipes.

It is started as a script by `service` and imports nothing of the toolkit. Each request is a
line of JSON, `{"width": W, "height": H}`, followed by W x H x 3 bytes of RGB; each answer is
a line of JSON, `{"landmarks": [[x, y, visibility], ...]}` with 33 landmarks in px of the
crop, or `{"landmarks": null}` where nobody was found. The first line that it writes tells
the version, `{"mediapipe": "0.10.14"}`.
"""

import json
import os
import sys
from importlib.metadata import version


def main() -> None:
    """Answer requests until the input ends."""
    # mediapipe's libraries print: they get standard error, the answers go to the real one.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    import mediapipe  # type: ignore[import-not-found]  # lazy: after the streams are set
    import numpy as np

    pose = mediapipe.solutions.pose.Pose(
        static_image_mode=True, model_complexity=1, min_detection_confidence=0.1
    )
    _say(answers, {"mediapipe": version("mediapipe")})
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        width, height = int(request["width"]), int(request["height"])
        content = sys.stdin.buffer.read(width * height * 3)
        crop = np.frombuffer(content, np.uint8).reshape(height, width, 3)
        found = pose.process(crop).pose_landmarks
        rows = None
        if found is not None:
            rows = [[p.x * width, p.y * height, p.visibility] for p in found.landmark]
        _say(answers, {"landmarks": rows})


def _say(stream: "object", document: object) -> None:
    print(json.dumps(document), file=stream, flush=True)  # type: ignore[call-overload]


if __name__ == "__main__":
    main()

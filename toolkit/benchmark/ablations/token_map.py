"""Figure 1b: a t-SNE map of the prompts' embeddings and of the tokens that were learned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toolkit.benchmark.render_html import Figure
from toolkit.charts import COLORS, Cloud, scatter
from toolkit.errors import MissingExtraError
from toolkit.models import TextTokens
from toolkit.schema import Schema

Floats = NDArray[np.float64]
PERPLEXITY = 10.0
SEED = 0


def token_map(schema: Schema, tokens: TextTokens, data: str) -> Figure:
    """Prompts as dots, learned tokens as rings with their names, a colour a report group.

    Args:
        schema: K keypoints.
        tokens: Of one checkpoint.
        data: What it was trained on, for the note.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    together = np.concatenate([tokens.encoded, tokens.learned])
    places = _tsne(together)
    prompts, learned = places[: len(tokens.encoded)], places[len(tokens.encoded) :]
    clouds = []
    for number, (name, members) in enumerate(_groups(schema).items()):
        color = COLORS[number % len(COLORS)]
        dots = prompts[np.isin(tokens.keypoint, members)]
        clouds.append(Cloud(name, dots[:, 0].tolist(), dots[:, 1].tolist(), color))
        rings = learned[members]
        names = [schema.names[row].replace("_", " ") for row in members]
        title = f"{name}, token"
        clouds.append(
            Cloud(title, rings[:, 0].tolist(), rings[:, 1].tolist(), color, names, ring=True)
        )
    apart = _cosines(tokens, schema)
    note = (
        f"Dots: {len(tokens.prompts)} prompts as encoded; rings: the {len(learned)} tokens "
        f"after training ({data}). t-SNE, perplexity {PERPLEXITY:g}, seed {SEED}; distances "
        f"between groups mean little.{apart}"
    )
    title = "Prompts and learned tokens (t-SNE)"
    return Figure("token-map", title, note, scatter(title, clouds))


def _groups(schema: Schema) -> dict[str, list[int]]:
    """Keypoint rows by report group; the first that names one keeps it."""
    groups: dict[str, list[int]] = {}
    for row, keypoint in enumerate(schema.keypoints):
        groups.setdefault(keypoint.report_group or keypoint.group, []).append(row)
    return groups


def _cosines(tokens: TextTokens, schema: Schema) -> str:
    """How alike the extension keypoints are, before and after training."""
    rows = np.flatnonzero(schema.is_extension)
    if len(rows) < 2:
        return ""
    parts = []
    for a in range(len(rows)):
        for b in range(a + 1, len(rows)):
            pair_of = rows[[a, b]]
            before, after = _cosine(*tokens.start[pair_of]), _cosine(*tokens.learned[pair_of])
            pair = f"{schema.names[rows[a]]} and {schema.names[rows[b]]}".replace("_", " ")
            parts.append(f"{pair} {before:.2f}, then {after:.2f}")
    return f" Cosines of tokens before training, then after: {'; '.join(parts)}."


def _cosine(a: Floats, b: Floats) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _tsne(points: Floats) -> Floats:
    try:
        from sklearn.manifold import TSNE  # lazy: half a second
    except ImportError as error:
        raise MissingExtraError(
            "the map of prompts needs scikit-learn, which is not installed; install it with: "
            "pip install 'extension-keypoints[models]'"
        ) from error
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    maker = TSNE(2, perplexity=perplexity, init="pca", random_state=SEED)
    return np.asarray(maker.fit_transform(points), dtype=np.float64)

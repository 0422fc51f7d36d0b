"""A map of what language and training say of the keypoints (the paper's figure 1b).

t-SNE of the K prompt embeddings and of the K tokens that training made of them, together, so
that a token's way can be seen. Exact t-SNE (van der Maaten and Hinton, JMLR 2008): with 2K
points no approximation and no library is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baselines.predictor import CheckpointModel
from tokenclipose.zero_shot import learned_tokens
from toolkit.charts import COLORS, SOFT, standalone
from toolkit.page import escape

Floats = NDArray[np.float64]
WIDTH, HEIGHT, MARGIN = 760, 520, 100


def prompt_map(model: CheckpointModel, *, seed: int = 0) -> str:
    """The map of a checkpoint that was trained with a text encoder, a standalone SVG.

    Raises:
        MissingExtraError, ServiceError: Its text encoder cannot be had.
    """
    start, learned = (tokens.double().numpy() for tokens in learned_tokens(model))
    places = tsne(np.concatenate([start, learned]), seed=seed)
    return draw_map(model.schema.names, places[: len(start)], places[len(start) :])


def cosines(tokens: Floats) -> Floats:
    """(K, K) cosines of (K, E) tokens: 1 is the same, 0 is unrelated."""
    unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    result: Floats = unit @ unit.T
    return result


def tsne(
    points: Floats, *, perplexity: float = 8.0, steps: int = 1000, seed: int = 0
) -> Floats:
    """(M, 2) places whose neighbours are those of (M, E) points.

    Args:
        points: At least four.
        perplexity: How many neighbours count; at most a third of the points.
        steps: Of gradient descent, the first quarter with exaggerated attraction.
        seed: Of the first places.
    """
    count = len(points)
    near = _affinities(points, min(perplexity, (count - 1) / 3))
    places = np.random.default_rng(seed).normal(0, 1e-4, (count, 2))
    speed = np.zeros_like(places)
    rate = max(count / 12, 10.0)
    for step in range(steps):
        gap = places[:, None] - places[None]  # (M, M, 2)
        close = 1 / (1 + (gap**2).sum(axis=2))  # (M, M)
        np.fill_diagonal(close, 0)
        pull = near * (12 if step < steps // 4 else 1) - close / close.sum()
        slope = 4 * ((pull * close)[..., None] * gap).sum(axis=1)  # (M, 2)
        speed = (0.5 if step < steps // 4 else 0.8) * speed - rate * slope
        places = places + speed
        places -= places.mean(axis=0)
    return places


def _affinities(points: Floats, perplexity: float) -> Floats:
    """(M, M) joint probabilities; each row's width is searched until it has the perplexity."""
    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    count = len(points)
    rows = np.zeros((count, count))
    for row in range(count):
        others = np.delete(square[row], row)
        others = others - others.min()
        low, high = 0.0, np.inf
        precision = 1 / max(float(np.median(others)), 1e-12)
        for _ in range(60):
            weight = np.exp(-precision * others)
            share = weight / weight.sum()
            entropy = -(share * np.log(np.maximum(share, 1e-300))).sum()
            if entropy > np.log(perplexity):
                low, precision = (
                    precision,
                    (2 * precision if np.isinf(high) else (precision + high) / 2),
                )
            else:
                high, precision = precision, (low + precision) / 2
        rows[row, np.arange(count) != row] = share
    return (rows + rows.T) / (2 * count)


def draw_map(names: Sequence[str], start: Floats, learned: Floats) -> str:
    """Prompts as rings, learned tokens as discs, a line from each to what became of it."""
    together = np.concatenate([start, learned])
    low, span = together.min(axis=0), np.maximum(np.ptp(together, axis=0), 1e-9)
    room = np.array([WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN])
    first, last = ((p - low) / span * room + MARGIN for p in (start, learned))
    parts = [
        f'<circle cx="24" cy="22" r="5" fill="none" stroke="{COLORS[0]}" stroke-width="2"/>'
        f'<text x="36" y="26" fill="{SOFT}">prompts</text>'
        f'<circle cx="124" cy="22" r="5" fill="{COLORS[4]}"/>'
        f'<text x="136" y="26" fill="{SOFT}">learned tokens</text>'
    ]
    rows = enumerate(zip(names, first, last, strict=True))
    for index, (name, (x, y), (u, v)) in rows:
        # Neighbours in a schema are often mirror partners: their names go to either side.
        aside, anchor = (-10, "end") if index % 2 else (10, "start")
        parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{u:.1f}" y2="{v:.1f}" stroke="{SOFT}"/>'
            f'<circle cx="{u:.1f}" cy="{v:.1f}" r="4" fill="{COLORS[4]}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke="{COLORS[0]}" '
            f'stroke-width="2"/><text x="{x + aside:.1f}" y="{y + 4:.1f}" '
            f'text-anchor="{anchor}">{escape(name)}</text>'
        )
    return standalone(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="t-SNE of keypoint prompts '
        f'and learned tokens" font-size="12.5">{"".join(parts)}</svg>'
    )

"""The points of figure 1b: prompts and tokens in one space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tokenclipose import CHECKPOINTS
from tokenclipose.model import standardised
from tokenclipose.text import keypoint_embeddings
from tokenclipose.token_map import text_tokens
from toolkit.benchmark.ablations.token_map import token_map
from toolkit.errors import UsageError
from toolkit.schema import Schema

HOCKEY = CHECKPOINTS / "tokenclipose-small_hockey.safetensors"


def test_prompts_lie_where_the_tokens_started() -> None:
    """The mean of a keypoint's prompts points where its token was initialised."""
    schema = Schema.load("hockey")
    tokens = text_tokens(HOCKEY)

    start = standardised(keypoint_embeddings(schema, "minilm")).double().numpy()

    assert len(tokens.prompts) == sum(len(prompts) for prompts in schema.prompts)
    assert tokens.learned.shape == start.shape
    np.testing.assert_allclose(tokens.start, start, rtol=1e-5, atol=1e-6)
    means = np.stack([tokens.encoded[tokens.keypoint == k].mean(axis=0) for k in range(20)])
    cosine = (means * start).sum(axis=1) / np.linalg.norm(means, axis=1)
    cosine /= np.linalg.norm(start, axis=1)
    assert cosine.min() > 0.9


def test_the_map_names_every_token_and_is_the_same_twice() -> None:
    schema = Schema.load("hockey")
    tokens = text_tokens(HOCKEY)

    first, second = (token_map(schema, tokens, "shipped") for _ in range(2))

    assert first.svg == second.svg
    assert all(name.replace("_", " ") in first.svg for name in schema.names)
    assert "stick heel and stick toe 0.85, then 0.85" in first.note


def test_a_checkpoint_without_language_has_no_map(tmp_path: Path) -> None:
    path = tmp_path / HOCKEY.name
    path.write_bytes(HOCKEY.read_bytes())
    facts = HOCKEY.with_suffix(".json").read_text().replace('"minilm"', '"learned"')
    path.with_suffix(".json").write_text(facts)

    with pytest.raises(UsageError, match="did not start from language"):
        text_tokens(path)

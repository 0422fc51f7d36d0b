"""The points of figure 1b: prompts and tokens in one space."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from baselines.checkpoints import schema_to_facts
from tokenclipose import CHECKPOINTS
from tokenclipose.model import standardised
from tokenclipose.text import keypoint_embeddings
from tokenclipose.token_map import text_tokens
from toolkit.benchmark.ablations.data import Files
from toolkit.benchmark.ablations.plan import FULL, RIVALS, SCALES
from toolkit.benchmark.ablations.run import _Suite
from toolkit.benchmark.ablations.token_map import token_map
from toolkit.benchmark.ablations.training_runs import make_run
from toolkit.errors import MissingExtraError, SchemaError, UsageError
from toolkit.models import TextTokens
from toolkit.schema import Schema

DATA = Files(Path("train.json"), Path("images"), "ab" * 32, "hockey")
HOCKEY = CHECKPOINTS / "tokenclipose-small_hockey.safetensors"


def of_schema(schema: Schema, folder: Path) -> Path:
    """The shipped checkpoint as if it had been trained on another schema's prompts."""
    path = folder / HOCKEY.name
    path.write_bytes(HOCKEY.read_bytes())
    facts = json.loads(HOCKEY.with_suffix(".json").read_text("utf-8"))
    facts["schema"] = schema_to_facts(schema)
    path.with_suffix(".json").write_text(json.dumps(facts), "utf-8")
    return path


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


def test_a_checkpoint_of_an_own_schema_has_the_map_of_its_own_prompts(tmp_path: Path) -> None:
    hockey = Schema.load("hockey")
    own = replace(
        hockey,
        name="ice",
        keypoints=tuple(
            replace(k, prompts=(*k.prompts[:4], f"on ice, {k.name}")) for k in hockey.keypoints
        ),
    )
    tokens = text_tokens(of_schema(own, tmp_path))

    assert tokens.prompts == tuple(one for prompts in own.prompts for one in prompts)


def test_a_checkpoint_that_holds_no_prompts_has_no_map_and_says_why(tmp_path: Path) -> None:
    hockey = Schema.load("hockey")
    silent = tuple(replace(k, prompts=()) for k in hockey.keypoints)
    path = of_schema(replace(hockey, name="ice", keypoints=silent), tmp_path)

    with pytest.raises(SchemaError, match=r"hockey\.json: holds no prompts of schema 'ice'"):
        text_tokens(path)


def test_without_a_map_the_tables_stay_and_a_notice_says_why() -> None:
    def lost(checkpoint: Path) -> TextTokens:
        raise MissingExtraError("text encoder 'minilm' needs a package")

    scale = SCALES["small"]
    run = make_run(FULL, scale.images_seen, 0, DATA, Path("runs"))
    suite: Any = SimpleNamespace(
        request=SimpleNamespace(scale=scale, tables=(RIVALS,)),
        known={FULL.model: SimpleNamespace(text_tokens=lost)},
        data=SimpleNamespace(truth=SimpleNamespace(schema=Schema.load("hockey"))),
        notices=[],
        _runs_of=lambda row: [run],
    )

    drawn = _Suite._drawn(suite, "map of the prompts", lambda: _Suite._token_map(suite))

    assert drawn == []
    assert suite.notices == ["no map of the prompts: text encoder 'minilm' needs a package"]


def test_a_checkpoint_without_language_has_no_map(tmp_path: Path) -> None:
    path = tmp_path / HOCKEY.name
    path.write_bytes(HOCKEY.read_bytes())
    facts = HOCKEY.with_suffix(".json").read_text().replace('"minilm"', '"learned"')
    path.with_suffix(".json").write_text(facts)

    with pytest.raises(UsageError, match="did not start from language"):
        text_tokens(path)

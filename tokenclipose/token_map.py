"""The prompts' embeddings beside the tokens that training made of them: figure 1b's points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from baselines.checkpoints import facts_config, read_facts, read_tensors, schema_from_facts
from tokenclipose.model import center_and_spread
from tokenclipose.text import keypoint_embeddings, make_encoder, require_trained_prompts
from toolkit.errors import UsageError
from toolkit.models import TextTokens


def text_tokens(checkpoint: Path) -> TextTokens:
    """Every prompt of a checkpoint's schema, encoded, and its learned tokens.

    A prompt gets the shift and the scale that the keypoints' embeddings got when the tokens
    were initialised (`tokenclipose.model.standardised`), so that both lie in one space.

    Args:
        checkpoint: Of a TokenCLIPose network.

    Raises:
        UsageError: Its tokens did not start from language.
        ReadError: It cannot be read.
        SchemaError: Its facts hold no prompts.
        MissingExtraError: Its text encoder is not installed.
    """
    facts, tensors = read_facts(checkpoint), read_tensors(checkpoint)
    config = facts_config(checkpoint, facts)
    kind = config.text_encoder
    if kind is None or kind == "learned" or "text" not in tensors:
        raise UsageError(f"{checkpoint}: its text tokens did not start from language")
    schema = schema_from_facts(checkpoint, facts)
    require_trained_prompts(schema, checkpoint)
    sentences = [sentence for prompts in schema.prompts for sentence in prompts]
    owner = [row for row, prompts in enumerate(schema.prompts) for _ in prompts]
    start = keypoint_embeddings(schema, kind, dim=config.dim, prompts=config.prompts)  # (K, E)
    shift, scale = center_and_spread(start)
    with torch.inference_mode():
        encoded = (make_encoder(kind).encode(sentences) - shift) / scale  # (S, E)
    return TextTokens(
        prompts=tuple(sentences),
        keypoint=np.array(owner, dtype=np.int64),
        encoded=encoded.double().numpy(),
        start=((start - shift) / scale).double().numpy(),
        learned=tensors["text"].double().numpy(),
    )

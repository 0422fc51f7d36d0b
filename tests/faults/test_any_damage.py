"""Whatever is done to a file, the answer is a finding or a refusal, never a crash."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]
ODD_VALUES = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**63, 2**70, -(2**70), 1e308, -0.0),
    *("", "x", "7", "\0", "../..", [], [1], [[]], {}, {"a": 1}, {"id": 7}),
)


def places(node: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document, as keys from the top."""
    found = [path] if path else []
    if isinstance(node, dict):
        for key, value in node.items():
            found += places(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node[:4]):
            found += places(value, (*path, index))
    return found


def damaged(document: Document, chance: random.Random) -> Document:
    """The document with one place replaced, removed or repeated."""
    broken = copy.deepcopy(document)
    *parents, last = chance.choice(places(broken))
    holder: Any = broken
    for key in parents:
        holder = holder[key]
    kind = chance.randrange(3)
    if kind == 0:
        holder[last] = copy.deepcopy(chance.choice(ODD_VALUES))
    elif kind == 1:
        del holder[last]
    elif isinstance(holder, list):
        holder.insert(last, copy.deepcopy(holder[last]))
    else:
        holder[f"{last} again"] = copy.deepcopy(holder[last])
    return broken


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_document_gets_an_answer(
    coco_document: Document,
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
    seed: int,
) -> None:
    chance = random.Random(seed)
    for _ in range(150):
        document = damaged(damaged(coco_document, chance), chance)

        result = toolkit_cli("validate", write_json(document), "--json")

        assert result.exit_code in (0, 1), json.dumps(document)
        report = json.loads(result.stdout)
        assert report["ok"] is (result.exit_code == 0)


@pytest.mark.parametrize("seed", range(2))
def test_damaged_bytes_get_an_answer(
    coco_document: Document,
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
    seed: int,
) -> None:
    chance, whole = random.Random(seed), json.dumps(coco_document).encode()
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        cut = chance.choice((len(content), chance.randrange(len(content))))

        result = toolkit_cli("validate", write_json(bytes(content[:cut])))

        assert result.exit_code in (0, 1, 3), bytes(content[:cut])
        assert result.stderr.startswith("Error: ") is (result.exit_code == 3)

"""Models are found by entry point and know their place in a comparison."""

from __future__ import annotations

import subprocess
import sys

import pytest

from toolkit.errors import InvalidDataError, UsageError
from toolkit.models import find_models, get_model


def test_our_models_are_registered_with_their_roles() -> None:
    roles = {name: entry.role for name, entry in find_models().items()}
    assert (
        roles.items()
        >= {
            "tokenclipose-small": "model",
            "tokenclipose-w48": "model",
            "hrnet-small": "baseline",
            "hrnet-small-enlarged": "baseline",
            "hrnet-small-oracle": "oracle",
            "hrnet-w48": "baseline",
            "mean-pose": "control",
            "body-to-stick": "control",
            "body-to-stick-predicted": "control",
        }.items()
    )


def test_an_entry_is_named_as_it_is_registered() -> None:
    assert all(name == entry.name for name, entry in find_models().items())


def test_the_oracle_says_so_in_its_title() -> None:
    assert "oracle" in get_model("hrnet-small-oracle").title


def test_finding_models_imports_no_torch() -> None:
    code = (
        "import sys, toolkit.models; toolkit.models.find_models(); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_model_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="no model 'hrnet'; did you mean 'hrnet-w48'"):
        get_model("hrnet")


def test_a_recipe_says_what_differs_from_the_defaults_and_no_more() -> None:
    hrnet = get_model("hrnet-small").recipe
    assert hrnet is not None
    assert hrnet({}) == {}
    assert hrnet({"images_seen": 64}) == {"images_seen": 64}
    assert get_model("mean-pose").recipe is None


def test_a_recipe_refuses_an_unknown_key() -> None:
    recipe = get_model("tokenclipose-small").recipe
    assert recipe is not None
    with pytest.raises(InvalidDataError, match="unknown key 'atention'"):
        recipe({"atention": "self"})

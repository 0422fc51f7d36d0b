"""FiftyOne operators: validate this selection, send it to Label Studio.

FiftyOne loads this folder as a plugin; the work is done by `toolkit.views.selection`.
"""

from __future__ import annotations

from typing import Protocol

from fiftyone import operators as foo  # lazy: only FiftyOne imports this file
from fiftyone.operators import types


class _Context(Protocol):
    """What FiftyOne hands to an operator; only what is used here."""

    dataset: object
    view: object
    selected: list[str]
    selected_labels: list[dict[str, str]]
    params: dict[str, str]

    def trigger(self, name: str) -> None: ...


def _samples(context: _Context) -> list[str]:
    """Ids of the frames that are selected, or whose labels are; else those in view."""
    from toolkit.views.selection import selected_frames

    return selected_frames(context.view, context.selected, context.selected_labels)


class ValidateSelection(foo.Operator):  # type: ignore[misc]
    """Run `toolkit validate` on the selected frames as they are now; tag the labels."""

    @property
    def config(self) -> object:
        """Name and label in the App."""
        return foo.OperatorConfig(
            name="validate_selection",
            label="Toolkit: validate this selection",
            description="Check the selected frames as they are now; tag what is wrong",
        )

    def execute(self, context: _Context) -> dict[str, object]:
        """Validate, set the tags, and show them."""
        from toolkit.views.selection import validate_frames

        result = validate_frames(context.dataset, _samples(context))
        context.trigger("reload_dataset")
        return result

    def resolve_output(self, context: _Context) -> object:
        """A summary and the findings."""
        outputs = types.Object()
        outputs.str("summary", label="Result")
        outputs.list("findings", types.String(), label="Findings")
        return types.Property(outputs, view=types.View(label="Validation"))


class SendToLabelStudio(foo.Operator):  # type: ignore[misc]
    """Run `toolkit labelstudio push` for the selected frames as they are now."""

    @property
    def config(self) -> object:
        """Name and label in the App."""
        return foo.OperatorConfig(
            name="send_to_label_studio",
            label="Toolkit: send this selection to Label Studio",
            description="Push the selected frames, pre-labelled as they are now",
            dynamic=True,
        )

    def resolve_input(self, context: _Context) -> object:
        """Ask for the project, and say how many frames there are."""
        inputs = types.Object()
        count = len(_samples(context))
        inputs.str(
            "project",
            label="Project",
            description=f"Title or id; it is made where it does not exist. {count} frames.",
            required=True,
        )
        return types.Property(inputs, view=types.View(label="Send to Label Studio"))

    def execute(self, context: _Context) -> dict[str, object]:
        """Push."""
        from toolkit.views.selection import send_frames

        return send_frames(context.dataset, _samples(context), context.params["project"])

    def resolve_output(self, context: _Context) -> object:
        """What was done, and where to label."""
        outputs = types.Object()
        outputs.str("summary", label="Result")
        outputs.str("address", label="Project")
        return types.Property(outputs, view=types.View(label="Label Studio"))


def register(plugin: object) -> None:
    """Offer the operators."""
    plugin.register(ValidateSelection)  # type: ignore[attr-defined]
    plugin.register(SendToLabelStudio)  # type: ignore[attr-defined]

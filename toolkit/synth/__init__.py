"""Practice data: rendered people, sticks and crowds with exact labels.

Everything here is synthetic, and says so in the file, the card and the documentation.
"""

from toolkit.synth.options import GENERATOR_VERSION, SynthOptions
from toolkit.synth.render import SynthSummary, render_dataset

__all__ = ["GENERATOR_VERSION", "SynthOptions", "SynthSummary", "render_dataset"]

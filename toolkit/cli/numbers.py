"""Numbers on the command line that can be computed with."""

from __future__ import annotations

import math

import click


class Finite(click.FloatRange):
    """A float in a range; NaN, which lies in every range, and infinity are refused."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number.

        Raises:
            BadParameter: It is none, or is not in the range, or is not finite.
        """
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


SEED = click.IntRange(min=0)  # of random generators, which take no negative ones

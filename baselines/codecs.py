"""Keypoints to training targets and back: heatmaps, and coordinates that may leave the crop.

Spaces. *Crop px*: pixel centres at whole numbers, x in [0, W - 1] inside. *Heatmap cells*:
cell (i, j) of a map with stride s has its centre at crop px `s * j + (s - 1) / 2`, so that
the maps' outer edge is the crop's outer edge (`grid`: other conventions, for weights that
others trained). *Network units*: (p - centre of the crop) / H,
the same scale on both axes; inside the crop |y| <= 0.5, and nothing is clamped.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Grid = Literal["cells", "udp", "original"]
Refine = Literal["parabola", "dark", "quarter", "none"]


def encode_coordinates(points: Tensor, crop_wh: tuple[int, int]) -> Tensor:
    """Crop px to network units.

    Args:
        points: (B, K, 2) crop px; may lie outside the crop.
        crop_wh: Width and height of the crop in px.

    Returns:
        (B, K, 2), unclamped.
    """
    width, height = crop_wh
    center = points.new_tensor([(width - 1) / 2, (height - 1) / 2])
    return (points - center) / height


def decode_coordinates(units: Tensor, crop_wh: tuple[int, int]) -> Tensor:
    """Inverse of `encode_coordinates`."""
    width, height = crop_wh
    center = units.new_tensor([(width - 1) / 2, (height - 1) / 2])
    return units * height + center


def cell_centers(map_hw: tuple[int, int], crop_wh: tuple[int, int]) -> Tensor:
    """Centres of all cells of a map over the crop, row by row.

    Returns:
        (P, 2) xy in network units, P = H' * W'.
    """
    height, width = map_hw
    stride = crop_wh[1] / height
    y = torch.arange(height) * stride + (stride - 1) / 2
    x = torch.arange(width) * stride + (stride - 1) / 2
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
    return encode_coordinates(grid.reshape(-1, 2), crop_wh)


def grid_steps(
    map_hw: tuple[int, int], crop_wh: tuple[int, int], grid: Grid
) -> tuple[tuple[float, float], float]:
    """How a map lies over the crop: crop px = cell * step + start.

    Args:
        map_hw: Height and width of the map.
        crop_wh: Width and height of the crop in px.
        grid: `cells`, ours: a cell's centre is the mean of the pixels that it covers. `udp`
            (Huang et al., "The Devil is in the Details", CVPR 2020): the first and the last
            cell lie on the first and the last pixel. Both mirror onto themselves. `original`
            (the HRNet repository's): cell j lies on px stride * j, so that a mirrored map is
            three quarters of a cell off, which its flip test makes up for by a whole cell.

    Returns:
        Steps in x and y, and the start, the same for both.
    """
    (rows, columns), (width, height) = map_hw, crop_wh
    if grid == "udp":
        return ((width - 1) / (columns - 1), (height - 1) / (rows - 1)), 0.0
    stride = height / rows
    return (stride, stride), (stride - 1) / 2 if grid == "cells" else 0.0


def encode_heatmaps(
    points: Tensor,
    labelled: Tensor,
    crop_wh: tuple[int, int],
    stride: int,
    sigma: float,
    grid: Grid = "cells",
) -> tuple[Tensor, Tensor]:
    """Gaussian targets with their peak at the exact place, not at the nearest cell.

    Args:
        points: (B, K, 2) crop px; anything where not labelled.
        labelled: (B, K) bool.
        crop_wh: Width and height of the crop in px.
        stride: Crop px a cell.
        sigma: Of the Gaussian, in cells.
        grid: How the map lies over the crop, see `grid_steps`.

    Returns:
        Maps (B, K, H', W') with peaks of at most 1, and (B, K) bool: which keypoints have a
        target at all, namely those labelled inside the crop.
    """
    width, height = crop_wh
    step, start = grid_steps((height // stride, width // stride), crop_wh, grid)
    cells = (points - start) / points.new_tensor(step)  # (B, K, 2)
    limit = points.new_tensor([width - 0.5, height - 0.5])
    inside = ((points >= -0.5) & (points <= limit)).all(dim=-1) & labelled
    x = torch.arange(width // stride, device=points.device)
    y = torch.arange(height // stride, device=points.device)
    cells = torch.where(inside[..., None], cells, 0.0)
    gauss_x = torch.exp(-((x - cells[..., :1]) ** 2) / (2 * sigma**2))  # (B, K, W')
    gauss_y = torch.exp(-((y - cells[..., 1:]) ** 2) / (2 * sigma**2))  # (B, K, H')
    maps = gauss_y[..., :, None] * gauss_x[..., None, :]
    return maps * inside[..., None, None], inside


def decode_heatmaps(
    maps: Tensor,
    crop_wh: tuple[int, int],
    *,
    grid: Grid = "cells",
    refine: Refine = "parabola",
    sigma: float = 2.0,
) -> tuple[Tensor, Tensor]:
    """Places of the peaks, refined between the cells, and their heights.

    Args:
        maps: (B, K, H', W').
        crop_wh: Width and height of the crop in px.
        grid: How the map lies over the crop, see `grid_steps`.
        refine: `parabola` fits one to the logarithm of the peak and its two neighbours on
            each axis: exact for a Gaussian, and the same as a heatmap's own values say.
            `dark` (Zhang et al., CVPR 2020) smooths the map with the training Gaussian and
            takes one Newton step on its logarithm, both axes together. `quarter` goes a
            quarter of a cell towards the higher neighbour, as the HRNet repository does.
            `none` keeps the cell. On the border, where a neighbour is missing, all keep it.
        sigma: Of the training Gaussian in cells; only `dark` reads it.

    Returns:
        Points (B, K, 2) in crop px, always inside the crop, and scores (B, K).
    """
    batch, keypoints, rows, columns = maps.shape
    flat = maps.reshape(batch, keypoints, -1)
    score, place = flat.max(dim=-1)
    x, y = place % columns, place // columns
    if refine == "dark":
        offset = _newton(_smoothed(maps, sigma).clamp_min(1e-10).log(), y, x)
    elif refine == "quarter":
        offset = torch.stack([_quarter(maps, y, x, axis) for axis in (3, 2)], dim=-1)
    elif refine == "parabola":
        log = maps.clamp_min(1e-10).log()
        offset = torch.stack([_parabola(log, y, x, axis) for axis in (3, 2)], dim=-1)
    else:
        offset = maps.new_zeros(batch, keypoints, 2)
    cells = torch.stack([x, y], dim=-1) + offset  # (B, K, 2)
    step, start = grid_steps((rows, columns), crop_wh, grid)
    return cells * maps.new_tensor(step) + start, score


def _smoothed(maps: Tensor, sigma: float) -> Tensor:
    """Maps blurred by a Gaussian of the given width in cells, zeros beyond the border.

    The reference scales each map back to its old peak; on a logarithm's derivatives that has
    no effect, so it is left out.
    """
    reach = max(1, math.ceil(2.5 * sigma))
    line = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-(line**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    stacked = maps.flatten(0, 1)[:, None]  # (B K, 1, H', W')
    stacked = functional.conv2d(stacked, kernel[None, None, None], padding=(0, reach))
    stacked = functional.conv2d(stacked, kernel[None, None, :, None], padding=(reach, 0))
    return stacked.reshape(maps.shape)


def _newton(log: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """(B, K, 2) offset in cells to the maximum of the quadratic through the peak; see DARK.

    First derivatives from the neighbours at one cell, second ones from those at two, as in
    the paper's code; where those do not exist, or the surface is no peak, 0.
    """
    batch, keypoints, rows, columns = log.shape
    flat = log.reshape(batch, keypoints, -1)
    inner = (x > 1) & (x < columns - 2) & (y > 1) & (y < rows - 2)

    def at(right: int, down: int) -> Tensor:
        place = (y + down) * columns + x + right
        return flat.gather(2, torch.where(inner, place, 0)[..., None])[..., 0]

    here = at(0, 0)
    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = (at(2, 0) - 2 * here + at(-2, 0)) / 4, (at(0, 2) - 2 * here + at(0, -2)) / 4
    dxy = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
    determinant = dxx * dyy - dxy**2
    usable = inner & (determinant > 1e-9) & (dxx < 0)
    safe = torch.where(usable, determinant, torch.ones_like(determinant))
    offset = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1) / safe[..., None]
    # A maximum further than a cell away is no peak's: the map is flat or has two.
    usable = usable & (offset.abs() <= 1).all(dim=-1)
    return torch.where(usable[..., None], offset, 0.0)


def _quarter(maps: Tensor, y: Tensor, x: Tensor, axis: int) -> Tensor:
    """A quarter of a cell towards the higher neighbour; 0 on the border."""
    before, _, after, interior = _neighbours(maps, y, x, axis)
    return torch.where(interior, 0.25 * torch.sign(after - before), 0.0)


def _neighbours(
    maps: Tensor, y: Tensor, x: Tensor, axis: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(B, K) values before, at and after a place on an axis, and where both exist."""
    batch, keypoints, rows, columns = maps.shape
    size, at = (columns, x) if axis == 3 else (rows, y)
    flat = maps.reshape(batch, keypoints, -1)
    step = 1 if axis == 3 else columns
    place = y * columns + x
    interior = (at > 0) & (at < size - 1)
    step_safe = torch.where(interior, step, 0)
    before, here, after = (
        flat.gather(2, (place + sign * step_safe)[..., None])[..., 0] for sign in (-1, 0, 1)
    )
    return before, here, after, interior


def _parabola(log: Tensor, y: Tensor, x: Tensor, axis: int) -> Tensor:
    """Offset of the vertex in cells, within half a cell; 0 on the border."""
    before, here, after, interior = _neighbours(log, y, x, axis)
    curvature = before - 2 * here + after
    usable = interior & (curvature < -1e-6)
    offset = (before - after) / (2 * torch.where(usable, curvature, torch.ones_like(here)))
    return torch.where(usable, offset.clamp(-0.5, 0.5), 0.0)

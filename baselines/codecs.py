"""Keypoints to training targets and back: heatmaps, and coordinates that may leave the crop.

Spaces. *Crop px*: pixel centres at whole numbers, x in [0, W - 1] inside. *Heatmap cells*:
cell (i, j) of a map with stride s has its centre at crop px `s * j + (s - 1) / 2`, so that
the maps' outer edge is the crop's outer edge. *Network units*: (p - centre of the crop) / H,
the same scale on both axes; inside the crop |y| <= 0.5, and nothing is clamped.
"""

from __future__ import annotations

import torch
from torch import Tensor


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


def encode_heatmaps(
    points: Tensor, labelled: Tensor, crop_wh: tuple[int, int], stride: int, sigma: float
) -> tuple[Tensor, Tensor]:
    """Gaussian targets with their peak at the exact place, not at the nearest cell.

    Args:
        points: (B, K, 2) crop px; anything where not labelled.
        labelled: (B, K) bool.
        crop_wh: Width and height of the crop in px.
        stride: Crop px a cell.
        sigma: Of the Gaussian, in cells.

    Returns:
        Maps (B, K, H', W') with peaks of at most 1, and (B, K) bool: which keypoints have a
        target at all, namely those labelled inside the crop.
    """
    width, height = crop_wh
    cells = (points - (stride - 1) / 2) / stride  # (B, K, 2)
    limit = points.new_tensor([width - 0.5, height - 0.5])
    inside = ((points >= -0.5) & (points <= limit)).all(dim=-1) & labelled
    x = torch.arange(width // stride, device=points.device)
    y = torch.arange(height // stride, device=points.device)
    cells = torch.where(inside[..., None], cells, 0.0)
    gauss_x = torch.exp(-((x - cells[..., :1]) ** 2) / (2 * sigma**2))  # (B, K, W')
    gauss_y = torch.exp(-((y - cells[..., 1:]) ** 2) / (2 * sigma**2))  # (B, K, H')
    maps = gauss_y[..., :, None] * gauss_x[..., None, :]
    return maps * inside[..., None, None], inside


def decode_heatmaps(maps: Tensor, crop_wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Places of the peaks, refined between the cells, and their heights.

    The refinement fits a parabola to the logarithm of the peak and its two neighbours on
    each axis: exact for a Gaussian (the one-dimensional form of DARK, Zhang et al., CVPR
    2020). On the border, where a neighbour is missing, the cell's centre is kept.

    Args:
        maps: (B, K, H', W').
        crop_wh: Width and height of the crop in px.

    Returns:
        Points (B, K, 2) in crop px, always inside the crop, and scores (B, K).
    """
    batch, keypoints, rows, columns = maps.shape
    flat = maps.reshape(batch, keypoints, -1)
    score, place = flat.max(dim=-1)
    x, y = place % columns, place // columns
    log = maps.clamp_min(1e-10).log()
    offset_x = _parabola(log, y, x, axis=3)
    offset_y = _parabola(log, y, x, axis=2)
    cells = torch.stack([x + offset_x, y + offset_y], dim=-1)
    stride = crop_wh[1] / rows
    return cells * stride + (stride - 1) / 2, score


def _parabola(log: Tensor, y: Tensor, x: Tensor, axis: int) -> Tensor:
    """Offset of the vertex in cells, within half a cell; 0 on the border."""
    batch, keypoints, rows, columns = log.shape
    size = columns if axis == 3 else rows
    at = x if axis == 3 else y
    flat = log.reshape(batch, keypoints, -1)
    step = 1 if axis == 3 else columns
    place = y * columns + x
    interior = (at > 0) & (at < size - 1)
    step_safe = torch.where(interior, step, 0)
    before, here, after = (
        flat.gather(2, (place + sign * step_safe)[..., None])[..., 0] for sign in (-1, 0, 1)
    )
    curvature = before - 2 * here + after
    usable = interior & (curvature < -1e-6)
    offset = (before - after) / (2 * torch.where(usable, curvature, torch.ones_like(here)))
    return torch.where(usable, offset.clamp(-0.5, 0.5), 0.0)

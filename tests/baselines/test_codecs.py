"""Targets and back; crops of 64 x 128 px, maps of 16 x 32 cells."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from baselines.codecs import (
    cell_centers,
    decode_coordinates,
    decode_heatmaps,
    encode_coordinates,
    encode_heatmaps,
)
from baselines.config import TrainConfig
from baselines.family import merge_heatmaps

CROP = (64, 128)
ALL = torch.ones(1, 2, dtype=torch.bool)


def test_network_units_are_centred_and_share_one_scale() -> None:
    points = torch.tensor([[[31.5, 63.5], [31.5 + 128, 63.5 - 64]]])
    units = encode_coordinates(points, CROP)
    assert units.tolist() == [[[0.0, 0.0], [1.0, -0.5]]]
    assert torch.equal(decode_coordinates(units, CROP), points)


def test_cells_are_centred_between_their_pixels() -> None:
    """A stride of 4: the first cell covers px 0 to 3, so its centre is px 1.5."""
    px = decode_coordinates(cell_centers((32, 16), CROP), CROP)
    assert px[0].tolist() == [1.5, 1.5]
    assert px[1].tolist() == [5.5, 1.5]
    assert px[-1].tolist() == [61.5, 125.5]


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_decoding_an_encoded_place_gives_it_back_between_the_cells(sigma: float) -> None:
    points = torch.tensor([[[20.3, 40.7], [33.1, 99.9]]])
    maps, inside = encode_heatmaps(points, ALL, CROP, 4, sigma)
    decoded, scores = decode_heatmaps(maps, CROP)
    assert inside.all()
    assert torch.allclose(decoded, points, atol=1e-3)
    assert (scores > 0.8).all()


def test_a_keypoint_outside_the_crop_has_no_heatmap() -> None:
    points = torch.tensor([[[10.0, 10.0], [64.1, 10.0]]])
    maps, inside = encode_heatmaps(points, ALL, CROP, 4, 1.5)
    assert inside.tolist() == [[True, False]]
    assert maps[0, 1].abs().max() == 0


def test_a_decoded_heatmap_never_leaves_the_crop() -> None:
    maps = torch.rand(4, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    points, _ = decode_heatmaps(maps, CROP)
    assert (points >= 0).all()
    assert (points <= torch.tensor([63.0, 127.0])).all()


def test_an_unlabelled_keypoint_may_be_nan() -> None:
    points = torch.tensor([[[10.0, 10.0], [torch.nan, torch.nan]]])
    maps, inside = encode_heatmaps(points, torch.tensor([[True, False]]), CROP, 4, 1.5)
    assert inside.tolist() == [[True, False]]
    assert torch.isfinite(maps).all()


def gaussian(at: tuple[float, float], sigma: float, map_hw: tuple[int, int]) -> np.ndarray:
    """A map with its peak at (x, y) cells, written out."""
    y, x = np.mgrid[: map_hw[0], : map_hw[1]]
    return np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("refine", ["parabola", "dark"])
def test_a_hand_computed_gaussian_is_found_to_a_thousandth_of_a_cell(refine: str) -> None:
    """Peak at cell (7.3, 12.8): crop px 4 * 7.3 + 1.5 = 30.7 and 4 * 12.8 + 1.5 = 52.7."""
    maps = torch.from_numpy(gaussian((7.3, 12.8), 2.0, (32, 16)))[None, None]

    points, scores = decode_heatmaps(maps, CROP, refine=refine, sigma=2.0)

    assert points[0, 0].tolist() == pytest.approx([30.7, 52.7], abs=0.02)
    assert float(scores) == pytest.approx(math.exp(-(0.3**2 + 0.2**2) / 8))


def test_refinements_differ_as_their_sources_say() -> None:
    """Peak at cell (7.3, 12.8): the cell is (7, 13); a quarter goes right and up."""
    maps = torch.from_numpy(gaussian((7.3, 12.8), 2.0, (32, 16)))[None, None]

    cell, _ = decode_heatmaps(maps, CROP, refine="none")
    quarter, _ = decode_heatmaps(maps, CROP, refine="quarter")

    assert cell[0, 0].tolist() == [4 * 7 + 1.5, 4 * 13 + 1.5]
    assert quarter[0, 0].tolist() == [4 * 7.25 + 1.5, 4 * 12.75 + 1.5]


def test_dark_turns_with_a_slanted_peak_and_the_parabola_does_not() -> None:
    """exp(-q / 2) with q = 0.5 dx² + 0.5 dy² + 0.6 dx dy round (7.3, 12.8): its maximum."""
    y, x = np.mgrid[:32, :16]
    dx, dy = x - 7.3, y - 12.8
    slanted = np.exp(-(0.5 * dx**2 + 0.5 * dy**2 + 0.6 * dx * dy) / 2)
    maps = torch.from_numpy(slanted)[None, None]

    dark, _ = decode_heatmaps(maps, CROP, refine="dark", sigma=0.5)
    parabola, _ = decode_heatmaps(maps, CROP)

    assert dark[0, 0].tolist() == pytest.approx([30.7, 52.7], abs=0.15)
    assert (parabola[0, 0] - torch.tensor([30.7, 52.7])).abs().max() > 0.4


def dark_reference(heatmap: np.ndarray, sigma: float) -> tuple[float, float]:
    """DARK for one map, written out from the paper: smooth, logarithm, Taylor, one peak."""
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    size = 2 * math.ceil(2.5 * sigma) + 1
    smooth = cv2.GaussianBlur(
        heatmap, (size, size), sigma, sigma, borderType=cv2.BORDER_CONSTANT
    )
    smooth = smooth * heatmap.max() / smooth.max()  # the paper keeps the peak's height
    log = np.log(np.maximum(smooth, 1e-10))
    rows, columns = heatmap.shape
    if not (1 < column < columns - 2 and 1 < row < rows - 2):
        return float(column), float(row)
    dx = 0.5 * (log[row, column + 1] - log[row, column - 1])
    dy = 0.5 * (log[row + 1, column] - log[row - 1, column])
    dxx = 0.25 * (log[row, column + 2] - 2 * log[row, column] + log[row, column - 2])
    dyy = 0.25 * (log[row + 2, column] - 2 * log[row, column] + log[row - 2, column])
    dxy = 0.25 * (
        log[row + 1, column + 1]
        - log[row - 1, column + 1]
        - log[row + 1, column - 1]
        + log[row - 1, column - 1]
    )
    hessian = np.array([[dxx, dxy], [dxy, dyy]])
    move = -np.linalg.inv(hessian) @ np.array([dx, dy])
    return float(column + move[0]), float(row + move[1])


def test_dark_equals_a_reference_written_from_the_paper_on_noisy_peaks() -> None:
    rng = np.random.default_rng(0)
    maps = np.stack(
        [
            gaussian((rng.uniform(0, 15), rng.uniform(0, 31)), 2.0, (32, 16))
            + 0.05 * rng.random((32, 16))
            for _ in range(40)
        ]
    )
    expected = np.array([dark_reference(heatmap, 2.0) for heatmap in maps])

    points, _ = decode_heatmaps(torch.from_numpy(maps)[None], CROP, refine="dark", sigma=2.0)

    cells = (points[0].numpy() - 1.5) / 4
    peaks = np.array([np.unravel_index(m.argmax(), m.shape)[::-1] for m in maps])
    near = np.abs(expected - peaks).max(axis=1) <= 1  # beyond a cell ours keeps the cell
    assert near.sum() > 30
    np.testing.assert_allclose(cells[near], expected[near], atol=1e-9)


@pytest.mark.parametrize("refine", ["parabola", "dark", "quarter", "none"])
def test_flat_maps_and_peaks_in_a_corner_are_decoded_without_leaving_the_crop(
    refine: str,
) -> None:
    maps = torch.zeros(1, 3, 32, 16)
    maps[0, 1, 0, 0] = maps[0, 2, 31, 15] = 1.0

    points, _ = decode_heatmaps(maps, CROP, refine=refine)

    assert torch.isfinite(points).all()
    assert points[0, 1].tolist() == [1.5, 1.5]
    assert points[0, 2].tolist() == [61.5, 125.5]


@pytest.mark.parametrize(
    ("grid", "first", "last"),
    [
        ("cells", [1.5, 1.5], [61.5, 125.5]),
        ("udp", [0.0, 0.0], [63.0, 127.0]),
        ("original", [0.0, 0.0], [60.0, 124.0]),
    ],
)
def test_a_grid_says_where_its_first_and_last_cell_lie(
    grid: str, first: list[float], last: list[float]
) -> None:
    maps = torch.zeros(1, 2, 32, 16)
    maps[0, 0, 0, 0] = maps[0, 1, 31, 15] = 1.0

    points, _ = decode_heatmaps(maps, CROP, grid=grid, refine="none")

    assert points[0].flatten().tolist() == pytest.approx([*first, *last], abs=1e-4)


@pytest.mark.parametrize("grid", ["cells", "udp", "original"])
def test_a_place_comes_back_on_every_grid(grid: str) -> None:
    points = torch.tensor([[[20.3, 40.7], [33.1, 99.9]]])
    maps, _ = encode_heatmaps(points, ALL, CROP, 4, 1.5, grid)
    decoded, _ = decode_heatmaps(maps, CROP, grid=grid)
    assert torch.allclose(decoded, points, atol=1e-3)


@pytest.mark.parametrize(("grid", "error"), [("cells", 0.0), ("udp", 0.0), ("original", 0.5)])
def test_the_flip_test_is_unbiased_on_grids_that_mirror_onto_themselves(
    grid: str, error: float
) -> None:
    """Maps of a point and of its mirror image agree; the original grid's are a cell quarter
    apart after its shift by a whole cell, half of which stays in the mean: 4 / 4 / 2 px."""
    config = TrainConfig(input_wh=CROP, heatmap_grid=grid)
    partner = torch.tensor([1, 0])
    points = torch.tensor([[[20.3, 40.7], [33.1, 99.9]]])
    mirror = points[:, partner].clone()
    mirror[..., 0] = CROP[0] - 1 - mirror[..., 0]
    seen, _ = encode_heatmaps(points, ALL, CROP, 4, 1.5, grid)
    mirrored, _ = encode_heatmaps(mirror, ALL, CROP, 4, 1.5, grid)

    merged = merge_heatmaps(seen, mirrored, partner, config)
    decoded, _ = decode_heatmaps(merged, CROP, grid=grid)

    moved = (decoded - points)[0]
    assert moved[:, 0].abs().max() == pytest.approx(error, abs=0.02)
    assert moved[:, 1].abs().max() < 1e-2

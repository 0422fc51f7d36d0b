"""Targets and back; crops of 64 x 128 px, maps of 16 x 32 cells."""

from __future__ import annotations

import pytest
import torch

from baselines.codecs import (
    cell_centers,
    decode_coordinates,
    decode_heatmaps,
    encode_coordinates,
    encode_heatmaps,
)

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

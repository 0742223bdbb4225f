"""The operation count behind the rates of ``benchmarks.maps``."""

import pytest
import torch
from benchmarks.maps import LAYERS, layer_flops, rounding, step_flops

from cmg.decoders import MapDecoder
from cmg.encoders.detail import MapDetail


def parts_of(width: int) -> tuple[MapDetail, MapDecoder]:
    with torch.device("meta"):
        return MapDetail((7, 7, 512), width), MapDecoder(256, width, (7, 7, 512))


@pytest.mark.parametrize(
    ("width", "encoder", "decoder"),
    [
        (
            2048,
            [25 * 9 * 512 * 1024, 9 * 9 * 1024 * 2048, 9 * 2048**2, 81 * 2048**2, 9 * 2048**2],
            [81 * 2304 * 1024, 225 * 1024**2, 25 * 1024**2, 225 * 1024 * 512, 49 * 512**2],
        ),
        (
            256,
            [25 * 9 * 512 * 128, 9 * 9 * 128 * 256, 9 * 256**2, 81 * 256**2, 9 * 256**2],
            [81 * 512 * 128, 225 * 128**2, 25 * 128**2, 225 * 128 * 512, 49 * 512**2],
        ),
    ],
)
def test_layers_have_the_operations_counted_by_hand(
    width: int, encoder: list[int], decoder: list[int]
) -> None:
    detail, rebuilt = parts_of(width)
    assert layer_flops(detail.convolutions, 7) == (2 * sum(encoder), 2 * encoder[0])
    assert layer_flops(rebuilt.convolutions, 3)[0] == 2 * sum(decoder)


def test_the_lean_path_has_a_twentieth_of_the_operations() -> None:
    # Both parts are 98.5 % of a published step's 6.09 TFLOP (800 frames).
    assert abs(800 * step_flops(*parts_of(2048)) / (0.985 * 6.09e12) - 1) < 0.01
    assert 0.04 < step_flops(*parts_of(256)) / step_flops(*parts_of(2048)) < 0.05


def test_bf16_has_a_form_of_its_own_because_toom_cook_would_round_it_away() -> None:
    found = rounding(channels=64)
    assert list(found) == list(LAYERS)
    for own in found.values():
        assert own["float32, library"] < 2e-6
        assert own["float32, Toom-Cook"] < 1e-5
        assert own["bf16, windows"] < 0.004
        assert own["bf16, Toom-Cook"] > 5 * own["bf16, windows"]

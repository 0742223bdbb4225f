"""The fast forms of small convolutions against the library's, values and gradients."""

import ast
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from cmg import convolutions
from cmg.convolutions.forms import Form, Library, form_for
from cmg.convolutions.taps import Taps
from cmg.convolutions.toom_cook import ToomCook
from cmg.decoders import MapDecoder
from cmg.encoders.detail import MapDetail, build_detail, forms_from
from cmg.models.options import ModelOptions
from cmg.types import Kind, Modality


def layer_of(transposed: bool, padding: tuple[int, int], kernel: int = 3) -> nn.Module:
    torch.manual_seed(1)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    return kind(6, 5, kernel, padding=padding).double()


def through(form: Form, layer: nn.Module, maps: Tensor) -> list[Tensor]:
    """Output and every gradient, in float64."""
    maps = maps.detach().clone().requires_grad_()
    layer.zero_grad()
    out = form.leave(form.convolve(layer, form.enter(maps)))
    weights = torch.linspace(-1.0, 1.0, out.numel(), dtype=out.dtype).view(out.shape).sin()
    (out * weights).sum().backward()
    return [out.detach(), maps.grad, *(p.grad.clone() for p in layer.parameters())]


@pytest.mark.parametrize("form", [ToomCook(), Taps(torch.float64)], ids=["toom-cook", "taps"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("size", "padding", "kernel"),
    [
        ((3, 3), (0, 0), 3),
        ((5, 5), (0, 0), 3),
        ((3, 3), (1, 1), 3),
        ((5, 5), (1, 1), 3),
        ((5, 3), (0, 1), 3),
        ((1, 4), (1, 1), 3),
        ((2, 4), (0, 0), 1),
        ((7, 7), (0, 0), 3),  # the published first layer
    ],
)
def test_values_and_gradients_are_the_librarys(
    form: Form, transposed: bool, size: tuple[int, int], padding: tuple[int, int], kernel: int
) -> None:
    maps = torch.randn(4, *size, 6, generator=torch.Generator().manual_seed(0)).double()
    layer = layer_of(transposed and size != (7, 7), padding, kernel)
    for found, wanted in zip(
        through(form, layer, maps), through(Library(), layer, maps), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_more_points_than_keep_their_digits_are_refused() -> None:
    with pytest.raises(ValueError, match="up to 7 points per axis, not 9"):
        ToomCook().convolve(layer_of(True, (0, 0)), torch.zeros(7, 7, 2, 6).double())


def test_a_polynomial_product_by_hand() -> None:
    from cmg.convolutions.toom_cook import axis

    evaluate, kernel, interpolate = axis(3, 0, True, torch.float64)
    first, second = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([4.0, 5.0, 6.0]).double()
    product = interpolate @ ((evaluate @ first) * (kernel @ second))
    # (1 + 2x + 3x^2)(4 + 5x + 6x^2) = 4 + 13x + 28x^2 + 27x^3 + 18x^4
    torch.testing.assert_close(product, torch.tensor([4.0, 13.0, 28.0, 27.0, 18.0]).double())


def detail_and_decoder() -> tuple[MapDetail, MapDecoder]:
    torch.manual_seed(0)
    return MapDetail((7, 7, 64), 128, 64), MapDecoder(64, 128, (7, 7, 64), 64)


def run_both(precision: str, library: bool = False) -> tuple[list[Tensor], list[Tensor]]:
    """Detail and reconstruction, and all gradients of encoder and decoder."""
    detail, decoder = detail_and_decoder()
    generator = torch.Generator().manual_seed(3)
    maps = torch.randn(4, 10, 7, 7, 64, generator=generator)
    content = torch.randn(4, 10, 64, generator=generator)
    if precision == "float64":
        detail, decoder = detail.double(), decoder.double()
        maps, content = maps.double(), content.double()
    choice = patch("cmg.encoders.detail.form_for", lambda *_: Library())
    with choice if library else nullcontext():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            own, _ = detail(maps)
            rebuilt = decoder(content, own)
        (rebuilt.to(maps.dtype) - maps).square().mean().backward()
    parameters = [*detail.convolutions.parameters(), *decoder.parameters()]
    return [own.detach(), rebuilt.detach()], [p.grad for p in parameters]


def errors(found: list[Tensor], wanted: list[Tensor]) -> list[float]:
    """Relative to the norm."""
    pairs = zip(found, wanted, strict=True)
    return [float((a.double() - b).norm() / b.norm()) for a, b in pairs]


def test_encoder_and_decoder_in_float32_agree_with_float64() -> None:
    """Gradients less closely: where an activation is near zero, rounding flips its ReLU."""
    out, gradients = run_both("float32")
    expected, expected_gradients = run_both("float64")
    assert max(errors(out, expected)) < 2e-5
    assert max(errors(gradients, expected_gradients)) < 0.01


def test_bfloat16_is_as_close_to_float64_as_the_librarys() -> None:
    expected = run_both("float64")
    ours, theirs = run_both("bf16"), run_both("bf16", library=True)
    for found, other, wanted in zip(ours, theirs, expected, strict=True):
        for own, library in zip(errors(found, wanted), errors(other, wanted), strict=True):
            assert own < 1.5 * library


def test_no_form_is_chosen_by_a_clock() -> None:
    """A run would have other bits whenever the machine was busy."""
    for path in Path(str(convolutions.__file__)).parent.glob("*.py"):
        parts = [
            n
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Import | ast.ImportFrom)
        ]
        named = {a.name.split(".")[0] for n in parts if isinstance(n, ast.Import) for a in n.names}
        named |= {str(n.module) for n in parts if isinstance(n, ast.ImportFrom)}
        assert not named & {"time", "timeit", "datetime", "torch.utils.benchmark"}, path


def test_the_form_follows_device_precision_and_size() -> None:
    wide = [nn.Conv2d(64, 64, 3), nn.Conv2d(64, 64, 1)]
    maps = torch.zeros(40, 7, 7, 64)
    assert isinstance(form_for(maps, wide, 64), ToomCook)
    assert isinstance(form_for(maps, wide, 65), Library)
    assert isinstance(form_for(maps.double(), wide, 64), Library)
    assert isinstance(form_for(maps[:8], wide, 64), Library)
    assert isinstance(form_for(torch.zeros(40, 14, 14, 64), wide, 64), Library)
    assert isinstance(form_for(maps, [nn.Conv2d(64, 16, 3)], 64), Library)
    with torch.autocast("cpu", torch.bfloat16):
        assert isinstance(form_for(maps, wide), Taps)
        assert isinstance(form_for(torch.zeros(40, 14, 14, 64), wide), Taps)
        narrow = [nn.Conv2d(64, 16, 3)]
        assert isinstance(form_for(maps, narrow, 16), Library)
        assert isinstance(form_for(maps, narrow, 0), Taps)
    assert [forms_from(c, "lean", "narrow", 128) for c in (319, 320, 1280)] == [128, 0, 0]
    assert forms_from(1280, "lean", "full", 128) == forms_from(1280, "published", "narrow", 128)


@pytest.mark.parametrize(
    ("width", "options", "form"),
    [
        (2048, {"map_detail": "published"}, ToomCook),  # the paper's widths, 12x
        (2048, {}, ToomCook),  # the lean path of the paper's widths: narrowest layer 128
        (1024, {}, Library),  # of half of them: 64
        (256, {}, Library),  # the lean path of a store of one's own: 16
        (256, {"map_tail": "narrow"}, ToomCook),  # with a narrow tail, from 320 channels on
        (256, {"toom_cook_from": 513, "map_tail": "narrow"}, Library),  # unless more are asked for
        (1024, {"toom_cook_from": 64}, ToomCook),  # a run from before the keys
    ],
)
def test_the_lean_path_takes_the_form_that_is_faster_there(
    width: int, options: dict[str, object], form: type[Form]
) -> None:
    found = []

    def spy(*arguments: object) -> Form:
        found.append(type(form_for(*arguments)))
        return Library()

    modality = Modality(name="video", kind=Kind.MAPS, shape=(7, 7, 512), detail_width=width)
    model = ModelOptions.model_validate(options)
    with torch.device("meta"):
        detail = build_detail(modality, 512, model.map_detail, model.toom_cook_from, model.map_tail)
        maps = torch.zeros(4, 10, 7, 7, 512)
    with patch("cmg.encoders.detail.form_for", lambda m, *rest: spy(OnCPU(m.shape), *rest)):
        detail(maps)
    assert found == [form]


class OnCPU:
    """Stands for maps of a shape, without their memory."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, shape: torch.Size) -> None:
        self.shape = shape

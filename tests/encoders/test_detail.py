"""Specific encoders and their decoders: formulas, widths, sizes of maps."""

import pytest
import torch
from torch.nn import functional

from cmg.convolutions.forms import Library
from cmg.decoders import ClipHead, MapDecoder, StepHead, VectorDecoder
from cmg.decoders.heads import NarrowingStepHead
from cmg.encoders.detail import (
    MapDetail,
    ResidualBlock,
    VectorDetail,
    build_detail,
    convolution_padding,
    map_detail_width,
    map_tail_width,
)
from cmg.models.options import ModelOptions
from cmg.models.unified import UnifiedModel
from cmg.types import Kind, Modality


def features(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_skip_path_carries_the_rectified_input():
    """As coded the first relu is in place: with f = 0 the block is relu, not the identity."""
    block = ResidualBlock(3).double()
    torch.nn.init.zeros_(block.pointwise.weight)
    x = features(2, 3, 4, 4)
    before = x.clone()
    assert torch.equal(block(x.movedim(1, -1), Library()).movedim(-1, 1), x.clamp_min(0))
    assert torch.equal(x, before)


def test_residual_block_formula():
    torch.manual_seed(0)
    block = ResidualBlock(3).double()
    x = features(2, 3, 4, 4)
    r = x.clamp_min(0)
    inner = functional.conv2d(r, block.spatial.weight, padding=1).clamp_min(0)
    out = torch.einsum("oi,nihw->nohw", block.pointwise.weight[:, :, 0, 0], inner)
    torch.testing.assert_close(
        block(x.movedim(1, -1), Library()).movedim(-1, 1), (r + out).clamp_min(0)
    )


def test_vector_detail_is_rectified_and_seen_whole():
    detail = VectorDetail(5, 4).double()
    x = features(2, 3, 5)
    own, seen = detail(x)
    torch.testing.assert_close(own, (x @ detail.linear.weight.T + detail.linear.bias).clamp_min(0))
    assert torch.equal(own, seen)


def test_the_lean_path_is_an_eighth_as_wide_but_not_below_sixteen_channels():
    widths = (2048, 256, 128, 100, 40, 16, 10, 1)
    lean = {width: map_detail_width(width, "lean") for width in widths}
    assert lean == {2048: 256, 256: 32, 128: 16, 100: 16, 40: 16, 16: 16, 10: 10, 1: 1}
    assert map_detail_width(2048, "published") == 2048


def test_the_tail_of_a_lean_decoder_is_narrow_and_no_other_weight_of_a_seed_changes():
    sizes = ((1280, 32), (512, 256), (320, 32), (64, 32), (16, 32), (5, 32))
    assert [map_tail_width(*size) for size in sizes] == [160, 128, 40, 16, 16, 5]
    maps = Modality(name="video", kind=Kind.MAPS, shape=(5, 5, 40), detail_width=64)
    vectors = Modality(name="audio", kind=Kind.VECTORS, shape=(3,))

    def built(**options):
        small = {"width": 8, "temporal": {"kind": "mlp", "hidden": 8}, "codebook": {"size": 4}}
        return UnifiedModel([maps, vectors], ModelOptions.model_validate(small | options))

    narrow, full = built(map_tail="narrow"), built()
    tail = {f"decoder.video.convolutions.{layer}" for layer in (2, 4)}
    one, other = narrow.state_dict(), full.state_dict()
    assert one.keys() == other.keys()
    differ = {n for n, x in one.items() if not (x.shape == other[n].shape and x.equal(other[n]))}
    assert {n.rpartition(".")[0] for n in differ} == tail
    layers = [model.decoder["video"].convolutions for model in (narrow, full)]
    assert [(x[2].in_channels, x[2].out_channels, x[4].out_channels) for x in layers] == [
        (8, 16, 40),
        (8, 40, 40),
    ]
    wide = built(map_detail="published").decoder["video"].convolutions
    assert (wide[2].out_channels, wide[4].in_channels) == (40, 40)
    rebuilt = narrow.decoder["video"](torch.zeros(2, 3, 8), torch.zeros(2, 3, 1, 1, 16))
    assert rebuilt.shape == (2, 3, 5, 5, 40)


def test_map_detail_private_part_is_of_the_average():
    torch.manual_seed(0)
    detail = MapDetail((7, 7, 6), 8).double()
    own, seen = detail(features(2, 3, 7, 7, 6))
    assert own.shape == (2, 3, 3, 3, 8)
    assert own.min() >= 0
    average = own.mean((2, 3))
    first, _, second = detail.private
    hidden = (average @ first.weight.T + first.bias).clamp_min(0)
    torch.testing.assert_close(seen, hidden @ second.weight.T + second.bias)


@pytest.mark.parametrize(("size", "padding"), [(1, 1), (2, 1), (4, 1), (5, 0), (7, 0), (14, 0)])
def test_padding_of_an_axis(size, padding):
    assert convolution_padding(size) == padding


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        ((1, 1), (1, 1)),
        ((2, 3), (2, 3)),
        ((4, 4), (4, 4)),
        ((5, 5), (1, 1)),
        ((7, 7), (3, 3)),
        ((8, 6), (4, 2)),
        ((4, 9), (4, 5)),
    ],
)
def test_maps_of_every_size_come_back(size, inside):
    detail, decoder = MapDetail((*size, 6), 4), MapDecoder(8, 4, (*size, 6))
    own, seen = detail(torch.randn(2, 3, *size, 6))
    assert own.shape == (2, 3, *inside, 4)
    assert seen.shape == (2, 3, 6)
    assert decoder(torch.randn(2, 3, 8), own).shape == (2, 3, *size, 6)


def test_map_decoder_spreads_the_content_first():
    """[content, detail] in this order, the same content at every position."""
    torch.manual_seed(0)
    decoder = MapDecoder(4, 3, (7, 7, 5)).double()
    content, detail = features(1, 2, 4), features(1, 2, 3, 3, 3, seed=1)
    projected = content @ decoder.content.weight.T + decoder.content.bias
    stacked = torch.cat([projected[:, :, None, None].expand(1, 2, 3, 3, 4), detail], -1)
    maps = decoder.convolutions(stacked.flatten(0, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(decoder(content, detail)[0], maps.permute(0, 2, 3, 1))


def test_vector_decoder_formula():
    torch.manual_seed(0)
    decoder = VectorDecoder(4, 3, 5).double()
    content, detail = features(2, 3, 4), features(2, 3, 3, seed=1)
    projected = content @ decoder.content.weight.T + decoder.content.bias
    weight = decoder.output.weight
    expected = projected @ weight[:, :3].T + detail @ weight[:, 3:].T + decoder.output.bias
    torch.testing.assert_close(decoder(content, detail), expected)


def convolved(x, layer):
    """A 3x3 convolution without padding, position by position; x [N, C, H, W]."""
    n, _, height, width = x.shape
    out = x.new_zeros(n, layer.out_channels, height - 2, width - 2)
    for i in range(height - 2):
        for j in range(width - 2):
            window = x[:, :, i : i + 3, j : j + 3]
            out[:, :, i, j] = torch.einsum("ochw,nchw->no", layer.weight, window) + layer.bias
    return out


@pytest.mark.parametrize("training", [True, False])
def test_normalized_map_detail_formula(training):
    """Two convolutions, each with batch norm over frames and positions, biased variance."""
    torch.manual_seed(0)
    detail = MapDetail((7, 7, 3), 6, normalized=True).double().train(training)
    layers = detail.convolutions
    for norm in (layers[1], layers[4]):
        torch.nn.init.normal_(norm.weight)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    x = features(2, 3, 7, 7, 3)
    wanted = x.flatten(0, 1).movedim(-1, 1)
    running = []
    for convolution, norm in ((layers[0], layers[1]), (layers[3], layers[4])):
        wanted = convolved(wanted, convolution)
        mean, variance = norm.running_mean.clone(), norm.running_var.clone()
        if training:
            mean, variance = wanted.mean((0, 2, 3)), wanted.var((0, 2, 3), correction=0)
            running.append((norm, 0.9 * norm.running_mean + 0.1 * mean))
        scale = norm.weight / (variance + 1e-5).sqrt()
        shifted = wanted - mean[:, None, None]
        wanted = (shifted * scale[:, None, None] + norm.bias[:, None, None]).clamp_min(0)
    own, seen = detail(x)
    torch.testing.assert_close(own, wanted.movedim(1, -1).view(2, 3, 3, 3, 6))
    assert seen.shape == (2, 3, 3)
    for norm, mean in running:
        torch.testing.assert_close(norm.running_mean, mean)
    assert len(running) == (2 if training else 0)


def test_decoders_bring_wide_content_to_a_width_first():
    """No activation lies between the two maps."""
    torch.manual_seed(0)
    decoder = VectorDecoder(12, 3, 5, narrow=4).double()
    first, second = decoder.content
    content, detail = features(2, 3, 12), features(2, 3, 3, seed=1)
    y = (content @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(decoder(content, detail), decoder.output(torch.cat([y, detail], -1)))
    assert (first.weight.shape, second.weight.shape) == ((4, 12), (3, 4))
    maps = MapDecoder(12, 6, (7, 7, 5), narrow=4)
    assert [tuple(x.weight.shape) for x in maps.content] == [(4, 12), (4, 4)]
    assert maps.convolutions[0].weight.shape[0] == 4 + 6


def test_kind_decides_the_encoder():
    maps = Modality(name="depth", kind=Kind.MAPS, shape=(5, 6, 3), detail_width=4)
    tokens = Modality(name="text", kind=Kind.TOKENS, shape=(9,), detail_width=4)
    assert build_detail(maps, 3).convolutions[0].weight.shape == (2, 3, 3, 3)
    assert build_detail(tokens, 6).linear.weight.shape == (4, 6)  # reads the LSTM, not the token


# ---- task heads ---------------------------------------------------------------------------------


def set_head(head):
    """Identity first layer; the classifier reads the two features off."""
    with torch.no_grad():
        for layer in (head.linear, head.classifier):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
    return head


CLIP = torch.tensor([[[1.0, 8.0], [3.0, 2.0], [9.0, 9.0]]])
TWO = torch.tensor([[True, True, False]])


@pytest.mark.parametrize(
    ("pooling", "mask", "expected"),
    [
        ("max", None, [9, 9]),
        ("max", TWO, [3, 8]),
        ("mean", None, [13 / 3, 19 / 3]),
        ("mean", TWO, [2, 5]),
    ],
)
def test_clip_head_pools_what_exists(pooling, mask, expected):
    head = set_head(ClipHead(2, 2, pooling))
    torch.testing.assert_close(head(CLIP, mask), torch.tensor([expected]).float())


def test_max_pooling_of_negative_features_ignores_padding():
    head = set_head(ClipHead(2, 2))
    assert head(-CLIP, TWO).tolist() == [[-1, -2]]


def test_step_head_keeps_the_steps():
    assert torch.equal(set_head(StepHead(2, 2))(CLIP), CLIP)


def test_heads_have_biases_everywhere():
    for head in (ClipHead(4, 3), StepHead(4, 3)):
        assert {n: tuple(p.shape) for n, p in head.named_parameters()} == {
            "linear.weight": (4, 4),
            "linear.bias": (4,),
            "classifier.weight": (3, 4),
            "classifier.bias": (3,),
        }


def test_the_narrowing_head_is_four_linear_layers():
    torch.manual_seed(0)
    head = NarrowingStepHead(6, 4).double()
    x = features(2, 3, 6)
    wanted = x
    for layer in head.layers:
        wanted = wanted @ layer.weight.T + layer.bias
    torch.testing.assert_close(head(x, None), wanted)
    sizes = [(layer.in_features, layer.out_features) for layer in head.layers]
    assert sizes == [(6, 6), (6, 3), (3, 3), (3, 4)]

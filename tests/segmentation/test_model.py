"""The parts of the model and the whole of it."""

import pytest
import torch
from torch.nn import functional

from cmg.errors import CheckpointError, ConfigError
from cmg.segmentation.backbones import NAMES, Backbone, network_options
from cmg.segmentation.model import (
    Fusion,
    MaskHead,
    MultiDilation,
    ResidualUnit,
    Segmenter,
    StepMixer,
)
from cmg.segmentation.options import SegmenterOptions
from cmg.segmentation.training import first_frame_loss, matching_loss


def test_dilated_convolutions_are_summed():
    module = MultiDilation(3, 2)
    x = torch.randn(2, 3, 9, 9)
    expected = sum(
        functional.conv2d(x, c.weight, c.bias, padding=d, dilation=d)
        for c, d in zip(module.convs, (3, 6, 12, 18), strict=True)
    )
    torch.testing.assert_close(module(x), expected)
    assert 0.005 < float(module.convs[0].weight.detach().std()) < 0.015


def test_the_skip_of_a_residual_unit_is_rectified():
    unit = ResidualUnit(2)
    for conv in (unit.first, unit.second):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    x = torch.randn(1, 2, 3, 3)
    torch.testing.assert_close(unit(x), functional.relu(x))


def test_fusion_from_the_deepest_up():
    fusion = Fusion(2, 4)
    maps = [torch.randn(1, 2, 2**i, 2**i) for i in (5, 4, 3, 2)]

    def up(x):
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)

    out = up(fusion.blocks[3](maps[3]))
    for level in (2, 1, 0):
        out = up(fusion.blocks[level](out + fusion.skips[level](maps[level])))
    torch.testing.assert_close(fusion(maps), out)


def test_the_head_doubles_the_size_without_aligned_corners():
    head = MaskHead(4)
    x = torch.randn(2, 4, 3, 3)
    doubled = functional.interpolate(head.first(x), scale_factor=2, mode="bilinear")
    expected = head.last(functional.relu(head.second(doubled)))[:, 0]
    torch.testing.assert_close(head(x), expected)


def test_a_new_mixer_is_the_mean_over_steps():
    query = torch.randn(2, 10, 4)
    mixed = StepMixer(10, 5)(query)
    torch.testing.assert_close(mixed, query.mean(1, keepdim=True).expand(2, 5, 4))


@pytest.mark.parametrize(
    ("name", "millions", "widths"),
    [
        ("pvt_v2_b0", 3.4, (32, 64, 160, 256)),
        ("resnet18", 11.2, (64, 128, 256, 512)),
        ("resnet50", 23.508032, (256, 512, 1024, 2048)),
    ],
)
def test_backbones(name, millions, widths):
    backbone = Backbone(name)
    found = sum(p.numel() for p in backbone.parameters()) / 1e6
    assert found == pytest.approx(millions, abs=0.05)
    maps = backbone(torch.zeros(1, 3, 48, 48, dtype=torch.uint8))
    assert [x.shape[1] for x in maps] == list(widths) == list(backbone.widths)
    assert [x.shape[2] for x in maps] == [12, 6, 3, 2]


def test_pvt_b5_has_the_published_size():
    from transformers import PvtV2Backbone, PvtV2Config

    with torch.device("meta"):
        network = PvtV2Backbone(PvtV2Config(**network_options("pvt_v2_b5")))
    assert sum(p.numel() for p in network.parameters()) == 81_443_008
    assert len(NAMES) == 9


def test_pictures_are_normalized_as_imagenet_is():
    backbone = Backbone("resnet18").eval()
    seen = []
    backbone.network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    backbone(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8))
    expected = [(1 - m) / s for m, s in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor(expected))


def test_weights_of_a_folder_are_loaded_and_those_of_another_network_refused(tmp_path):
    torch.manual_seed(1)
    Backbone("resnet18").network.save_pretrained(tmp_path / "own")
    one, two = (Backbone("resnet18", tmp_path / "own").eval() for _ in range(2))
    x = torch.randint(0, 255, (1, 3, 32, 32))
    torch.testing.assert_close(one(x)[3], two(x)[3], rtol=0, atol=0)
    assert not torch.equal(one(x)[3], Backbone("resnet18").eval()(x)[3])
    with pytest.raises(CheckpointError, match="another network"):
        Backbone("resnet34", tmp_path / "own")
    with pytest.raises(CheckpointError, match="cannot read backbone weights"):
        Backbone("resnet18", tmp_path)


@pytest.mark.parametrize("name", ["resnet18", "pvt_v2_b0"])
def test_weights_of_a_classifier_as_the_hub_has_them(tmp_path, name):
    import transformers

    kind = "ResNet" if name == "resnet18" else "PvtV2"
    config = getattr(transformers, f"{kind}Config")(**network_options(name))
    classifier = getattr(transformers, f"{kind}ForImageClassification")(config).eval()
    classifier.save_pretrained(tmp_path)
    backbone = Backbone(name, tmp_path).eval()
    x = torch.randint(0, 255, (1, 3, 64, 64))
    with torch.no_grad():
        body = classifier.resnet if name == "resnet18" else classifier.pvt_v2
        expected = body((x / 255 - backbone.mean) / backbone.std).last_hidden_state
        torch.testing.assert_close(backbone(x)[3], expected)


def test_unknown_names_and_sizes_are_refused():
    with pytest.raises(ConfigError, match=r"did you mean 'resnet18'"):
        Backbone("resnet8")
    with pytest.raises(ValueError, match="multiples of 16"):
        Backbone("resnet18")(torch.zeros(1, 3, 40, 40))


@pytest.mark.parametrize("side", [32, 48, 112])
def test_a_mask_per_frame_of_the_picture_s_size(new_segmenter, side):
    model = new_segmenter().eval()
    frames = torch.randint(0, 255, (2, 3, 3, side, side), dtype=torch.uint8)
    said = model(frames, torch.randn(2, 6, 8))
    assert said.logits.shape == (2, 3, side, side)
    assert set(said.maps) == set(said.queries) == {1, 3}
    assert said.queries[1].shape == (2, 3, 4)


def test_only_the_first_frames_masks_change_nothing(new_segmenter):
    model = new_segmenter().train()
    frames, query = torch.randint(0, 255, (2, 3, 3, 32, 32)), torch.randn(2, 6, 8)
    whole, first = model(frames, query), model(frames, query, 1)
    torch.testing.assert_close(whole.logits[:, :1], first.logits, rtol=1e-5, atol=1e-6)
    assert first.maps[1].shape == whole.maps[1].shape


def test_without_a_query_it_is_ignored(new_segmenter, small_options):
    model = new_segmenter(small_options.model_copy(update={"by_query": False})).eval()
    frames = torch.randint(0, 255, (1, 3, 3, 32, 32))
    one, two = (model(frames, torch.randn(1, 6, 8)).logits for _ in range(2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_both_attentions_are_averaged(new_segmenter, small_options):
    model = new_segmenter(small_options.model_copy(update={"self_attention": True})).eval()
    x, query = torch.randn(1, 4, 3, 2, 2), torch.randn(1, 3, 8)
    both = model._attended("1", x, query)[0]
    expected = (model.by_query["1"](x, query)[0] + model.by_self["1"](x)[0]) / 2
    torch.testing.assert_close(both, expected)


def test_options_are_checked():
    with pytest.raises(ValueError, match="each once"):
        SegmenterOptions(stages=(0, 0))
    with pytest.raises(ValueError, match="each once"):
        SegmenterOptions(stages=(4,))


def test_one_seed_gives_one_model(new_segmenter):
    one, two, other = new_segmenter(seed=3), new_segmenter(seed=3), new_segmenter(seed=4)
    states = [m.state_dict() for m in (one, two, other)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert any(not torch.equal(states[0][k], states[2][k]) for k in states[0])


def test_only_the_first_frame_counts_in_the_loss():
    logits, masks = torch.randn(2, 3, 4, 4), torch.rand(2, 3, 4, 4) > 0.5
    p = torch.sigmoid(logits[:, 0])
    by_hand = -torch.where(masks[:, 0], p.log(), (1 - p).log()).mean()
    torch.testing.assert_close(first_frame_loss(logits, masks), by_hand)
    logits[:, 1:] = 100.0
    torch.testing.assert_close(first_frame_loss(logits, masks), by_hand)


def test_an_empty_predicted_mask_matches_nothing():
    maps, queries = [torch.randn(1, 4, 2, 3, 3)], [torch.randn(1, 2, 4)]
    loss = matching_loss(torch.full((1, 2, 6, 6), -9.0), maps, queries)
    assert float(loss) == pytest.approx(-torch.tensor(1e-6).log().item(), rel=1e-5)


def test_a_query_that_is_the_mean_inside_the_mask_matches():
    maps = torch.randn(1, 4, 2, 3, 3)
    loss = matching_loss(torch.full((1, 2, 6, 6), 9.0), [maps], [maps.mean((3, 4)).mT])
    assert float(loss) == pytest.approx(0.0, abs=1e-5)


def test_the_model_is_read_from_its_options():
    model = Segmenter(SegmenterOptions(backbone="resnet18", channels=4), 8, None, 5)
    assert model.mixer is None
    said = model.eval()(torch.zeros(1, 5, 3, 32, 32), torch.randn(1, 5, 8))
    assert said.logits.shape == (1, 5, 32, 32)

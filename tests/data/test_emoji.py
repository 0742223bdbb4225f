"""The embedded set emoji: its concepts, families and parts, its laws, its features, its folds."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from tools.emoji import sources
from tools.emoji.packing import (
    compressed,
    levels_of,
    packed_features,
    packed_pictures,
    packed_words,
    scaled_of,
)

from cmg.data import build_emoji, open_store
from cmg.data.emoji import build as emoji
from cmg.data.emoji import load_drawings, load_pictures, load_words
from cmg.data.emoji.archive import (
    EmojiWords,
    unpacked_features,
    unpacked_pictures,
    unpacked_words,
)
from cmg.data.emoji.families import core, families
from cmg.data.emoji.folds import FOLDS, parts
from cmg.data.emoji.laws import MOST, decompressed, features_of, vectors_of
from cmg.errors import ConfigError
from cmg.types import Kind

DESIGNERS = ("noto", "fluent", "twemoji")
LANGUAGES = ("de", "es", "fr", "it", "ja", "ru", "zh")


@pytest.fixture(scope="session")
def words():
    return load_words()


@pytest.fixture(scope="session")
def drawings():
    return load_drawings()


@pytest.fixture(scope="session")
def twins(words):
    return families(labels(words), subgroups(words))


@pytest.fixture(scope="session")
def fold():
    return open_store("emoji:3")


def labels(words):
    return [c.label for c in words.concepts]


def subgroups(words):
    return [c.subgroup for c in words.concepts]


# --- what is embedded -----------------------------------------------------------------------


def test_1377_concepts_are_those_that_three_designers_drew(words, drawings):
    """1386 are in Noto and Twemoji and 12 more without their FE0F; Fluent lacks 21 of the 1398."""
    concepts = words.concepts
    assert len(concepts) == len(set(labels(words))) == len({c.code for c in concepts}) == 1377
    assert "🥺" in {c.emoji for c in concepts}
    assert not any("200D" in c.code or c.group in ("flags", "component") for c in concepts)
    assert Counter(c.group for c in concepts) == {
        "objects": 261,
        "symbols": 223,
        "travel-places": 218,
        "smileys-emotion": 160,
        "animals-nature": 153,
        "people-body": 149,
        "food-drink": 128,
        "activities": 85,
    }
    assert len(set(subgroups(words))) == 94
    assert {who: x.shape for who, x in drawings.items()} == dict.fromkeys(
        DESIGNERS, (1377, 4, 1280)
    )
    assert all(0 == x.min() < x.max() == 6 for x in drawings.values()), "ReLU6"


def test_names_come_before_keywords_in_eight_languages(words):
    cat = next(c for c in words.concepts if c.label == "cat")
    assert list(cat.phrases) == ["text", *(f"text_{code}" for code in LANGUAGES)]
    assert cat.phrases["text"] == ("cat", "animal", "animals", "cats", "kitten", "pet")
    assert cat.phrases["text_de"] == ("Katze", "Haustier", "miau", "Tier")
    assert cat.phrases["text_zh"][0] == "猫"
    keycap = next(c for c in words.concepts if c.label == "keycap: 10")
    assert all(keycap.phrases.values()), "CLDR has no words for it, emojibase has"
    assert {m: len(v) for m, v in words.vectors.items()} == {
        m: len({p for c in words.concepts for p in c.phrases[m]}) for m in words.vectors
    }


def test_content_of_the_archives_is_what_it_was(words, drawings):
    """Of what is decoded, so that another compression of it would do."""
    told = {
        **{who: x.tobytes() for who, x in drawings.items()},
        **{f"{who} pictures": x.tobytes() for who, x in load_pictures().items()},
        **{m: np.stack(list(v.values())).tobytes() for m, v in words.vectors.items()},
        "concepts": repr(words.concepts).encode(),
    }
    digest = hashlib.sha256(b"".join(told[key] for key in sorted(told))).hexdigest()
    assert digest[:16] == "f93c536164bd3c27"


def test_a_picture_is_a_small_drawing_on_white(words):
    heart = labels(words).index("red heart")
    for pixels in (x[heart] for x in load_pictures().values()):
        assert pixels.shape == (32, 32, 3)
        assert pixels[0, 0].min() > 250, "paper"
        red, green, blue = pixels[16, 16].tolist()
        assert red > 180
        assert max(green, blue) < 120


# --- laws of rounding -----------------------------------------------------------------------


def test_features_are_rounded_in_their_square_root():
    x = np.array([0, 6 / 900 - 1e-4, 6 / 900 + 1e-4, 6 * (7 / 15) ** 2, 6], np.float32)
    assert levels_of(x).tolist() == [0, 0, 1, 7, 15], "level 1 begins at half of 1/15, squared"
    np.testing.assert_allclose(features_of(levels_of(x)), [0, 0, 6 / 225, 6 * 49 / 225, 6], 1e-6)
    levels = np.arange(16, dtype=np.uint8)
    assert levels_of(features_of(levels)).tolist() == levels.tolist()


def test_a_vector_is_rounded_by_its_own_largest_number():
    x = np.array([[7, -3.4, 0.4, 0], [-0.75, 0.4, 0.1, -0.2]], np.float32)
    levels, scale = scaled_of(x[:1], 7)
    assert (levels.astype(int) - MOST).tolist() == [[7, -3, 0, 0]]
    assert scale.tolist() == [1]
    levels, scale = scaled_of(x[1:], 3)
    assert (levels.astype(int) - MOST).tolist() == [[-3, 2, 0, -1]]
    assert vectors_of(levels, scale).tolist() == [[-0.75, 0.5, 0, -0.25]]


def test_what_becomes_of_a_drawing_or_a_phrase_depends_on_no_other():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 6, (5, 4, 1280)).astype(np.float32)
    whole = unpacked_features(packed_features(x))
    assert (unpacked_features(packed_features(x[3:4])) == whole[3:4]).all()
    assert np.abs(np.sqrt(whole / 6) - np.sqrt(x / 6)).max() <= 1 / 30 + 1e-6
    v = rng.standard_normal((6, 8)).astype(np.float32)
    alone = vectors_of(*scaled_of(v[2:3], 7))
    assert (vectors_of(*scaled_of(v, 7))[2:3] == alone).all()


def test_packing_is_exact():
    rng = np.random.default_rng(1)
    levels = rng.integers(0, 16, (3, 4), dtype=np.uint8)
    assert decompressed(compressed(levels)).tolist() == levels.reshape(-1).tolist()
    colors = {who: rng.integers(0, 256, (2, 16, 3), dtype=np.uint8) for who in DESIGNERS}
    index = {who: rng.integers(0, 16, (2, 32, 32), dtype=np.uint8) for who in DESIGNERS}
    found = unpacked_pictures(packed_pictures(colors, index))
    assert found["noto"][1, 5, 7].tolist() == colors["noto"][1, index["noto"][1, 5, 7]].tolist()
    rows = [
        {"code": "A", "emoji": "a", "label": "b", "group": "g", "subgroup": "s"}
        | {"phrases": {"text": ["b", "a"], "text_de": ["ü"]}}
    ]
    given = {"text": np.eye(2, 4), "text_de": -np.ones((1, 4))}
    got = unpacked_words(packed_words(rows, given))
    assert got.concepts[0].phrases == {"text": ("b", "a"), "text_de": ("ü",)}
    assert got.vectors["text"]["a"].round(3).tolist() == [1, 0, 0, 0], "alphabetical"
    assert got.vectors["text_de"]["ü"].round(3).tolist() == [-1] * 4


# --- families and parts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("twelve o\u2019clock", "one-thirty"),
        ("large blue diamond", "small orange diamond"),
        ("up-right arrow", "right arrow curving left"),
        ("waxing gibbous moon", "full moon face"),
        ("person: blond hair", "woman"),
        ("cat face", "cat"),
        ("beer mug", "clinking beer mugs"),
        ("A button (blood type)", "O button (blood type)"),
    ],
)
def test_near_twins_keep_the_same_words(one, other):
    assert core(one) == core(other)


def test_families_are_within_a_subgroup_and_never_all_of_it(words, twins):
    members = defaultdict(list)
    for concept, family in zip(words.concepts, twins, strict=True):
        members[family].append(concept)
    assert len(members) == 1162
    assert all(len({c.subgroup for c in family}) == 1 for family in members.values())
    assert len(members["time/twelve o\u2019clock"]) == 24
    assert len(members["geometric/red square"]) == 17
    assert len(members["sky-weather/new moon"]) == 13
    assert members["zodiac/Aries"][0].label == "Aries"
    assert sum(f.startswith("zodiac/") for f in members) == 13, "no twins: 13 constellations"
    assert sum(f.startswith("keycap/") for f in members) == 13, "all of a subgroup stay apart"


@pytest.mark.parametrize("number", range(FOLDS))
def test_no_family_straddles_parts_and_every_class_is_in_all(words, twins, number):
    found = parts(twins, subgroups(words), number)
    where = defaultdict(set)
    for family, part in zip(twins, found, strict=True):
        where[family].add(part)
    assert {len(p) for p in where.values()} == {1}
    for name, size in Counter(subgroups(words)).items():
        if size >= 9:
            inside = Counter(p for p, s in zip(found, subgroups(words), strict=True) if s == name)
            assert 2 <= inside["test"] <= round(size / 4), name
            assert 1 <= inside["val"] <= round(size / 8), name
            assert inside["train"] >= 6, name


def test_folds_are_different_draws(words, twins):
    tested = [
        {c for c, p in zip(labels(words), parts(twins, subgroups(words), f), strict=True)
         if p == "test"}
        for f in range(FOLDS)
    ]  # fmt: skip
    shared = [len(a & b) / len(a) for i, a in enumerate(tested) for b in tested[:i]]
    assert min(shared) > 0.2
    assert max(shared) < 0.4, "a quarter, and a little more: families above a share never move"


def test_parts_by_hand():
    """Of 8 concepts val takes 1 and test 2; a family of 3 fits in neither."""
    found = parts(["x", "x", "x", "a", "b", "c", "d", "e"], ["s"] * 8, 0)
    assert Counter(found) == {"train": 5, "test": 2, "val": 1}
    assert found[:3] == ["train"] * 3


# --- a fold as a store ----------------------------------------------------------------------


def test_a_fold_is_a_store_of_eleven_modalities(fold, words, twins):
    assert fold.splits == {"train": 873, "test": 332, "val": 172}
    kinds = {m: (spec.kind, spec.shape) for m, spec in fold.manifest.modalities.items()}
    assert kinds == {
        **dict.fromkeys(DESIGNERS, (Kind.VECTORS, (128,))),
        "text": (Kind.TOKENS, (384,)),
        **{f"text_{code}": (Kind.TOKENS, (384,)) for code in LANGUAGES},
    }
    assert {n: len(spec.classes) for n, spec in fold.labels.items()} == {"subgroup": 63, "group": 8}
    assert next(iter(fold.labels)) == "subgroup", "what evaluation takes by default"
    assert fold.media == "emoji"
    row = next(r for r in fold.rows if r.id == "1F408")
    k = row.meta["concept"]
    assert words.concepts[k].label == "cat"
    assert row.meta["group"] == twins[k] == "animal-mammal/cat face"
    assert row.meta["phrases"]["text_de"] == ["Katze", "Haustier", "miau", "Tier"]
    assert row.lengths == dict.fromkeys(DESIGNERS, 10) | {
        m: len(p) for m, p in words.concepts[k].phrases.items()
    }
    assert fold.labels["subgroup"].classes[row.labels["subgroup"]] == "animal-mammal"
    frog = next(r for r in fold.rows if r.id == "1F438")
    assert frog.labels["subgroup"] is None, "the only amphibian"
    assert fold.labels["group"].classes[frog.labels["group"]] == "animals-nature"


def test_training_concepts_set_every_scale(fold):
    train = fold.split("train")
    text, lengths = train.features("text")
    said = np.concatenate([x[:n].double().numpy() for x, n in zip(text, lengths, strict=True)])
    moving = said.std(0) > 0
    assert moving.sum() == 381, "three numbers of MiniLM never change"
    np.testing.assert_allclose(said.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(said.std(0)[moving], 1, atol=1e-3)


def few(words, drawings):
    """The concepts of two subgroups, some channels, English: enough to be divided."""
    chosen = [k for k, c in enumerate(words.concepts) if c.subgroup in ("drink", "animal-mammal")]
    concepts = tuple(
        replace(words.concepts[k], phrases={"text": words.concepts[k].phrases["text"]})
        for k in chosen
    )
    return (
        EmojiWords(concepts, {"text": words.vectors["text"]}),
        {"noto": drawings["noto"][chosen, :, :200]},
    )


def test_a_test_concept_changes_nothing_but_itself(words, drawings, tmp_path):
    """Projection and scales are of the training part: others stay the same to the last bit."""
    some, seen = few(words, drawings)
    said = Counter(p for c in some.concepts for p in c.phrases["text"])
    plain = emoji.write_fold(tmp_path / "plain", 2, some, seen)
    changed = next(
        row.meta["concept"]
        for row in plain.rows
        if row.split == "test" and said[row.meta["phrases"]["text"][0]] == 1
    )
    moved = seen["noto"].copy()
    moved[changed] = 6 - moved[changed]
    name = some.concepts[changed].phrases["text"][0]
    vectors = some.vectors["text"] | {name: -9 * some.vectors["text"][name]}
    other = emoji.write_fold(
        tmp_path / "other", 2, EmojiWords(some.concepts, {"text": vectors}), {"noto": moved}
    )
    for k, row in enumerate(plain.rows):
        a, b = plain[k]["features"], other[k]["features"]
        same = [bool((a[m] == b[m]).all()) for m in ("noto", "text")]
        assert same == [row.meta["concept"] != changed] * 2


def test_views_mix_four_quadrants_that_components_see():
    """Four quadrants that only differ in one channel: every view lies between them."""
    quadrants = np.zeros((3, 4, 5), np.float32)
    quadrants[:, :, 2] = [[0, 1, 2, 3], [4, 4, 4, 4], [9, 9, 9, 9]]
    found = emoji.views(quadrants, [0, 1], 0).astype(float)
    assert found.shape == (3, 10, 5)
    line = found[..., 0]
    assert np.ptp(line[1]) < 1e-6 < np.ptp(line[0])
    unit = (line[2, 0] - line[1, 0]) / 5
    places = (line[0] - line[1, 0]) / unit + 4
    assert (places >= 0.75 - 1e-2).all(), "a quarter of the way from either side"
    assert (places <= 2.25 + 1e-2).all()
    assert abs(found[..., 1:]).max() < 1e-3, "nothing else varies"


@pytest.mark.parametrize("number", [-1, 8])
def test_an_unknown_fold_is_refused(tmp_path, number):
    with pytest.raises(ConfigError, match=rf"emoji has 8 folds, 0 to 7; got {number}"):
        build_emoji(tmp_path / "x", number)


# --- how it was made ------------------------------------------------------------------------


def test_another_package_than_the_pinned_one_is_refused(tmp_path):
    for name in sources.PACKAGES.values():
        (tmp_path / f"{name}.tgz").write_bytes(b"another")
    with pytest.raises(SystemExit, match=r"not that of @iconify-json/noto@1\.2\.9"):
        sources.fetch(tmp_path)

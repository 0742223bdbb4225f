"""The catalogue, the names in the code and the simulator's files speak of the same files."""

from __future__ import annotations

from cmg.official import names
from cmg.official.catalogue import FOLDERS, PARTS, group_of
from cmg.official.doctor.expected import OFFICIAL
from cmg.simulate.dialects import FILES

NO_FILES = {"SPLITS", "SENSES", "KNOWN", "AVE_TRAIN"}


def test_every_name_in_the_code_is_of_a_part():
    told = {k: v for k, v in vars(names).items() if k.isupper() and k not in NO_FILES}
    found = set()
    for value in told.values():
        several = value.values() if isinstance(value, dict) else value
        found.update([value] if isinstance(value, str) else several)
    assert len(found) == 37
    assert found <= set(PARTS)


def test_every_cut_is_named_as_in_the_release():
    assert names.cut("train_order.h5", 14) == "train_order_14class.h5"
    assert names.cut(names.AVE_TRAIN, 21) == "trainSet_21.txt"
    assert names.cut(names.UCF51, 17) == "ucf51checked_17.csv"
    cuts = [names.cut(name, k) for name in (names.UCF, names.VGGSOUND_UCF) for k in (8, 12)]
    assert set(cuts) <= set(PARTS)


def test_a_part_says_what_it_is_for_and_how_much_there_must_be():
    part = PARTS["AVVP_val_pd.csv"]
    assert (part.group, part.needed, part.limits) == ("AVVP", (), True)
    assert part.source == "data/ of github.com/YapengTian/AVVP-ECCV20"
    assert OFFICIAL.rows(*part.rows) == 649
    assert PARTS["VggsoundAVEL40kCategories.txt"].lines == 141
    assert PARTS["ave_avvp_order.h5"].needed == ("ave-avvp",)
    assert group_of("open-set cuts of UCF51") == "Open-set cuts"
    assert FOLDERS["ucf101all", "video"] == "ucf101all/feature/video"
    assert len(FOLDERS) == 15


def test_every_list_that_is_simulated_has_an_official_reader():
    assert len(FILES) == 24
    assert all(PARTS[name].read is not None for name in FILES)
    assert {file.of for file in FILES.values() if not file.needed} == {
        "more",
        "avvp_dense",
        "avsbench",
        "avsbench_prompts",
    }

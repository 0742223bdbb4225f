"""The catalogue: what the readers, the doctor, the simulator and the docs are told."""

import runpy
from pathlib import Path

from cmg.official.catalogue import (
    AVE_TRAIN,
    AVVP_WEAK,
    FOLDERS,
    LONGER,
    OFFICIAL_COUNTS,
    ORDERS,
    PARTS,
    UCF,
    UCF51,
    VGGSOUND_UCF,
    cut,
    group_of,
)
from cmg.official.lists.readers import READERS
from cmg.simulate.dialects import FILES, NEEDED


def test_every_cut_is_named_as_in_the_release():
    assert cut("train_order.h5", 14) == "train_order_14class.h5"
    assert cut(AVE_TRAIN, 21) == "trainSet_21.txt"
    assert cut(UCF51, 17) == "ucf51checked_17.csv"
    assert {cut(name, k) for name in (UCF, VGGSOUND_UCF) for k in (8, 12)} <= set(PARTS)


def test_a_part_says_what_it_is_for_and_how_much_there_must_be():
    part = PARTS["AVVP_val_pd.csv"]
    assert (part.group, part.needed, part.limits) == ("AVVP", (), True)
    assert part.source == "data/ of github.com/YapengTian/AVVP-ECCV20"
    assert (part.dialect, part.categories) == ("weak", "AVVP_Categories.txt")
    assert PARTS["VggsoundAVEL40kCategories.txt"].names == 141
    assert PARTS["ave_avvp_order.h5"].needed == ("ave-avvp",)
    assert group_of("open-set cuts of UCF51") == "Open-set cuts"
    assert FOLDERS["ucf101all", "video"] == "ucf101all/feature/video"
    assert len(FOLDERS) == 15


def test_rows_are_counted_by_set_and_split():
    assert OFFICIAL_COUNTS == {
        "vggsound40k": {"train": 24_515, "val": 8_171, "test": 8_115},
        "vggsound2ucf": {"train": 2_894, "val": 964, "test": 955},
        "ave": {"train": 3_339, "val": 402, "test": 402},
        "avvp": {"val": 649, "test": 1_200, "train": 10_000, "audio": 1_846, "visual": 1_661},
        "ave_avvp": {"audio": 1_085, "visual": 1_032},
        "ucf101": {"all": 2_003},
        "ucf101all": {"all": 6_831},
        "avsbench": {"train": 3_452, "val": 740, "test": 740},
    }


def test_files_of_a_kind_are_found_by_split_or_set():
    assert {split: f"{split}_order.h5" for split in ("train", "val", "test")} == ORDERS
    assert [*AVVP_WEAK] == ["val", "test", "train"]
    assert LONGER["vggsound179k"] == "video_name_vggsound179k_checked.csv"
    assert len(LONGER) == 3


def test_what_the_parts_name_is_there():
    for part in PARTS.values():
        assert not part.dialect or part.dialect in READERS
        assert not part.categories or PARTS[part.categories].names
        assert not part.folders or part.dialect
    keys = [part.key for part in PARTS.values() if part.key]
    assert len(keys) == len(set(keys))


def test_the_page_of_the_catalogue_is_current():
    root = Path(__file__).parents[2]
    tool = runpy.run_path(str(root / "tools/catalogue.py"))
    current = (root / "docs/catalogue.md").read_text(encoding="utf-8")
    assert current == tool["page"](), "write it again: python tools/catalogue.py"
    assert all(f"`{name}`" in current for name in PARTS)


def test_every_list_that_is_simulated_has_an_official_reader():
    assert len(FILES) == 24
    assert all(part.dialect for part in FILES.values())
    assert {part.key.partition(".")[0] for name, part in FILES.items() if name not in NEEDED} == {
        "more",
        "avvp_dense",
        "avsbench",
        "avsbench_prompts",
    }

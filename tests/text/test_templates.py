"""Sentences from labels."""

import pytest

from cmg.errors import DataError
from cmg.text.prompts import read_prompts
from cmg.text.templates import prompts_csv, prompts_of, read_label_list, read_templates

LABELS = ["dog", "playing_violin, fiddle", 'say "hello"', "chainsaw"]


def test_the_own_templates_give_about_ten_words():
    templates = read_templates()
    words = [len(t.replace("{label}", "one two").split()) for t in templates]
    assert 9 <= sum(words) / len(words) <= 13
    assert len(set(templates)) == len(templates) >= 5


def test_a_label_has_its_sentence_whatever_others_there_are():
    templates = read_templates()
    alone = prompts_of(["dog"], templates)
    assert prompts_of(LABELS, templates)["dog"] == alone["dog"]
    assert "dog" in alone["dog"]
    assert "playing violin, fiddle" in prompts_of(LABELS, templates)["playing_violin, fiddle"]


def test_what_is_written_is_read_back_in_the_official_dialect(tmp_path):
    prompts = prompts_of(LABELS, read_templates())
    path = tmp_path / "prompts.csv"
    path.write_bytes(prompts_csv(prompts))
    assert path.read_text().startswith("label,prompt\n")
    assert read_prompts(path) == prompts


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (read_templates, "", "no sentence"),
        (read_templates, "# remark\n", "no sentence"),
        (
            read_templates,
            "A {label} here.\nNothing.\n",
            "line 2: 'Nothing.' must hold {label} once",
        ),
        (read_templates, "{label} and {label}\n", "line 1"),
        (read_label_list, "\n\n", "no label"),
        (read_label_list, "a\nb\na\n", "line 3: 'a'"),
    ],
)
def test_bad_files_are_refused_by_line(tmp_path, read, text, said):
    path = tmp_path / "t.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read(path)


def test_the_command_writes_prompts_and_a_copy_of_the_templates(cmg, tmp_path):
    labels, out = tmp_path / "labels.txt", tmp_path / "prompts.csv"
    labels.write_text("dog\nrain\n")
    mine = tmp_path / "mine.txt"
    said = cmg("data", "prompts", labels, "--out", out, "--copy-templates", mine)
    assert said.code == 0, said.err
    assert set(read_prompts(out)) == {"dog", "rain"}
    mine.write_text("Look at the {label}!\n")
    before = out.read_bytes()
    refused = cmg("data", "prompts", labels, "--out", out, "--templates", mine)
    assert refused.code == 2
    assert "exists" in refused.err
    assert out.read_bytes() == before
    said = cmg("data", "prompts", labels, "--out", out, "--templates", mine, "--overwrite")
    assert said.code == 0
    assert read_prompts(out)["rain"] == "Look at the rain!"

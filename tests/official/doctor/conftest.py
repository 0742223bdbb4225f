"""One simulated folder for all tests; every test breaks a copy of it in one place."""

import io
import os
import pickle
import re
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from cmg.official.doctor import check_root

LINKED = {"zip", "visual_frames", "gt_masks"}


@pytest.fixture(scope="session")
def good(simulated):
    """A sound folder."""
    return simulated


@pytest.fixture(scope="session")
def usual(good):
    """What the doctor says of the sound folder, complete parts aside."""
    return said(check_root(good, deep=2))


def said(diagnosis):
    """(part, status) of every finding that is not `complete`."""
    return {(f.part, f.status.value) for f in diagnosis.findings if f.status != "complete"}


class Hostile:
    """An object whose pickle runs a command."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.system, (f"touch {self.folder.root}/owned",)


class Folder:
    """A copy to break. Folders of zips and pictures are links until one of their files changes."""

    def __init__(self, root, good):
        self.root = root
        shutil.copytree(good, root, ignore=lambda _, names: LINKED & set(names))
        for place, folders, _ in os.walk(good):
            for name in LINKED.intersection(folders):
                folders.remove(name)
                link = root / os.path.relpath(place, good) / name
                link.symlink_to(os.path.join(place, name))

    def files(self, name):
        """Every copy of a file."""
        found = [p for p in self.root.rglob(name) if p.is_file()]
        assert found, name
        return found

    def edit(self, name, change):
        """Change the text of every copy of a file, as a list of lines without their ends."""
        for path in self.files(name):
            lines = change(path.read_text().splitlines())
            path.write_text("\n".join(lines) + "\n")

    def remove(self, name):
        for path in self.files(name):
            path.unlink()

    def h5(self, name, change, key="avadataset", new_key=None):
        """Replace the data set of an h5 file by what `change` makes of it."""
        (path,) = self.files(name)
        with h5py.File(path) as file:
            values = file[key][()]
        with h5py.File(path, "w") as file:
            file[new_key or key] = change(values)

    def link(self, part):
        """The folder of zips of a part."""
        data_set, feature = part.split("/feature/")
        (found,) = (
            p
            for p in self.root.rglob("zip")
            if feature in p.parts and data_set in [name.lower() for name in p.parts]
        )
        return found

    def zips(self, part):
        """The files in a folder of zips, which now has files of its own."""
        link = self.link(part)
        if link.is_symlink():
            origin = link.resolve()
            link.unlink()
            shutil.copytree(origin, link, copy_function=os.link)
        return sorted(link.iterdir())

    def pictures(self, kind):
        """The folder of AVSBench's frames or masks, which now has files of its own."""
        (link,) = [path for path in self.root.rglob(kind) if path.is_symlink()]
        origin = link.resolve()
        link.unlink()
        shutil.copytree(origin, link)
        return link

    def shown(self, kind, split="val"):
        """Pictures of one of the two clips that are opened, in a folder that may be changed."""
        rows = self.files("s4_meta_data.csv")[0].read_text().splitlines()[1:]
        name, _, category, its = rows[{"train": 0, "val": 69}[split]].split(",")
        assert its == split
        return sorted((self.pictures(kind) / split / category / name).iterdir())

    def heard(self, split="val"):
        """Zips of AVSBench's audio of a split, in a folder that may be changed."""
        (link,) = self.root.rglob(f"feature/audio/{split}/zip")
        origin = link.resolve()
        link.unlink()
        shutil.copytree(origin, link)
        return sorted(link.rglob("*.zip"))

    def rezip(self, part, change, in_list=False):
        """Replace the arrays in the zips of a folder, or only those that two read clips are of."""
        paths = self.zips(part)
        if in_list:
            lines = self.files("vggsound-avel40k.csv")[0].read_text().splitlines()[1:]
            stems = [lines[i].split(",")[-2] for i in (0, len(lines) // 2)]
            paths = [path for path in paths if path.stem in stems]
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                array = pickle.loads(archive.read(archive.namelist()[0]))
            self.write(path, pickle.dumps(change(np.array(array))))

    def write(self, path, content, name="clip.pkl", **more):
        """Put a zip of the given members in the place of another."""
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            for member, text in {name: content, **more}.items():
                archive.writestr(member, text)
        path.unlink()  # It may be a hard link to the sound folder's.
        path.write_bytes(data.getvalue())


def lines(name, change):
    """Change the lines of every copy of a file."""
    return lambda folder: folder.edit(name, change)


def swap(name, old, new, line=None):
    """Put `new` for `old` in every line, or in one."""

    def change(told):
        some = range(len(told)) if line is None else [line]
        assert any(old in told[i] for i in some)
        return [text.replace(old, new) if i in some else text for i, text in enumerate(told)]

    return lines(name, change)


def gone(name):
    return lambda folder: folder.remove(name)


def h5(name, change, key="avadataset", new_key=None):
    return lambda folder: folder.h5(name, change, key, new_key)


@pytest.fixture
def folder(good, tmp_path):
    """A copy of the sound folder."""
    return Folder(tmp_path / "data", good)


@pytest.fixture
def new(folder, usual):
    """What the doctor says beyond the usual of the copy, all clips read, and the diagnosis."""

    def examine(deep=2, **options):
        diagnosis = check_root(folder.root, deep=deep, **options)
        return said(diagnosis) - usual, diagnosis

    return examine


@pytest.fixture
def check(folder, new):
    """Make an edit, and compare what is new: a status of one part, a set of them, or no part.

    What is `told` is a regular expression for the text of the findings of that status.
    """

    def examine(edit, part, status, told):
        edit(folder)
        found, diagnosis = new()
        if isinstance(part, set):  # several things are said
            assert found == part
            assert diagnosis.sound == all(status in {"warning", "note"} for _, status in part)
            return
        assert found == ({(part, status)} if part else set())
        assert diagnosis.sound == (status in {"warning", "note", ""})
        said = [f for f in diagnosis.findings if (f.part, f.status) == (part, status) or not part]
        assert diagnosis.sound or all(f.remedy for f in said)
        text = " ".join(f"{f.found} {f.expected} {f.detail} {f.remedy}" for f in said)
        assert re.search(told, text, re.DOTALL), text
        assert not (folder.root / "owned").exists()

    return examine

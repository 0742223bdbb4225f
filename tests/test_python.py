"""The Python side: what `cmg` lists, and that every door takes strings and paths of any kind."""

import ast
import importlib
import inspect
import pkgutil
import pydoc
import re
from pathlib import Path

import pytest
from tests.tiny import TINY

import cmg
from cmg.errors import CmgError

ROOT = Path(__file__).parents[1]


def test_what_there_is_can_be_listed_and_is_known_to_type_checkers():
    listed = {name for name in dir(cmg) if not name.startswith("_")}
    assert listed | {"__version__"} == set(cmg.__all__) <= set(dir(cmg))
    shown = pydoc.render_doc(cmg, renderer=pydoc.plaintext)
    for name in cmg._FROM:
        assert getattr(cmg, name) is not None
        assert name in shown
    tree = ast.parse(Path(cmg.__file__).read_text())
    imports = next(node for node in tree.body if isinstance(node, ast.If)).body
    seen = {a.asname or a.name: node.module for node in imports for a in node.names}
    assert seen == cmg._FROM
    assert {*seen, "__version__"} == set(cmg.__all__)


def public():
    """(module, name) of all that the Python of README and docs imports from modules of cmg."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    code = [b for p in pages for b in re.findall(r"```python\n(.*?)```", p.read_text(), re.DOTALL)]
    return imported(ast.parse("\n".join(code)))


def imported(tree):
    """(module, name) of every import from a module of cmg."""
    return {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "cmg"
        for alias in node.names
    }


def test_what_pages_import_is_there():
    assert len(public()) > 30
    for module, name in public():
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


def test_projects_import_what_pages_say_is_public():
    files = [
        p for p in (ROOT / "projects").rglob("*.py") if "tests" not in p.relative_to(ROOT).parts
    ]
    assert len(files) > 5
    hidden = {path.name: imported(ast.parse(path.read_text())) - public() for path in files}
    assert {name: found for name, found in hidden.items() if found} == {}


def test_an_unknown_name_is_answered_by_the_nearest():
    with pytest.raises(AttributeError, match=r"no attribute 'pretrian' \(did you mean 'pretrain'"):
        cmg.pretrian  # noqa: B018 - asking is the test
    assert not hasattr(cmg, "__wrapped__")


class Place:
    """A path that is none of pathlib's."""

    def __init__(self, path):
        self.path = str(path)

    def __fspath__(self):
        return self.path


TOLD = {
    "cmg.interop.export": ["OfficialCheckpoints", "save_official"],
    "cmg.interop.official": ["read_official"],
    "cmg.report.run": ["write_report"],
    "cmg.text.encoder": ["TextEncoder", "load_text_encoder"],
    "cmg.text.prompts": ["embed_prompts", "read_cnt", "read_prompts"],
    "cmg.text.vectors": ["read_vectors", "write_vectors"],
}
"""Doors of rooms that export nothing."""


def doors():
    """Exported functions, and methods of exported classes, by name, with their parameters."""
    packages = [m.name for m in pkgutil.walk_packages(cmg.__path__, "cmg.") if m.ispkg]
    for package in ("cmg", *packages, *TOLD):
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", TOLD.get(package, ())):
            found = getattr(module, name)
            members = inspect.getmembers(found) if inspect.isclass(found) else [("", found)]
            for part, function in members:
                own = part == "__init__" or not part.startswith("_")
                ours = str(getattr(function, "__module__", "")).startswith("cmg.")
                if own and ours and (inspect.isfunction(function) or inspect.ismethod(function)):
                    yield f"{found.__module__}.{function.__qualname__}", function


RECORDS = {"Clips", "Diagnosis", "SimulateOptions"}
"""Classes made by a door, whose own fields are paths or are converted there."""

ARGUMENTS = {
    "cmg.clips.open_clips": [{"where": "none"}],
    "cmg.config.load.load_config": [{"name_or_path": "file.yaml"}],
    "cmg.data.arrays.import_arrays": [{"manifest": "none.csv", "out": "out"}],
    "cmg.data.digits.build.build_digits": [{"path": "full"}],
    "cmg.data.emoji.build.build_emoji": [{"path": "full"}],
    "cmg.data.watch.build.build_watch": [{"path": "full"}],
    "cmg.data.inmemory.write_store": [{"path": "full", "features": {}}],
    "cmg.data.store.open_store": [{"where": "none"}],
    "cmg.data.verify.verify_store": [{"path": "none"}],
    "cmg.data.writer.StoreWriter.__init__": [],
    "cmg.golden.verify.verify_golden": [{"folder": "none"}],
    "cmg.interop.export.OfficialCheckpoints.__init__": [],
    "cmg.interop.export.save_official": [{"path": "file.txt/in", "content": {}}],
    "cmg.interop.official.read_official": [{"path": "none.pt"}],
    "cmg.models.unified.Pretrained.from_pretrained": [{"pretrained_model_name_or_path": "full"}],
    "cmg.models.unified.Pretrained.save_pretrained": [],
    "cmg.models.unified.UnifiedModel.save": [],
    "cmg.official.doctor.check.check_root": [{"root": "none"}, {"root": "full", "lists": "none"}],
    "cmg.recipes.pretrain.pretrain": [{"config": "file.yaml", "run": "full"}],
    "cmg.recipes.evaluate.probe": [
        {"model": "none", "store": "none", "train_on": "", "test_on": ""}
    ],
    "cmg.report.run.write_report": [{"folder": "none"}, {"folder": "full", "out": "out"}],
    "cmg.sharing.export.export": [{"model": "none", "where": "out"}],
    "cmg.report.transfer.TransferTable.plot": [],
    "cmg.report.transfer.TransferTable.to_csv": [],
    "cmg.report.transfer.TransferTable.to_latex": [],
    "cmg.report.transfer.transfer_table": [{"model": "none"}, {"model": "full", "store": "none"}],
    "cmg.simulate.simulation.simulate": [],
    "cmg.text.encoder.TextEncoder.open": [{"name": "/none"}],
    "cmg.text.encoder.load_text_encoder": [{"root": "none"}],
    "cmg.text.prompts.embed_prompts": [],
    "cmg.text.prompts.read_cnt": [{"path": "none"}],
    "cmg.text.prompts.read_prompts": [{"path": "none"}],
    "cmg.text.vectors.read_vectors": [{"path": "none"}],
    "cmg.text.vectors.write_vectors": [],
    "cmg.runs.checkpoint.load_model": [{"path": "none"}, {"path": "full"}],
}
"""Calls that fail for a reason of the path's; none where a call needs more, or much time."""

PATHS = {"path", "run", "out", "folder", "root", "where", "manifest", "lists", "name"}
PATHS |= {"config", "name_or_path", "cache_dir", "model", "store"}
PATHS |= {"pretrained_model_name_or_path"}


def test_every_exported_function_says_that_it_takes_any_path():
    found = {}
    for name, function in doors():
        if name.split(".")[-2] in RECORDS and not name.endswith("open"):
            continue
        told = [str(p.annotation) for p in inspect.signature(function).parameters.values()]
        assert not any("Path" in t and "StrPath" not in t for t in told), (name, told)
        if any("StrPath" in t for t in told):
            found[name] = function
    assert sorted(found) == sorted(ARGUMENTS), "say how to call what is new"


@pytest.mark.parametrize("name", [name for name, calls in ARGUMENTS.items() if calls])
def test_a_string_and_every_path_are_the_same(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    for file in ("full/file", "file.txt", "file.yaml"):
        (tmp_path / file).write_text("training: {epoch: 3}")
    function = dict(doors())[name]
    for call in ARGUMENTS[name]:
        said = set()
        for kind in (str, Path, Place):
            given = {k: kind(v) if k in PATHS else v for k, v in call.items()}
            try:
                answer = function(**given)
            except CmgError as error:
                answer = f"{type(error).__name__}: {error}"
            assert Place.__name__ not in str(answer)
            said.add(str(answer))
        assert len(said) == 1, said


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cmg.pretrain({"training": {"seed": 1}}), r"cmg\.load_config\(.*; got a dict"),
        (lambda: cmg.load_config(3), "a configuration is a preset, .*; got a int"),
        (lambda: cmg.load(None), "a model is named by .*; got a NoneType"),
        (lambda: cmg.probe([], "digits", "audio", "video"), "a model is named by .*; got a list"),
        (lambda: cmg.open_clips(None), "a store is named by .*; got a NoneType"),
        (lambda: cmg.load("long" * 90), "does not exist"),
        (lambda: cmg.open_clips("long" * 90), "no store at"),
    ],
)
def test_what_is_no_path_is_told_what_to_give(call, message):
    with pytest.raises(CmgError, match=message):
        call()


def test_pretrain_and_probe_take_names_and_paths(tmp_path):
    store = cmg.write_store(
        str(tmp_path / "st"),
        {m: [[[i % 2.0], [i % 2.0]] for i in range(8)] for m in ("audio", "video")},
        split=["train"] * 4 + ["test"] * 4,
        labels={"kind": [0, 1] * 4},
    )
    config = cmg.load_config("own-data", [*TINY, f"data.store={store.path}", "data.batch_size=4"])
    (tmp_path / "mine.yaml").write_text(f"data: {{store: {store.path}, batch_size: 2}}\n")
    with pytest.warns(UserWarning, match="the codebook of 8 codes has collapsed") as said:
        assert cmg.pretrain(config, str(tmp_path / "run")).position.step == 1
    assert said[0].filename == __file__
    assert cmg.load(str(tmp_path / "run")).modalities.keys() == {"audio", "video"}
    options = config.probe.model_copy(update={"seeds": 1})
    wanted = cmg.probe(cmg.load(tmp_path / "run"), store, "audio", "video", options=options)
    for kind in (str, Path, Place):
        given = (kind(tmp_path / "run"), kind(store.path))
        assert cmg.probe(*given, "audio", "video", options=options) == wanted
    with pytest.raises(CmgError, match="no preset named 'digist'"):
        cmg.pretrain("digist")
    with pytest.raises(CmgError, match=r"--resume \(in Python: resume=True\) or choose another"):
        cmg.pretrain(config, tmp_path / "run")
    with pytest.raises(CmgError, match=r"data\.train_split=trian: .*did you mean 'train'"):
        cmg.pretrain(cmg.load_config(None, [f"data={store.path}", "data.train_split=trian"]))
    with pytest.raises(CmgError, match="another configuration"):
        cmg.pretrain(tmp_path / "mine.yaml", Place(tmp_path / "run"), resume=True)

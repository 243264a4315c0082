"""A file's name says which file is meant, and a class's name which class, without the folder."""

import ast
from collections import Counter
from pathlib import Path

import siked_ray

ROOT = Path(siked_ray.__file__).parent


def test_no_two_files_have_the_same_name() -> None:
    """But for the settings, whose sections are called like what they set."""
    files = [path.relative_to(ROOT) for path in ROOT.rglob("*.py")]
    counted = Counter(path.name for path in files if path.name != "__init__.py" and path.parts[0] != "settings")
    assert len(counted) > 150
    assert [name for name, count in counted.items() if count > 1] == []


def test_no_two_classes_have_the_same_name() -> None:
    """But for the settings of recipes, which are called so by convention."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")}
    classes = (
        (path.parent.name, node.name)
        for path, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    )
    counted = Counter(name for room, name in classes if (room, name) != ("recipes", "Settings"))
    assert not {name for name, count in counted.items() if count > 1 and not name.startswith("_")}


def test_every_file_fits_on_a_few_screens() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.rglob("*.py")}
    assert {path.name: length for path, length in lengths.items() if length > 250} == {}

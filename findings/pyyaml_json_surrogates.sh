#!/bin/sh
# Best guess, written down before running: JSON is a part of YAML 1.2, and what json.dumps writes
# (ASCII, one line) is also valid for PyYAML, which speaks 1.1; so yaml.safe_load(json.dumps(x)) == x
# for every text x, and a JSON text is a safe way to hand any name to a YAML reader.
#
# Seen: a character beyond U+FFFF, which json.dumps writes as the escapes of a UTF-16 pair, comes back
# as two characters (lone surrogates). The text is longer, unequal, and cannot be encoded in UTF-8: no
# error until a file is opened or written by that name. ruamel.yaml, which speaks 1.2, does the same.
# With ensure_ascii=False the guess holds.
#
# Why it matters: captions, class names and folders of collected clips hold such characters (emoji,
# rare ideographs), and sweeps hand them from JSON to YAML configurations as here.
#
# What cmg does: values never pass from JSON to YAML as text; names on the command line are the text
# itself (tests/test_values.py::test_values_of_a_study_are_typed_by_their_place).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'pyyaml==6.0.3' 'ruamel.yaml==0.18.15'
"$folder/venv/bin/python" - <<'PYTHON'
import io
import json
from importlib.metadata import version

import yaml
from ruamel.yaml import YAML

name = "dog \N{DOG FACE} barks"
text = json.dumps(name)
print("pyyaml", version("pyyaml"), "ruamel.yaml", version("ruamel.yaml"))
print("JSON:", text)
assert json.loads(text) == name
pair = "dog \ud83d\udc36 barks"
for library, read in (("pyyaml", yaml.safe_load), ("ruamel.yaml", YAML(typ="safe", pure=True).load)):
    found = read(io.StringIO(text))
    print(f"{library}: {found!a}, {len(found)} characters instead of {len(name)}")
    assert found == pair != name, library
    try:
        found.encode()
    except UnicodeEncodeError as error:
        print("  encode:", error)
    else:
        raise SystemExit("it can be encoded")
    assert read(io.StringIO(json.dumps(name, ensure_ascii=False))) == name, library
PYTHON

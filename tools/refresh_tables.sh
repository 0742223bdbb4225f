#!/bin/sh
# Put the tables of finished demos into docs/results, docs/digits.md and README.md:
#   sh tools/refresh_tables.sh runs/demo/results.json runs/published/results.json runs/demo/watch/results.json
# Those of finished studies, in docs/evidence.md: python tools/evidence.py SET=FOLDER...
set -eu
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] && python=.venv/bin/python || python=${PYTHON:-python3}
for pair in "default:$1" "published:$2" "watch:$3"; do
  name=${pair%%:*}
  file=${pair#*:}
  [ "$file" -ef "docs/results/demo-$name.json" ] || cp "$file" "docs/results/demo-$name.json"
done
for name in default published; do
  "$python" tools/demo_table.py "docs/results/demo-$name.json" > "docs/results/demo-$name.md"
done
"$python" tools/demo_table.py --sets digits=docs/results/demo-default.json watch=docs/results/demo-watch.json \
  > docs/results/demo-sets.md
"$python" tools/demo_table.py --into README.md demo-sets docs/results/demo-sets.md
"$python" tools/demo_table.py --into docs/digits.md default docs/results/demo-default.md
"$python" tools/demo_table.py --into docs/digits.md published docs/results/demo-published.md

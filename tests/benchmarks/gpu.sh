#!/usr/bin/env bash
# All that is measured on a GPU, in under nine minutes, into one table: $OUT/gpu.md (out/gpu.md); see gpu.py.
#
#     OUT=folder PYTHON=python3 tests/benchmarks/gpu.sh [--dry-run] [--only NAME]
#
# Runs in a checkout, with nothing of it installed and no network. PYTHON is one that has torch; by default that of
# .venv, or else python3. WHEELS=folder: packages that it lacks, as wheels.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[[ -n ${PYTHON:-} || -x $python ]] || python=python3
beside=$(mktemp -d)
trap 'rm -rf "$beside"' EXIT
if [[ -n ${WHEELS:-} ]]; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$beside" "$WHEELS"/*.whl
fi
export PYTHONPATH=$root:$beside${PYTHONPATH:+:$PYTHONPATH}
# `saformer` asks Python for its version, which an installation would have written down.
if ! "$python" -c 'from importlib.metadata import version; version("saformer")' 2>/dev/null; then
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")
    mkdir "$beside/saformer-$version.dist-info"
    printf 'Metadata-Version: 2.1\nName: saformer\nVersion: %s\n' "$version" >"$beside/saformer-$version.dist-info/METADATA"
fi
"$python" "$root/tests/benchmarks/gpu.py" "$@"

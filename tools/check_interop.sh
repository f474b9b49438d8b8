#!/bin/sh
# Our conversions in the programs they are for, and their checkpoints here: transformers, timm, PyTorch
# and onnxruntime against the command, on small models of every kind. Sets up its own Python
# environment under build/interop (a CPU PyTorch is enough; about 1 GB from PyPI), prints a table of
# relative L2 differences, and fails when one of float32 is above 1e-5. Not part of the tests.
#   sh tools/check_interop.sh [MAE]
set -eu
cd "$(dirname "$0")/.."
mae=${1:-build/mae}
here=build/interop
[ -x "$mae" ] || { echo "check_interop: $mae is not there; run make first" >&2; exit 2; }
command -v python3 >/dev/null || { echo "check_interop: python3 is needed" >&2; exit 2; }
if [ -n "${MAE_INTEROP_PYTHON:-}" ]; then
    python=$MAE_INTEROP_PYTHON
else
    python=$here/venv/bin/python
    if [ ! -x "$python" ]; then
        echo "setting up $here/venv" >&2
        mkdir -p "$here"
        python3 -m venv "$here/venv"
        "$here/venv/bin/pip" install --quiet torch transformers timm safetensors onnx onnxruntime numpy pillow
    fi
fi
rm -rf "$here/work"
mkdir -p "$here/work"
exec "$python" tools/check_interop.py "$mae" "$here/work"

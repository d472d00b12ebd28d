#!/usr/bin/env bash
# On a machine with a CUDA GPU and personlab installed: do both engines find the same people, and how long does the one
# on the GPU take? How near does training come to what the GPU can do? Writes benchmarks/results/decode_gpu.json and
# gpu_train.json and rewrites the tables. PYTHON=... picks the interpreter, PERSONLAB_SHARED=... names the folder that
# holds the golden scenes, DATA=... a data set in COCO's layout to train on as well. What fails does not keep the rest from
# being measured; the exit code is the highest of all.
set -uo pipefail
worst=0
note() { (($1 > worst)) && worst=$1; }
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
python=${PYTHON:-python}

"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' \
  || { echo "benchmarks/gpu.sh: $python sees no CUDA GPU" >&2; exit 2; }
"$python" -m pytest -m gpu -rs tests/decoding tests/cli/test_bench.py || note $?
"$python" -m personlab.cli.main bench decode --device cuda --batch 8 --size '[1001, 1401]' --people 30 --stride 8 \
  --engine torch --json benchmarks/results/decode_gpu.json || note $?
"$python" -m benchmarks.gpu_train ${DATA:+--data-root "$DATA"} || note $?
"$python" -m benchmarks.report || note $?
exit "$worst"

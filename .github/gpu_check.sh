#!/usr/bin/env bash
# What the GPU lane runs, in at most 8 minutes on one card: the tests marked gpu, then a few lectures on the CPU and on
# the card under nbval, and a table of their seconds, which is also left in build/gpu_check.md.
#
#   .github/gpu_check.sh                                  on a machine with a card
#   .github/gpu_check.sh lectures/07_convolutions_in_3d.ipynb
#   .github/gpu_check.sh --rehearse [lecture…]            the same steps without a card: the CPU stands in for it
#
# PYTHON names the interpreter (default: .venv/bin/python), GPU_CHECK_SECONDS the limit (default: 480).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
limit=${GPU_CHECK_SECONDS:-480}
device=cuda
if [ "${1:-}" = --rehearse ]; then
  device=cpu
  shift
fi
lectures=("$@")
if [ ${#lectures[@]} -eq 0 ]; then
  lectures=(lectures/03_mask_rcnn_roi_align.ipynb lectures/08_unet_3d_sparse.ipynb)
fi

stop() {
  echo "gpu_check: $1" >&2
  exit "${2:-1}"
}
[ -x "$python" ] || command -v "$python" >/dev/null || stop "there is no $python: run 'python3 course.py lab --version' first, or set PYTHON."
for lecture in "${lectures[@]}"; do
  [ -f "$lecture" ] || stop "there is no lecture $lecture."
done
if [ $device = cuda ] && ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  stop "PyTorch sees no GPU here, so nothing was checked. On a machine without one: .github/gpu_check.sh --rehearse" 2
fi

# The seconds of one command, in $seconds; whatever it does, the whole ends at the limit.
begin=$SECONDS
timed() {
  local start=$SECONDS left=$((limit - (SECONDS - begin))) status=0
  [ "$left" -gt 0 ] || stop "stopped after $limit s, the limit, before: $*"
  echo "--- $*"
  timeout --kill-after=10 "$left" "$@" || status=$?
  seconds=$((SECONDS - start))
  [ $status -ne 124 ] || stop "stopped after $limit s, the limit, in: $*"
  [ $status -eq 0 ] || stop "failed: $*"
}

if [ $device = cuda ]; then
  timed env COURSEKIT_DEVICE=cuda "$python" -m pytest tests -m gpu -p no:cacheprovider
else
  timed "$python" -m pytest tests/test_gpu.py -p no:cacheprovider
fi
tests=$seconds

rows=()
for lecture in "${lectures[@]}"; do
  taken=()
  for where in cpu $device; do
    timed env COURSEKIT_DEVICE=$where "$python" -m pytest --nbval-lax --nbval-current-env -p no:cacheprovider "$lecture"
    taken+=("$seconds")
  done
  rows+=("| $(basename "$lecture" .ipynb) | ${taken[0]} | ${taken[1]} |")
done

mkdir -p build
{
  "$python" - "$device" <<'P'
import platform
import sys

import torch

where = sys.argv[1]
if where == "cuda":
    card = torch.cuda.get_device_properties(0)
    print(f"{card.name}, {card.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}, ", end="")
else:
    print("rehearsed without a card, ", end="")
print(f"PyTorch {torch.__version__}, Python {platform.python_version()}")
P
  echo
  echo "| lecture | s on the CPU | s on ${device/cuda/the card} |"
  echo "|---|--:|--:|"
  printf '%s\n' "${rows[@]}"
  echo
  echo "Tests: $tests s. All in all: $((SECONDS - begin)) s of $limit s."
} | tee build/gpu_check.md
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat build/gpu_check.md >>"$GITHUB_STEP_SUMMARY"

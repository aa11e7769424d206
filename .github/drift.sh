#!/usr/bin/env bash
# One lane of drift.yml, on any Linux: installs the course in an environment of its own, then runs tests and lectures.
#
#   .github/drift.sh newest|candidate|oldest|colab [FOLDER for the environment]
#   .github/drift.sh colab-python       the line version=… for the Python that Colab has
#
# Colab's packages are what Google publishes of its runtime (github.com/googlecolab/backend-info). Colab has neither
# JupyterLab nor nbgrader, and old IPython and widgets, so that its lane runs the lectures alone.
set -euo pipefail
cd "$(dirname "$0")/.."
colab=https://raw.githubusercontent.com/googlecolab/backend-info/main
lane=${1:?say which lane: newest, candidate, oldest or colab}
if [ "$lane" = colab-python ]; then
  curl --fail --silent --show-error "$colab/os-info.txt" | sed -n 's/^Python /version=/p'
  exit
fi
if [[ ! $lane =~ ^(newest|candidate|oldest|colab)$ ]]; then
  echo "drift: there is no lane $lane: say newest, candidate, oldest or colab." >&2
  exit 2
fi
environment=${2:-$(mktemp -d)}
python3 -m venv "$environment"
export PATH="$environment/bin:$PATH" # nbgrader calls alembic by name
pip() { python -m pip install --quiet "$@"; }
tests=(tests --ignore=tests/grading)

case $lane in
  newest) pip -e '.[lab,grade,test,docs]' ;;
  candidate)
    pip --pre torch torchvision --index-url https://download.pytorch.org/whl/test/cpu
    pip -e '.[lab,grade,test,docs]'
    ;;
  oldest) # "torch>=2.9" → torch==2.9.*
    mapfile -t bounds < <(sed -n 's/^  "\(torch\|torchvision\)>=\(.*\)",$/\1==\2.*/p' pyproject.toml)
    pip "${bounds[@]}" -e '.[lab,grade,test,docs]'
    ;;
  colab)
    # Without what lies on Colab's own disk, and PyTorch as it is for a CPU; the tools that Colab lacks come as they are.
    curl --fail --silent --show-error "$colab/pip-freeze.txt" | grep == | sed 's/+cu[0-9]*$//' >"$environment/colab.txt"
    pip --constraint "$environment/colab.txt" --extra-index-url https://download.pytorch.org/whl/cpu \
      -e '.[test]' ipykernel ipywidgets pandas pycocotools ipyniivue
    tests=()
    ;;
esac
python -c 'import sys, torch; print("Python", sys.version.split()[0], "PyTorch", torch.__version__)'
python -m coursekit data fetch all
export OMP_NUM_THREADS=1
[ ${#tests[@]} -eq 0 ] || python -m pytest "${tests[@]}" -m "not browser" -n auto --dist loadfile
python -m pytest lectures --nbval-lax --nbval-current-env -n auto --dist loadfile

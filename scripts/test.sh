#!/usr/bin/env bash
# Everything that CI runs, on a fresh machine: packages, linters, types, import contracts, tests, a real ComfyUI and a browser.
# bash scripts/test.sh [--quick] [pytest arguments]     --quick leaves out the ComfyUI and browser tests
# Real clips: GGTALKER_MEDIA (default ../shared/media). GGTALKER_SCREENSHOTS names a folder that keeps the browser's pictures.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/env.sh
ensure_venv dev
MARKS=()
if [ "${1:-}" = --quick ]; then
  shift; MARKS=(-m "not comfyui and not browser")
else
  ensure_comfyui
  ensure_browser || MARKS=(-m "not browser")
fi
say "ruff"; "$PY" -m ruff check . ; "$PY" -m ruff format --check .
say "pyright"; "$PY" -m pyright --pythonpath "$PY"
say "import contracts"; PYTHONPATH=. "$VENV/bin/lint-imports"
say "pytest"; PYTHONPATH= "$PY" -m pytest ${MARKS[@]+"${MARKS[@]}"} "$@"
if [ "${#MARKS[@]}" -gt 0 ]; then printf '\033[1;31m!!! Not everything was tested: %s\033[0m\n' "${MARKS[1]}" >&2; fi

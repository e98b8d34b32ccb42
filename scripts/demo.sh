#!/usr/bin/env bash
# A clip and a voice in, a talking video out, on a fresh machine: packages, a local ComfyUI, workflows/api/talking_head.json.
# bash scripts/demo.sh [VIDEO AUDIO] [--preset draft|standard|full] [--out DIR] [--consent TEXT]
# Without VIDEO and AUDIO: the shipped synthetic sample. PYTHON names the interpreter, COMFYUI_DIR an existing ComfyUI tree.
set -euo pipefail
source "$(dirname "$0")/env.sh"
ensure_venv
ensure_comfyui
PYTHONPATH= exec "$PY" "$ROOT/scripts/demo.py" --comfy "$COMFY" "$@"

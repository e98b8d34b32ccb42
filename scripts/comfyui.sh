#!/usr/bin/env bash
# The local ComfyUI with this pack, for a person: bash scripts/comfyui.sh [arguments of ComfyUI, e.g. --port 8200]
# Inputs, outputs, models and settings live in .comfyui/home and stay. COMFYUI_DIR names an existing ComfyUI tree.
set -euo pipefail
source "$(dirname "$0")/env.sh"
ensure_venv
ensure_comfyui
HOME_DIR="$ROOT/.comfyui/home"
mkdir -p "$HOME_DIR"/{input,output,temp,user,models,custom_nodes}
ln -sfn "$ROOT" "$HOME_DIR/custom_nodes/ggtalker"
[ ! -d "$ROOT/ggtalker_core/assets/sample" ] || cp -n "$ROOT"/ggtalker_core/assets/sample/sample_* "$HOME_DIR/input/"
CPU=--cpu
if "$PY" -c 'import torch, sys; sys.exit(not (torch.cuda.is_available() or torch.backends.mps.is_available()))'; then CPU=; fi
say "ComfyUI is starting; open the address it prints (http://127.0.0.1:8188 unless you choose another --port)"
cd "$HOME_DIR"
PYTHONPATH="$ROOT/.comfyui/site" exec "$PY" "$COMFY/main.py" $CPU --listen 127.0.0.1 --base-directory "$HOME_DIR" \
  --database-url "sqlite:///$HOME_DIR/user/comfyui.db" "$@"

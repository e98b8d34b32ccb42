"""Starts a ComfyUI server with this pack on loopback, in folders of its own, and always stops it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACK_NAME = "ggtalker"


class ServerError(RuntimeError):
    """The server did not start, or died; the text holds the end of its log."""


class ComfyServer:
    """A context manager: on entry the server answers at `url`, on exit its whole process group is gone."""

    def __init__(self, comfy: Path, base: Path, *, port: int | None = None, arguments: tuple[str, ...] = ()) -> None:
        """`comfy`: a ComfyUI tree. `base`: holds input, output, temp, user, models, custom_nodes; made if missing."""
        self.comfy, self.base = comfy.resolve(), base.resolve()
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.base / "server.log"
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ComfyServer:
        """Link the pack, start, wait until the server answers."""
        for name in ("input", "output", "temp", "user", "models", "custom_nodes"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        link = self.base / "custom_nodes" / PACK_NAME
        if link.is_symlink() or not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(ROOT, target_is_directory=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.base, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT / ".comfyui" / "site"), "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        try:
            self._wait(seconds=300)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()

    def command(self) -> list[str]:
        """The command line of the server."""
        import torch

        cpu = [] if torch.cuda.is_available() or torch.backends.mps.is_available() else ["--cpu"]
        return [
            sys.executable, str(self.comfy / "main.py"), *cpu, "--listen", "127.0.0.1", "--port", str(self.port),
            "--base-directory", str(self.base), "--database-url", f"sqlite:///{self.base / 'user' / 'comfyui.db'}",
            "--disable-api-nodes", "--disable-auto-launch", *self.arguments,
        ]  # fmt: skip

    def _wait(self, seconds: float) -> None:
        """Poll until /system_stats answers; raise with the log when the process ends first."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                raise ServerError(f"ComfyUI did not start. The end of {self.log}:\n{self.tail()}")
            try:
                with urllib.request.urlopen(f"{self.url}/system_stats", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        raise ServerError(f"ComfyUI did not answer within {seconds:.0f} s. The end of {self.log}:\n{self.tail()}")

    def stop(self) -> None:
        """End the process group: politely, then by force."""
        if self.process is None:
            return
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            os.killpg(self.process.pid, number)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                continue
        self.process = None

    def tail(self, lines: int = 30) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def processor_s(self) -> float:
        """Processor seconds that the server has used so far (Linux)."""
        if self.process is None:
            return 0.0
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory_mib(self) -> float | None:
        """Largest resident size of the server so far, MiB; None where the system does not tell."""
        if self.process is None:
            return None
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return None
        found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return int(found[0]) / 1024 if found else None


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

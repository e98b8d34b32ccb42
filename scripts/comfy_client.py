"""Talks to a ComfyUI server: queue a workflow in API form, watch it, interrupt it."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

Prompt = dict[str, dict[str, Any]]


class Refused(RuntimeError):
    """The server did not take the workflow (HTTP 400); the text holds every reason."""

    def __init__(self, body: dict[str, Any]) -> None:
        """Collect the reasons of all nodes."""
        self.body = body
        reasons = [body.get("error", {}).get("message", "")] if isinstance(body.get("error"), dict) else []
        for number, node in (body.get("node_errors") or {}).items():
            for error in node.get("errors", []):
                reasons.append(f"{node.get('class_type')} ({number}): {error.get('message')}: {error.get('details')}")
        super().__init__("\n".join(reason for reason in reasons if reason) or json.dumps(body))


class Failed(RuntimeError):
    """A node raised while the workflow ran; the text is the node's own."""

    def __init__(self, data: dict[str, Any]) -> None:
        """Keep the message of the server."""
        self.data = data
        super().__init__(str(data.get("exception_message", "")).strip())


class WasInterrupted(RuntimeError):
    """The run was cancelled."""


@dataclass(frozen=True)
class Event:
    """One message of the server: its type, the node it is about, progress and text where there are."""

    kind: str
    node: str | None = None
    value: float = 0.0
    total: float = 0.0
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What a run left behind."""

    prompt_id: str
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)  # node -> ui
    cached: list[str] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    previews: int = 0


Watcher = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Watch nothing."""


class Client:
    """One connection to one server."""

    def __init__(self, url: str) -> None:
        """`url` as in http://127.0.0.1:8188."""
        self.url, self.id = url.rstrip("/"), uuid.uuid4().hex

    async def run(self, prompt: Prompt, watch: Watcher = ignore, extra: dict[str, Any] | None = None) -> Outcome:
        """Queue `prompt` and follow it to its end. Raises Refused, Failed, WasInterrupted."""
        timeout = aiohttp.ClientTimeout(total=None)
        socket_url = f"{self.url.replace('http', 'ws', 1)}/ws?clientId={self.id}"
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.ws_connect(socket_url, max_msg_size=0) as socket,
        ):
            await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
            body = {"prompt": prompt, "client_id": self.id, "extra_data": extra or {}}
            async with session.post(f"{self.url}/prompt", json=body) as answer:
                reply = await answer.json()
                if answer.status != 200:
                    raise Refused(reply)
            return await self._follow(socket, Outcome(reply["prompt_id"]), watch)

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse, outcome: Outcome, watch: Watcher) -> Outcome:
        async for message in socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                event = _binary(message.data)
                outcome.previews += event.kind == "preview"
            elif message.type == aiohttp.WSMsgType.TEXT:
                event = _text(json.loads(message.data))
            else:
                break
            watch(event)
            if self._note(event, outcome):
                return outcome
        raise Failed({"exception_message": "The server closed the connection before the run ended."})

    def _note(self, event: Event, outcome: Outcome) -> bool:
        """Keep what matters of an event; True at the end of the run."""
        data = event.data
        if data.get("prompt_id") != outcome.prompt_id:
            return False
        if event.kind == "executed" and data.get("output"):
            outcome.outputs[str(data["node"])] = data["output"]
        elif event.kind == "execution_cached":
            outcome.cached = [str(node) for node in data.get("nodes", [])]
        elif event.kind == "executing" and data.get("node"):
            outcome.executed.append(str(data["node"]))
        elif event.kind == "execution_error":
            raise Failed(data)
        elif event.kind == "execution_interrupted":
            raise WasInterrupted
        return event.kind == "execution_success"

    async def interrupt(self) -> None:
        """Cancel what is running."""
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/interrupt", json={}) as answer:
            answer.raise_for_status()

    async def get(self, path: str) -> Any:
        """The JSON of a GET."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}{path}") as answer:
            answer.raise_for_status()
            return await answer.json()


def _text(message: dict[str, Any]) -> Event:
    kind, data = message["type"], message.get("data") or {}
    node = data.get("display_node") or data.get("node")
    return Event(kind, node, float(data.get("value") or 0), float(data.get("max") or 0), data=data)


def _binary(data: bytes) -> Event:
    """Binary messages: 3 is a node's progress text, all others are preview pictures."""
    (kind,) = struct.unpack(">I", data[:4])
    if kind != 3:
        return Event("preview")
    (length,) = struct.unpack(">I", data[4:8])
    return Event("text", data[8 : 8 + length].decode(), text=data[8 + length :].decode(errors="replace"))

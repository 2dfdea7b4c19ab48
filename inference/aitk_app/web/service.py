"""Starts everything in order: the gate (`gate.py`) first, then models, engine, API and chat page behind it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
import shutil
import threading
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from aitk_app.engine.adapter_files import ModelError
from aitk_app.incidents import log_says
from aitk_app.loading.base_models import BaseModelMissingError
from aitk_app.loading.catalog import file_sha256, find_models, weight_headers
from aitk_app.readiness import Readiness, Stage
from aitk_app.settings import SettingsError, read_settings
from aitk_app.web.early import handed_over
from aitk_app.web.gate import Gate
from aitk_app.web.holding import as_arrived
from aitk_app.web.model_list import from_catalog
from aitk_app.web.origins import AllowedOrigins

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from aitk_app.loading.catalog import Catalog
    from aitk_app.settings import Settings
    from aitk_app.web.access import Access
    from aitk_app.web.answering import Completions

    PageBuilder = Callable[[Completions], Any]

logger = logging.getLogger(__name__)

_STREAMS_MAY_END_SECONDS = 3
_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "accelerate", "peft", "gradio", "fastapi", "uvicorn")
# Read in one pass beside the answers that are under way: on a processor every token costs the others time.
_PROMPT_TOKENS = {False: 128, True: 2048}


class Service:
    """The running app."""

    def __init__(self, folder: Path, share: Path, access: Access, build_page: PageBuilder) -> None:
        self._folder = folder
        self._share = share
        self._build_page = build_page
        # From start.py, which ran before this process's own code.
        self._readiness = Readiness(tuple(json.loads(os.environ.get("AITK_WARNINGS") or "[]")))
        origins = AllowedOrigins(os.environ.get("AITK_ALLOWED_ORIGINS", ""))
        self._gate = Gate(access, self._readiness, origins, check=_check_body)
        self._cleanup = AsyncExitStack()

    async def run(self, listener: socket.socket, arguments: Sequence[str]) -> None:
        """Serve on `listener` until a signal; load meanwhile."""
        config = uvicorn.Config(
            self._gate,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips="*",
            timeout_graceful_shutdown=_STREAMS_MAY_END_SECONDS,
        )
        loop = asyncio.get_running_loop()
        # A thread of our own, not an executor's: what is still loading must not hold up the process's end.
        threading.Thread(target=self._load, args=(arguments, loop), name="loading", daemon=True).start()
        await _Server(config, self._stopped).serve(sockets=[listener])

    async def _stopped(self) -> None:
        try:
            await self._cleanup.aclose()
        finally:
            if copy := os.environ.get("AITK_LOCAL_COPY"):
                shutil.rmtree(copy, ignore_errors=True)

    def _load(self, arguments: Sequence[str], loop: asyncio.AbstractEventLoop) -> None:
        """Runs in a thread: every step that takes long, and its failure in words on /ready."""
        try:
            settings = read_settings(self._folder / "settings.toml", arguments, os.environ)
            catalog = self._find_models(settings)
            logger.info("base model %s, adapters %s", catalog.base.id, [each.id for each in catalog.adapters])
            self._gate.learn(from_catalog(catalog, settings))
            inner = self._build(catalog, settings)
            asyncio.run_coroutine_threadsafe(self._open(inner), loop).result()
        except (ModelError, SettingsError) as error:
            logger.error("%s", error)  # noqa: TRY400 - words for a person; there is no bug to trace
            self._readiness.fail(str(error))
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is, the page says where to look
            what = "The start failed for a reason that nobody foresaw"
            self._readiness.fail(f"{what}. {log_says(error, what)}")

    def _find_models(self, settings: Settings) -> Catalog:
        """The models; a base model that is not there is fetched from the hub that has it."""
        try:
            return find_models(self._share, settings)
        except BaseModelMissingError as missing:
            if missing.hub is None:
                raise
            self._readiness.report(Stage.PREPARING, "Looking for the GPU.")
            from aitk_app.loading.device import choose_device  # noqa: PLC0415 - it takes PyTorch, which takes seconds

            choose_device(settings.device, os.environ)  # before gigabytes are fetched for a replica without a GPU
            self._readiness.report(Stage.LOADING_WEIGHTS, f"Downloading {missing.hub.id}.")
            from aitk_app.loading.hub import download  # noqa: PLC0415 - few starts need it

            copy = os.environ.get("AITK_LOCAL_COPY")
            own_disk = Path(copy) / "model-cache" if copy else None
            try:
                download(missing.hub, self._share / "model-cache", os.environ, self._readiness, own_disk)
            except ModelError as error:
                raise ModelError(f"{error}\n{missing}") from error
            return find_models(self._share, settings, own_disk)

    def _build(self, catalog: Catalog, settings: Settings) -> Any:  # noqa: ANN401 - of FastAPI
        # Imported here: together they take many seconds, and the door is open meanwhile.
        self._readiness.report(Stage.PREPARING, "Loading PyTorch and transformers.")
        from aitk_app.engine.scheduler import Scheduler, Watcher  # noqa: PLC0415 - see above
        from aitk_app.loading.load import load_models  # noqa: PLC0415 - see above
        from aitk_app.web.answering import Completions  # noqa: PLC0415 - see above
        from aitk_app.web.api import build_api  # noqa: PLC0415 - see above
        from aitk_app.web.metrics import Metrics  # noqa: PLC0415 - see above
        from aitk_app.web.prompt import PromptError  # noqa: PLC0415 - see above
        from aitk_app.web.sending import Limits  # noqa: PLC0415 - see above

        models, reading = load_models(catalog, settings, self._readiness)
        self._readiness.report(Stage.WARMING, "The model computes a first token.")
        models.warm()
        self._readiness.warn(*catalog.warnings, *models.notices)
        metrics = Metrics()
        engine = Scheduler(
            models,
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
            prompt_tokens=_PROMPT_TOKENS[models.device.type != "cpu"],
            watcher=Watcher(
                ended=metrics.ended,
                stopped=lambda why: self._readiness.report(
                    Stage.WARMING, f"The engine stopped and starts again: {why}"
                ),
                restarted=lambda: self._readiness.report(Stage.READY),
                failed=self._readiness.fail,
            ),
        )
        metrics.watch(engine)
        self._cleanup.callback(engine.close)
        try:
            completions = Completions(catalog, models, engine, settings)
        except PromptError as error:
            raise ModelError(str(error)) from error
        self._readiness.warn(*completions.warnings)
        self._readiness.report(Stage.WARMING, "Building the chat page.")
        fixed = self._version(catalog) | {
            "weights": reading.as_json(),
            "served": models.served[None].as_json(),
            **asdict(completions.running),
        }
        inner = build_api(
            completions,
            lambda: {**fixed, "adapters": completions.loaded, "speech": completions.speeches},
            metrics,
            Limits(whole=settings.unstreamed_seconds),
        )
        page = self._build_page(completions)
        return page(inner)

    async def _open(self, inner: Any) -> None:  # noqa: ANN401 - of FastAPI
        """Run the start-up of the app proper (Gradio's queue), and let requests in."""
        await self._cleanup.enter_async_context(inner.router.lifespan_context(inner))
        self._gate.inner = inner
        self._readiness.report(Stage.READY)
        logger.info("ready")

    def _version(self, catalog: Catalog) -> dict[str, object]:
        """What is running, by hash: what a deploy compares."""
        code = {
            f"inference/{file.relative_to(self._folder).as_posix()}": file_sha256(file)
            for file in sorted(self._folder.rglob("*"))
            if file.is_file() and "__pycache__" not in file.parts
        }
        return {
            "base_model": {
                "id": catalog.base.id,
                "path": str(catalog.base.folder),
                "files": weight_headers(catalog.base.folder),
            },
            "code": code,
            "replica": os.environ.get("CONTAINER_APP_REPLICA_NAME"),
            "packages": {name: metadata.version(name) for name in _PACKAGES} | {"python": platform.python_version()},
            "warnings": self._readiness.warnings,
        }


def _check_body(path: str, body: bytes) -> None:
    from aitk_app.web.body_reading import check_body  # noqa: PLC0415 - in a thread: the door opens before pydantic is there

    check_body(path, body)


class _Server(uvicorn.Server):
    """uvicorn, with the connections that `start.py` held, and our own end before it gives the signal back.

    Given back, the signal ends the process.
    """

    def __init__(self, config: uvicorn.Config, stopped: Callable[[], Any]) -> None:
        super().__init__(config)
        self._stopped = stopped

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and answer those who came before."""
        await super().startup(sockets)
        for connection, arrived in handed_over():
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(partial(self._protocol, as_arrived(arrived)), connection)

    def _protocol(self, state: dict[str, Any]) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(config=self.config, server_state=self.server_state, app_state=state)
        return made

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let streams end, then everything else."""
        await super().shutdown(sockets)
        await self._stopped()

"""The API over real HTTP, in this process: for models that a test makes itself."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import uvicorn
from tests.support.inference.app import KEY

from aitk_app.engine.adapter_files import Adapter
from aitk_app.engine.scheduler import Scheduler
from aitk_app.loading.base_models import BaseModel
from aitk_app.loading.catalog import Catalog
from aitk_app.readiness import Readiness, Stage
from aitk_app.settings import Settings
from aitk_app.web.access import Access
from aitk_app.web.answering import Completions
from aitk_app.web.api import build_api
from aitk_app.web.body_reading import check_body
from aitk_app.web.gate import Gate
from aitk_app.web.metrics import Metrics
from aitk_app.web.sending import Limits

BASE = "base"


@contextmanager
def serving(models, folders=None, version=dict, *, room=None, **settings):
    """The address, and the parts behind it, of `models` with the adapters in `folders` (name -> folder).

    `room` makes the waiting room of its readiness.
    """
    adapters = tuple(Adapter(name, folder, "") for name, folder in (folders or {}).items())
    catalog = Catalog(Path("/nowhere"), BaseModel(BASE, Path("/nowhere")), adapters, BASE)
    metrics = Metrics()
    scheduler = Scheduler(models, max_batch=8, max_queue=50, prompt_tokens=64)
    metrics.watch(scheduler)
    completions = Completions(catalog, models, scheduler, Settings(**settings))
    readiness = Readiness()
    readiness.report(Stage.READY)
    gate = Gate(Access(KEY), readiness, room=room and room(readiness), check=check_body)
    gate.inner = build_api(completions, version, metrics, Limits())
    server = uvicorn.Server(uvicorn.Config(gate, port=0, log_config=None, lifespan="off"))
    bound = threading.Event()
    startup = server.startup

    async def starting(*arguments, **more):
        await startup(*arguments, **more)
        bound.set()

    server.startup = starting
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert bound.wait(60)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield SimpleNamespace(
            url=f"http://127.0.0.1:{port}",
            completions=completions,
            gate=gate,
            key=KEY,
            readiness=readiness,
            catalog=catalog,
        )
    finally:
        server.should_exit = True
        thread.join(30)
        scheduler.close()

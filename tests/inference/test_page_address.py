import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from aitk_app.chat.page_address import PageAddress

PAGE = "<head><script data-gradio-mode></script></head>"


def page(request: Request) -> Response:
    return HTMLResponse(PAGE, headers={"x-accepts": request.headers.get("accept-encoding", "plain")})


async def get(path):
    app = Starlette(routes=[Route("/", page), Route("/other", page)])
    transport = httpx.ASGITransport(PageAddress(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


async def test_the_page_is_told_to_ask_where_it_came_from():
    """Behind a prefix that a proxy takes away, the chat page still finds its server."""
    answer = await get("/")

    assert "window.gradio_config.root = location.origin" in answer.text
    assert answer.text.index("gradio_config.root") < answer.text.index("data-gradio-mode")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["x-accepts"] == "plain"


async def test_everything_else_passes_as_it_is():
    """Only the page itself is changed."""
    answer = await get("/other")

    assert answer.text == PAGE

import hashlib
import hmac
import json
import time
from datetime import timedelta

from aitk_app.web.access import Access

KEY = "sesame"
DOOR = Access(KEY)


def link(expiry, key=KEY, purpose="aitk-link"):
    signature = hmac.new(key.encode(), f"{purpose}:{expiry}".encode(), hashlib.sha256).hexdigest()
    return json.dumps({"link": f"{expiry}.{signature}"}).encode()


def later():
    return str(int(time.time()) + 300)


def test_the_key_as_a_bearer_token_passes():
    """Programs send the key in the Authorization header; anything else does not pass."""
    assert DOOR.allows({"authorization": "Bearer sesame"})
    assert DOOR.allows({"authorization": "bearer sesame"})
    for wrong in ("Bearer", "Bearer ", "Bearer sesame2", "Basic sesame", "sesame", "Bearer sésame"):
        assert not DOOR.allows({"authorization": wrong})
    assert not DOOR.allows({})


def test_a_signed_link_is_traded_for_a_cookie_that_passes():
    """A link signed with the key, not yet expired, gives a cookie that lasts twelve hours."""
    cookie = DOOR.session_cookie(link(later()), secure=False)

    assert cookie is not None
    assert "HttpOnly; SameSite=Lax" in cookie
    assert "Max-Age=43200; Path=/" in cookie
    assert "Secure" not in cookie
    assert cookie.startswith("aitk_" + hashlib.sha256(KEY.encode()).hexdigest()[:8] + "=")
    assert DOOR.allows({"cookie": "other=1; " + cookie.partition(";")[0]})


def test_a_cookie_given_over_https_is_for_https_only():
    """Behind an ingress with TLS the cookie is marked Secure."""
    assert DOOR.session_cookie(b'{"key": "sesame"}', secure=True).endswith("; Secure")


def test_what_is_not_valid_gives_no_cookie():
    """Expired, forged, of another key, of another purpose, or nonsense: no cookie."""
    for body in (
        link("1"),
        link(later(), key="other"),
        link(later(), purpose="aitk-cookie"),
        b'{"link": "%d.00"}' % (time.time() + 300),
        b'{"link": 5, "key": 5}',
        b'{"key": "other"}',
        b"[]",
        b"nonsense",
        b"\xff",
        b'{"key": "sesame"' + b" " * 5000 + b"}",
    ):
        assert DOOR.session_cookie(body, secure=False) is None


def test_a_cookie_ends_and_belongs_to_one_key():
    """An expired cookie, and one of another endpoint on the same host, do not pass."""
    expired = DOOR.signed("aitk-cookie", timedelta(seconds=-1))
    foreign = Access("other").signed("aitk-cookie", timedelta(hours=1))

    for value in (expired, foreign, "", ".", "x.y"):
        assert not DOOR.allows({"cookie": f"{DOOR.cookie_name}={value}"})


def test_without_a_key_the_door_is_open():
    """By hand on the loopback interface no key is needed, and none is given out."""
    assert Access(None).allows({})
    assert Access(None).session_cookie(b'{"key": ""}', secure=False) is None

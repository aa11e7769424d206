"""The hub behind an LMS: a launch that the LMS has signed logs in; whatever else comes is refused.

The LMS is played by this test: it holds the key, and shows its public half where the hub looks for it.
"""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.hub.hub import AS_ROOT, OUTSIDER, Machine

pytestmark = AS_ROOT
ISSUER, CLIENT = "https://lms.example.org", "course-hub"
CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"


@dataclass
class LMS:
    """What an LMS does at a launch."""

    machine: Machine
    key: Any
    changed: dict[str, Any] = field(default_factory=dict)  # in what it signs

    def launch(self, username: str) -> requests.Response:
        """Send somebody to the hub as LTI 1.3 has it: ask to log in, come back with a signed token."""
        import jwt

        session, hub = requests.Session(), f"{self.machine.url}/hub/lti13"
        asked = {"iss": ISSUER, "login_hint": username, "target_link_uri": f"{self.machine.url}/hub/home"}
        answer = session.post(f"{hub}/oauth_login", data={**asked, "client_id": CLIENT}, allow_redirects=False)
        assert answer.headers["Location"].startswith(f"{ISSUER}/auth"), answer.text
        sent = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}
        assert sent["redirect_uri"] == f"{hub}/oauth_callback"
        claims = {
            **{"iss": ISSUER, "aud": CLIENT, "sub": "7", "iat": time.time(), "exp": time.time() + 60},
            "nonce": sent["nonce"],
            f"{CLAIM}version": "1.3.0",
            f"{CLAIM}message_type": "LtiResourceLinkRequest",
            f"{CLAIM}deployment_id": "1",
            f"{CLAIM}target_link_uri": asked["target_link_uri"],
            f"{CLAIM}resource_link": {"id": "1"},
            f"{CLAIM}roles": [],
            f"{CLAIM}custom": {"username": username},
        }
        token = jwt.encode({**claims, **self.changed}, self.key, "RS256", headers={"kid": "1"})
        return session.post(sent["redirect_uri"], data={"id_token": token, "state": sent["state"]})


@pytest.fixture(scope="module")
def lms(machine: Machine) -> Iterator[LMS]:
    """The hub set up for an LMS, and started again."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.dumps({"keys": [{**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "1"}]}).encode()

    class PublicKeys(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(public)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), PublicKeys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        keys = f"http://127.0.0.1:{server.server_port}/"
        about = {"LTI_ISSUER": ISSUER, "LTI_CLIENT_ID": CLIENT, "LTI_AUTHORIZE_URL": f"{ISSUER}/auth"}
        machine.configure(**about, LTI_JWKS_URL=keys)
        machine.run("systemctl", "restart", "jupyterhub")
        machine.wait_for_hub()
        yield LMS(machine, key)
        server.shutdown()


def test_it_tells_the_lms_where_it_is(lms: LMS) -> None:
    told = requests.get(f"{lms.machine.url}/hub/lti13/config").json()
    assert told["oidc_initiation_url"] == f"{lms.machine.url}/hub/lti13/oauth_login"


def test_whom_the_lms_sends_gets_an_account_of_the_class(lms: LMS) -> None:
    for _ in range(2):  # a first visit and a later one
        answer = lms.launch("hubtest-launched")
        assert answer.url == f"{lms.machine.url}/hub/home"
        assert "hubtest-launched" in answer.text
    assert "students" in lms.machine.run("id", "-Gn", "hubtest-launched")


def test_what_the_lms_has_not_signed_is_refused(lms: LMS) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert LMS(lms.machine, other).launch("hubtest-launched").status_code == 400


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"iss": "https://elsewhere.example.org"}, 400),
        ({"aud": "another tool"}, 401),
        ({"nonce": "of an earlier launch"}, 400),
        ({"exp": 1}, 400),
    ],
    ids=["issuer", "client", "nonce", "expired"],
)
def test_a_launch_for_somebody_else_or_of_another_time_is_refused(
    lms: LMS, changed: dict[str, Any], status: int
) -> None:
    assert LMS(lms.machine, lms.key, changed).launch("hubtest-launched").status_code == status


@pytest.mark.parametrize("name", ["root", OUTSIDER, "../root", "name with spaces"])
def test_a_name_from_the_lms_opens_no_account_of_the_system(lms: LMS, name: str) -> None:
    assert lms.launch(name).status_code == 403

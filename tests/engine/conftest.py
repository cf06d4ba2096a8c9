import pytest

from tests.engine.server import FaultyServer
from tests.model.world import drawn, policy, world  # noqa: F401 - fixtures
from visreason.engine import servers


@pytest.fixture
def serve(monkeypatch):
    """Starts servers, which are left alone for a moment only after trouble, and stops them at the end."""
    monkeypatch.setattr(servers, "FIRST_REST_S", 0.02)
    monkeypatch.setattr(servers, "LONGEST_REST_S", 0.1)
    started = []

    def start(*args, **kwargs):
        started.append(FaultyServer(*args, **kwargs))
        return started[-1]

    yield start
    for server in started:
        server.stop()

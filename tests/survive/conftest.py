from tests.model.world import drawn, policy, world  # noqa: F401 - fixtures

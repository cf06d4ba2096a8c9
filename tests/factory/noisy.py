"""The world's voices, with every call written to ASKED: `script:tests.factory.noisy:NAME`."""

from tests.factory.replies import log
from visreason.world import voices


def seer(conversation, i):
    log(conversation, "seer")
    return voices.seer(conversation, i)


def writer(conversation, i):
    log(conversation, "writer")
    return voices.writer(conversation, i)

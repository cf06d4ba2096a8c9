"""Several processes as one: the only room that knows ranks. Everywhere else a step reads as on one machine.

Started by torchrun, every process plans the same step from the same data. Trees are dealt by their tokens, so that all
finish together; each process learns its own; FSDP2 sums the gradients over all. Every process runs as many forwards,
of the same parts of the model, as the others: one that has no tree left, or no image where another has, plants a
filler of one token beside, which nothing is learned from. The first process writes.
"""

from visreason.train.sharding.batches import MicroBatch, deal, in_order, micro_batches, planted
from visreason.train.sharding.engines import Beside, beside, dealt_engine, dealt_reward, engines
from visreason.train.sharding.ranks import (
    after_first,
    any_of,
    by_first,
    gather,
    leads,
    meeting,
    of_machine,
    once,
    processes,
    together,
    wait,
)
from visreason.train.sharding.runs import Shared
from visreason.train.sharding.weights import kept, over, shard, spread, waits, whole, whole_weights, written

__all__ = [
    "Beside", "MicroBatch", "Shared", "after_first", "any_of", "beside", "by_first", "deal", "dealt_engine",
    "dealt_reward", "engines", "gather", "in_order", "kept", "leads", "meeting", "micro_batches", "of_machine", "once",
    "over", "planted", "processes", "shard", "spread", "together", "wait", "waits", "whole", "whole_weights", "written",
]  # fmt: skip

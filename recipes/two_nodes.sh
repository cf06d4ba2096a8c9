#!/bin/bash
# On both hosts, the same words: HEAD=first-host recipes/two_nodes.sh grpo recipes/grpo/awaker.yaml data=... out=/shared/runs/a
# Told to end (SIGTERM, to both), it has nine minutes to finish its step and save.
# HEAD is the host that the others can reach on port 29500; out, data and model lie where both see them.
set -eu
exec torchrun --nnodes="${NODES:-2}" --nproc-per-node="${GPUS:-8}" --rdzv-id=visreason --rdzv-backend=c10d \
  --rdzv-endpoint="$HEAD:29500" --shutdown-timeout=540 -m visreason "$@"

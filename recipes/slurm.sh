#!/bin/bash
# sbatch --nodes=8 recipes/slurm.sh sft recipes/sft/virgo_72b.yaml data=thoughts.jsonl out=/shared/runs/virgo
# All nodes must see the same data, model and out. Five minutes before the end Slurm tells every process to end: it finishes
# its step, saves and exits, and the job puts itself back in the queue until the run has its manifest.
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
set -u
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes="$SLURM_NNODES" --nproc-per-node=8 --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d \
  --rdzv-endpoint="$head:29500" --shutdown-timeout=280 -m visreason "$@"
out=$(printf '%s\n' "$@" | sed -n 's/^out=//p')
[ -e "$out/manifest.json" ] || scontrol requeue "$SLURM_JOB_ID"

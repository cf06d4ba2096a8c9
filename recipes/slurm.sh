#!/bin/bash
# sbatch --nodes=8 recipes/slurm.sh sft recipes/sft/virgo_72b.yaml data=thoughts.jsonl out=/shared/runs/virgo
# All nodes must see the same data, model and out. Ten minutes before the time is up every process is told to end: it
# finishes its step, saves and exits, and the job puts itself back in the queue. One that failed stays out of it.
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@600
#SBATCH --requeue
set -u
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes="$SLURM_NNODES" --nproc-per-node="${GPUS:-8}" --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d \
  --rdzv-endpoint="$head:29500" --shutdown-timeout=540 -m visreason "$@" &
run=$!
told=
trap 'told=yes; kill -TERM $run' TERM
while :; do  # a signal ends a wait, not the run
  wait $run
  status=$?
  kill -0 $run 2>/dev/null || break
done
[ -z "$told" ] && exit $status
out=$(printf '%s\n' "$@" | sed -n 's/^out=//p')
[ -e "$out/manifest.json" ] || scontrol requeue "$SLURM_JOB_ID"

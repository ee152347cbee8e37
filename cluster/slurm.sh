#!/bin/bash
#SBATCH --job-name=maineffect
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
# A Ray cluster inside one Slurm allocation and a study on it: sbatch cluster/slurm.sh experiments/…/study.yaml
# Two minutes before the time is up, runs stop at their next step; submitting again goes on where they stopped.
set -euo pipefail
study=${1:?usage: sbatch cluster/slurm.sh STUDY}
: "${MLFLOW_TRACKING_URI:?the ledger must be reachable from every node}"
export MAINEFFECT_HOME=${MAINEFFECT_HOME:-$SLURM_SUBMIT_DIR/.maineffect}  # on a file system that all nodes share
export RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
srun --nodes=1 --ntasks=1 -w "$head" \
    ray start --head --block --port="$port" --include-dashboard=false --num-gpus="${SLURM_GPUS_ON_NODE:-0}" &
until ray health-check --address "$head:$port" 2>/dev/null; do sleep 2; done
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        ray start --block --address "$head:$port" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" &
fi
maineffect submit "$study" --address "$head:$port" &
driver=$!
trap 'kill -TERM $driver' TERM
code=0
while true; do  # the trap ends a wait before the driver has ended
    wait "$driver" && code=0 || code=$?
    kill -0 "$driver" 2>/dev/null || break
done
exit "$code"

#!/bin/bash
#SBATCH --job-name=s
#SBATCH --array=0-3%3
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
#SBATCH --cpus-per-task=1
#SBATCH --output="FOLDER/out/slurm/%A_%a.txt"
#SBATCH --time=00:10:00
# Written by marginalia study; a task an experiment. exec: signals reach the program.
case $SLURM_ARRAY_TASK_ID in
0) exec 'PROGRAM' 'study' 'FOLDER/s.json' '--out' 'FOLDER/out' '--only' 'full-seed0' '--yes' '--runs-only' '--threads' '1' ;;  # full-seed0
1) exec 'PROGRAM' 'study' 'FOLDER/s.json' '--out' 'FOLDER/out' '--only' 'full-seed1' '--yes' '--runs-only' '--threads' '1' ;;  # full-seed1
2) exec 'PROGRAM' 'study' 'FOLDER/s.json' '--out' 'FOLDER/out' '--only' 'short-seed0' '--yes' '--runs-only' '--threads' '1' ;;  # short-seed0
3) exec 'PROGRAM' 'study' 'FOLDER/s.json' '--out' 'FOLDER/out' '--only' 'short-seed1' '--yes' '--runs-only' '--threads' '1' ;;  # short-seed1
*) echo "no task $SLURM_ARRAY_TASK_ID" >&2; exit 2 ;;
esac

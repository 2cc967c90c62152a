#!/bin/bash
#SBATCH --job-name=prefix-rft-train
#SBATCH --comment=20260102-030405-train-0a1b2c3d
#SBATCH --array=0-2,5%4
#SBATCH --output=%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --time=60

export PYTHONSAFEPATH=1
exec /opt/python -u -m slurm.task

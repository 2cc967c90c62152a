#!/bin/bash
#SBATCH --job-name=prefix-rft-train
#SBATCH --comment=20260102-030405-train-0a1b2c3d
#SBATCH --array=0-2,5%4
#SBATCH --output=%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --partition=gpu
#SBATCH --account=my-project
#SBATCH --gres=gpu:1
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=65536M
#SBATCH --time=720

module load cuda/12.8
export PYTHONPATH=/store/snapshots/0f${PYTHONPATH:+:$PYTHONPATH}
export PYTHONSAFEPATH=1
exec /opt/python -u -m slurm.task

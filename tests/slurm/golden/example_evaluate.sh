#!/bin/bash
#SBATCH --job-name=prefix-rft-evaluate
#SBATCH --comment=20260102-030405-evaluate-0a1b2c3d
#SBATCH --array=3%1
#SBATCH --output=%A_%a.log
#SBATCH --open-mode=append
#SBATCH --dependency=aftercorr:41
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --partition=gpu
#SBATCH --account=my-project
#SBATCH --gres=gpu:1
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=65536M
#SBATCH --time=120

module load cuda/12.8
export PYTHONPATH=/store/snapshots/0f${PYTHONPATH:+:$PYTHONPATH}
export PYTHONSAFEPATH=1
exec /opt/python -u -m slurm.task

#!/bin/bash
#SBATCH --job-name=prefix-rft-train
#SBATCH --comment=20260102-030405-train-0a1b2c3d
#SBATCH --array=0-2,5%4
#SBATCH --output=%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --constraint='a100|h100'
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --time=60

export PYTHONPATH='/two
lines and `id` "quoted"'${PYTHONPATH:+:$PYTHONPATH}
export PYTHONSAFEPATH=1
exec apptainer exec --nv image.sif '/opt/it'"'"'s $HOME/python' -u -m slurm.task

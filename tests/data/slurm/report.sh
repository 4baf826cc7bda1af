#!/bin/bash
#SBATCH --job-name=s-report
#SBATCH --output="FOLDER/out/slurm/report.txt"
#SBATCH --time=00:10:00
exec 'PROGRAM' 'report' 'FOLDER/out'

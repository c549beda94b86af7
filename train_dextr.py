"""`python train_dextr.py JOB_NAME ...`, as the original's manual says: the same as dextr_train."""

from maskworks_dextr.cli import train

train()

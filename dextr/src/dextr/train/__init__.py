"""Training: `python -m dextr.train JOB_NAME [options]`, installed as `dextr_train`, and the original's `training_loop`.

Both are fronts of one loop over epochs, `epoch_loop.EpochLoop`, which drives a `trainer.Trainer` (one step), takes its
batches from `batches`, and validates by `validation.validate`. `training_loop` is the front for programs: a function.
`job.Job` is that of the command: flags become a frozen `config.TrainConfig`, `preparation.prepare` makes the model and
the data of it, and `job.run` trains, with a log, curves, checkpoints, signals and several processes. torch is imported
only after the flags are known to be right.
"""

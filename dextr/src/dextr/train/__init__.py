"""The training program: `python -m dextr.train JOB_NAME [options]`, installed as `dextr_train`.

Flags become a frozen `config.TrainConfig`, and `job.run` takes it. torch is imported only after the flags are known
to be right.
"""

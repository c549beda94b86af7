"""`python prepare_input.py IMAGE OUT.json`: the same as tensormask_prepare_input."""

from maskworks_tensormask.prepare_input import main

main()

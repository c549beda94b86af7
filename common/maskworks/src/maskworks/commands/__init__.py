"""The bodies of the commands: flags -> configs -> model, transport and pipeline -> loop -> exit code."""

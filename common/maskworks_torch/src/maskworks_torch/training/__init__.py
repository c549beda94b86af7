"""What trainings share: their processes, and how they are interrupted."""

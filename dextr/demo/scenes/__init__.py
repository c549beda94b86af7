"""Made-up photos with known objects: the training data of the demo model."""
